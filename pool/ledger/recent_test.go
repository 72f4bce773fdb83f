package ledger

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

// TestRecent reads entries at once, from memory, and again from disk: they are the same.
func TestRecent(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(Options{Dir: dir, Pool: "main", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	id := pool.AccountID{1}
	var fresh []Record
	for n := range 4 {
		var batch []Entry
		for i := range n + 1 {
			batch = append(batch, Entry{Kind: "x", Key: fmt.Sprint(n, " ", i), Time: 5, Body: json.RawMessage(` { "a": "<&>", "n": [ 1 ] } `),
				Subject:  &Subject{Set: "s", ID: fmt.Sprint(i), Rank: -3},
				Postings: []Posting{{Debit: CoinbaseImmature, Credit: MinerImmature(id), Amount: 7}}, Overdraft: []Account{Wallet}})
		}
		after := b.Head().Seq
		if _, err := b.PostAll(batch); err != nil {
			t.Fatal(err)
		}
		if len(b.recent) != n+1 {
			t.Fatalf("%d entries are remembered, want %d", len(b.recent), n+1)
		}
		for r, err := range b.Records(after) {
			if err != nil {
				t.Fatal(err)
			}
			fresh = append(fresh, r)
		}
	}
	var part []Record
	for r, err := range b.Records(8) { // from within the last batch
		if err != nil {
			t.Fatal(err)
		}
		part = append(part, r)
	}
	if !reflect.DeepEqual(part, fresh[8:]) {
		t.Fatalf("from within the last batch: %+v", part)
	}
	for range b.Records(10) {
		t.Fatal("something comes behind the last entry")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(Options{Dir: dir, Pool: "main", Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var read []Record
	for r, err := range b.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, r)
	}
	if !reflect.DeepEqual(read, fresh) {
		t.Fatalf("from disk %+v, from memory %+v", read, fresh)
	}
}
