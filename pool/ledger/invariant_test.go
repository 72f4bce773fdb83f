package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
)

// TestIdempotency posts events in any redelivery pattern, alone and in batches, with the book opened again
// in between: the state is that of each posted once. A key with another body is refused.
func TestIdempotency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		open := func(dir string) *Book {
			b, err := Open(Options{Dir: dir, Pool: "main"})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		ram := "" // thousands of fsyncs are the test's cost
		if _, err := os.Stat("/dev/shm"); err == nil {
			ram = "/dev/shm"
		}
		var dirs [2]string
		for i := range dirs {
			var err error
			if dirs[i], err = os.MkdirTemp(ram, "ledger"); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dirs[i])
		}
		events := make([]Entry, rapid.IntRange(1, 8).Draw(t, "events"))
		once := open(dirs[0])
		defer once.Close()
		for i := range events {
			events[i] = Entry{
				Kind: "k", Key: fmt.Sprintf("key %d", i), Body: json.RawMessage(fmt.Sprintf(`{"n":%d}`, rapid.IntRange(0, 9).Draw(t, "body"))),
				Subject:  &Subject{Set: "things", ID: rapid.StringMatching("[ab]").Draw(t, "id"), Rank: int64(i)},
				Postings: []Posting{{Debit: Wallet, Credit: MinerAvailable(account(i % 3)), Amount: pool.Amount(rapid.Int64Range(1, 100).Draw(t, "amount"))}},
			}
			if _, err := once.Post(events[i]); err != nil {
				t.Fatal(err)
			}
		}
		b := open(dirs[1])
		defer func() { b.Close() }()
		for next := 0; next < len(events) || rapid.IntRange(0, 3).Draw(t, "more") > 0; {
			from := rapid.IntRange(0, next).Draw(t, "from")
			to := min(from+rapid.IntRange(1, 3).Draw(t, "batch"), len(events))
			fresh := to > next
			_, err := b.PostAll(events[from:to])
			if from < to && (fresh && err != nil || !fresh && !errors.Is(err, ErrExists)) {
				t.Fatalf("events %d to %d, %d were known: %v", from, to, next, err)
			}
			next = max(next, to)
			other := events[rapid.IntRange(0, next-1).Draw(t, "other")]
			other.Body = json.RawMessage(`{"n":"another"}`)
			if _, err := b.Post(other); !errors.Is(err, ErrKeyReuse) {
				t.Fatalf("a key with another body: %v", err)
			}
			if rapid.IntRange(0, 4).Draw(t, "reopen") == 0 {
				b.Close()
				b = open(dirs[1])
			}
		}
		_, want, err := once.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := b.Digest(); err != nil || got != want {
			t.Fatalf("posted again and again: state %x, once: %x, %v", got, want, err)
		}
	})
}
