package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
)

func open(t testing.TB, dir string) *Book {
	t.Helper()
	b, err := Open(Options{Dir: dir, Pool: "main", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func account(i int) pool.AccountID { return pool.AccountOf("main", []byte{byte(i), byte(i >> 8)}) }

func credit(key string, who int, amount pool.Amount) Entry {
	return Entry{Kind: "block.immature", Key: key, Postings: []Posting{{CoinbaseImmature, MinerImmature(account(who)), amount}}}
}

func mustPost(t testing.TB, b *Book, e Entry) Entry {
	t.Helper()
	out, err := b.Post(e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPostAndReopen(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	changed := b.Changed()
	e := mustPost(t, b, Entry{
		Kind: "block.immature", Key: "k1", Subject: &Subject{"blocks", "b1", 7}, Body: json.RawMessage(`{ "state": "<immature>" }`),
		Postings: []Posting{{CoinbaseImmature, MinerImmature(account(1)), 90}, {CoinbaseImmature, PoolFeeImmature, 10}},
	})
	select {
	case <-changed:
	default:
		t.Error("Changed was not closed")
	}
	if e.V != 1 || e.Seq != 1 || e.Term != 1 || e.Pool != "main" || e.Time == 0 {
		t.Errorf("entry %+v is not filled in", e)
	}
	mustPost(t, b, Entry{Kind: "block.mature", Key: "k2", Subject: &Subject{"blocks", "b1", 7}, Body: json.RawMessage(`{"state":"mature"}`)})
	mustPost(t, b, Entry{Kind: "block.found", Key: "k3", Subject: &Subject{"blocks", "b0", 6}, Body: json.RawMessage(`{}`)})
	head := b.Head()
	b.Close()

	b = open(t, dir)
	if b.Head() != head {
		t.Errorf("head %v, want %v", b.Head(), head)
	}
	if b.Term() != 2 {
		t.Errorf("term %d after one restart, want 2", b.Term())
	}
	b.SetTermFloor(8)
	b.SetTermFloor(3)
	if b.Term() != 9 {
		t.Errorf("term %d above a floor of 8", b.Term())
	}
	if got := b.Balance(CoinbaseImmature); got != 100 {
		t.Errorf("assets %d, want 100", got)
	}
	var names []string
	for a, v := range b.Balances() {
		names = append(names, fmt.Sprintf("%s=%d", a, v))
	}
	if !slices.IsSorted(names) || len(names) != 3 {
		t.Errorf("balances %v", names)
	}
	if doc, ok := b.Doc("blocks", "b1"); !ok || string(doc) != `{"state":"mature"}` {
		t.Errorf("document %s, %v", doc, ok)
	}
	if _, ok := b.Doc("blocks", "no"); ok {
		t.Error("a document that nobody wrote")
	}
	var ids []string
	for id := range b.Docs("blocks") {
		ids = append(ids, id)
	}
	if !slices.Equal(ids, []string{"b0", "b1"}) {
		t.Errorf("documents by rank: %v", ids)
	}
	var seqs []uint64
	for r, err := range b.Records(1) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, r.Entry.Seq)
		if at, err := b.HeadAt(r.Entry.Seq); err != nil || at != r.Head {
			t.Errorf("HeadAt(%d) = %v, %v; the record says %v", r.Entry.Seq, at, err, r.Head)
		}
	}
	if !slices.Equal(seqs, []uint64{2, 3}) {
		t.Errorf("records after 1: %v", seqs)
	}
	if e, ok, err := b.Find("k1"); err != nil || !ok || string(e.Body) != `{"state":"<immature>"}` {
		t.Errorf("Find: %s %v %v", e.Body, ok, err)
	}
}

func TestKeys(t *testing.T) {
	b := open(t, t.TempDir())
	first := mustPost(t, b, credit("a", 1, 5))
	again, err := b.Post(credit("a", 1, 5))
	if !errors.Is(err, ErrExists) || again.Seq != first.Seq {
		t.Errorf("same entry again: %+v, %v", again, err)
	}
	for name, e := range map[string]Entry{
		"amount": credit("a", 1, 6), "account": credit("a", 2, 5),
		"kind": {Kind: "other", Key: "a", Postings: credit("a", 1, 5).Postings},
		"body": {Kind: "block.immature", Key: "a", Postings: credit("a", 1, 5).Postings, Body: json.RawMessage(`1`)},
	} {
		if _, err := b.Post(e); !errors.Is(err, ErrKeyReuse) {
			t.Errorf("other %s under the same key: %v", name, err)
		}
	}
	out, err := b.PostAll([]Entry{credit("a", 1, 5), credit("b", 1, 7), credit("b", 1, 7)})
	if err != nil || len(out) != 3 || out[0].Seq != 1 || out[1].Seq != 2 || out[2].Seq != 2 {
		t.Errorf("a mixed batch: %+v, %v", out, err)
	}
	if b.Balance(CoinbaseImmature) != 12 {
		t.Errorf("balance %d, want 12", b.Balance(CoinbaseImmature))
	}
}

func TestRefusals(t *testing.T) {
	b := open(t, t.TempDir())
	mustPost(t, b, credit("a", 1, 5))
	me := account(1)
	tests := map[string]struct {
		e    Entry
		want error
	}{
		"zero amount":      {credit("z", 1, 0), ErrEntry},
		"negative amount":  {credit("z", 1, -1), ErrEntry},
		"no key":           {credit("", 1, 1), ErrEntry},
		"same account":     {Entry{Kind: "x", Key: "z", Postings: []Posting{{Wallet, Wallet, 1}}}, ErrEntry},
		"unknown account":  {Entry{Kind: "x", Key: "z", Postings: []Posting{{Wallet, "cash", 1}}}, ErrAccount},
		"unknown side":     {Entry{Kind: "x", Key: "z", Postings: []Posting{{Wallet, Miner(me, "spent"), 1}}}, ErrAccount},
		"upper-case id":    {Entry{Kind: "x", Key: "z", Postings: []Posting{{Wallet, Account(strings.ToUpper(string(MinerAvailable(account(9))))), 1}}}, ErrAccount},
		"overdrawn":        {Entry{Kind: "x", Key: "z", Postings: []Posting{{MinerImmature(me), MinerAvailable(me), 6}}}, ErrOverdraft},
		"overdrawn asset":  {Entry{Kind: "x", Key: "z", Postings: []Posting{{NetworkFee, Wallet, 1}}}, ErrOverdraft},
		"overflow":         {credit("z", 1, math.MaxInt64), pool.ErrOverflow},
		"subject, no body": {Entry{Kind: "x", Key: "z", Subject: &Subject{"blocks", "1", 0}}, ErrEntry},
		"body not JSON":    {Entry{Kind: "x", Key: "z", Body: json.RawMessage(`{`)}, ErrEntry},
	}
	head := b.Head()
	for name, tt := range tests {
		if _, err := b.Post(tt.e); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := b.PostAll([]Entry{credit("ok", 1, 1), credit("z", 1, 0)}); !errors.Is(err, ErrEntry) {
		t.Errorf("batch with one bad entry: %v", err)
	}
	if b.Head() != head || b.Balance(CoinbaseImmature) != 5 {
		t.Error("a refused entry left a trace")
	}
}

func TestOverdraftIsNamedAndOnlyGrowsWhenNamed(t *testing.T) {
	b := open(t, t.TempDir())
	owed := MinerAvailable(account(1))
	take := func(key string, over ...Account) error {
		_, err := b.Post(Entry{Kind: "orphan", Key: key, Overdraft: over, Postings: []Posting{{owed, OperatorEquity, 10}}})
		return err
	}
	if err := take("1"); !errors.Is(err, ErrOverdraft) {
		t.Errorf("unnamed: %v", err)
	}
	if err := take("2", owed); err != nil {
		t.Errorf("named: %v", err)
	}
	if err := take("3"); !errors.Is(err, ErrOverdraft) {
		t.Errorf("deeper without a name: %v", err)
	}
	if _, err := b.Post(Entry{Kind: "x", Key: "4", Postings: []Posting{{OperatorEquity, owed, 4}}}); err != nil {
		t.Errorf("towards zero: %v", err)
	}
	if b.Balance(owed) != -6 {
		t.Errorf("balance %d, want -6", b.Balance(owed))
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	if _, err := Open(Options{Dir: dir, Pool: "main"}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	b.Close()
	if _, err := b.Post(credit("a", 1, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("post after close: %v", err)
	}
	open(t, dir)
}

// Every cut of the file gives the entries that are whole; every changed byte is refused with its line.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	for i := range 3 {
		mustPost(t, b, credit(fmt.Sprint(i), i, 5))
	}
	b.Close()
	path := filepath.Join(dir, fileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for cut := 0; cut <= len(whole); cut += 7 {
		write(whole[:cut])
		b := open(t, dir)
		want := bytes.Count(whole[:cut], []byte("\n"))
		if got := int(b.Head().Seq); got != want {
			t.Fatalf("cut at %d: %d entries, want %d", cut, got, want)
		}
		for i := range 3 { // goes on from there
			if _, err := b.Post(credit(fmt.Sprint(i), i, 5)); err != nil && !errors.Is(err, ErrExists) {
				t.Fatal(err)
			}
		}
		b.Close()
		b = open(t, dir)
		if b.Balance(CoinbaseImmature) != 15 {
			t.Fatalf("cut at %d: balance %d", cut, b.Balance(CoinbaseImmature))
		}
		b.Close()
	}
	for i := 0; i < len(whole)-1; i += 3 {
		bad := slices.Clone(whole)
		bad[i] ^= 0x01
		write(bad)
		_, err := Open(Options{Dir: dir, Pool: "main"})
		line := bytes.Count(whole[:i], []byte("\n")) + 1
		if whole[i] == '\n' {
			continue // joins two lines: named as the first of them
		}
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("line %d,", line)) {
			t.Fatalf("byte %d of line %d changed: %v", i, line, err)
		}
	}
	write(whole)
	if _, err := Open(Options{Dir: dir, Pool: "other"}); !errors.Is(err, ErrEntry) {
		t.Errorf("a book of another pool: %v", err)
	}
}

// A history rewritten with valid hashes but impossible content is refused too.
func TestForgedLines(t *testing.T) {
	base := func() []Entry {
		return []Entry{
			{V: 1, Seq: 1, Term: 1, Pool: "main", Kind: "k", Key: "1", Postings: []Posting{{CoinbaseImmature, Carry, 5}}},
			{V: 1, Seq: 2, Term: 1, Pool: "main", Kind: "k", Key: "2", Postings: []Posting{{Carry, CoinbaseImmature, 5}}},
		}
	}
	for name, change := range map[string]func([]Entry){
		"honest":        func([]Entry) {},
		"gap":           func(e []Entry) { e[1].Seq = 3 },
		"term falls":    func(e []Entry) { e[0].Term = 2 },
		"no term":       func(e []Entry) { e[0].Term = 0 },
		"key twice":     func(e []Entry) { e[1].Key = "1" },
		"negative":      func(e []Entry) { e[1].Postings[0].Amount = -5 },
		"overdraft":     func(e []Entry) { e[1].Postings[0].Amount = 6 },
		"other version": func(e []Entry) { e[1].V = 2 },
	} {
		dir := t.TempDir()
		var data []byte
		var prev [32]byte
		entries := base()
		change(entries)
		for _, e := range entries {
			body, err := encode(e)
			if err != nil {
				t.Fatal(err)
			}
			data, prev = appendLine(data, body, prev)
		}
		if err := os.WriteFile(filepath.Join(dir, fileName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(Options{Dir: dir, Pool: "main"})
		if (err == nil) != (name == "honest") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			b.Close()
		}
	}
}

// faulty fails one write or one fsync.
type faulty struct {
	file
	failWrite, failSync, failTruncate bool
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if f.failWrite {
		n, _ := f.file.WriteAt(p[:len(p)/2], off)
		return n, errors.New("no space left")
	}
	return f.file.WriteAt(p, off)
}

func (f *faulty) Sync() error {
	if f.failSync {
		return errors.New("input/output error")
	}
	return f.file.Sync()
}

func (f *faulty) Truncate(n int64) error {
	if f.failTruncate {
		return errors.New("input/output error")
	}
	return f.file.Truncate(n)
}

func TestDiskErrors(t *testing.T) {
	dir := t.TempDir()
	var f *faulty
	b, err := Open(Options{Dir: dir, Pool: "main", wrap: func(inner file) file { f = &faulty{file: inner}; return f }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	mustPost(t, b, credit("1", 1, 1))
	f.failWrite = true
	if _, err := b.Post(credit("2", 1, 1)); err == nil {
		t.Fatal("a failed write was taken for a success")
	}
	f.failWrite = false
	mustPost(t, b, credit("2", 1, 1)) // a full disk that has room again
	f.failSync = true
	if _, err := b.Post(credit("3", 1, 1)); err == nil {
		t.Fatal("a failed fsync was taken for a success")
	}
	f.failSync = false
	if _, err := b.Post(credit("4", 1, 1)); err == nil {
		t.Fatal("the book went on after a failed fsync")
	}
	if b.Balance(CoinbaseImmature) != 2 {
		t.Errorf("balance %d, want 2", b.Balance(CoinbaseImmature))
	}
	b.Close()
	b = open(t, dir)
	if n := b.Head().Seq; n != 2 && n != 3 {
		t.Errorf("%d entries after opening again", n)
	}
}

// The book equals a straightforward model, also when it is opened again between any two posts.
func TestBookAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		b, err := Open(Options{Dir: dir, Pool: "main"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { b.Close() }()
		model := map[Account]int64{}
		posted := map[string]bool{}
		accounts := []Account{CoinbaseImmature, Wallet, Carry, PoolFee, OperatorEquity, MinerAvailable(account(1)), MinerInPayout(account(1))}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			if rapid.IntRange(0, 5).Draw(t, "reopen") == 0 {
				head := b.Head()
				b.Close()
				if b, err = Open(Options{Dir: dir, Pool: "main"}); err != nil {
					t.Fatal(err)
				}
				if b.Head() != head {
					t.Fatalf("head %v became %v", head, b.Head())
				}
			}
			e := Entry{Kind: "k", Key: rapid.StringMatching(`[a-d]{1,2}`).Draw(t, "key")}
			after := map[Account]int64{}
			for a, v := range model {
				after[a] = v
			}
			for range rapid.IntRange(1, 3).Draw(t, "postings") {
				p := Posting{
					Debit:  rapid.SampledFrom(accounts).Draw(t, "debit"),
					Credit: rapid.SampledFrom(accounts).Draw(t, "credit"),
					Amount: pool.Amount(rapid.Int64Range(1, 20).Draw(t, "amount")),
				}
				if p.Debit == p.Credit {
					continue
				}
				e.Postings = append(e.Postings, p)
				if p.Debit.DebitNormal() {
					after[p.Debit] += int64(p.Amount)
				} else {
					after[p.Debit] -= int64(p.Amount)
				}
				if p.Credit.DebitNormal() {
					after[p.Credit] -= int64(p.Amount)
				} else {
					after[p.Credit] += int64(p.Amount)
				}
			}
			var legal = true
			for a, v := range after {
				if v < 0 && v < model[a] && a != PoolFee && a != OperatorEquity {
					legal = false
				}
			}
			_, err := b.Post(e)
			switch {
			case posted[e.Key]:
				if !errors.Is(err, ErrExists) && !errors.Is(err, ErrKeyReuse) {
					t.Fatalf("known key: %v", err)
				}
			case !legal:
				if !errors.Is(err, ErrOverdraft) {
					t.Fatalf("overdraft: %v", err)
				}
			case err != nil:
				t.Fatal(err)
			default:
				posted[e.Key], model = true, after
			}
			for _, a := range accounts {
				if int64(b.Balance(a)) != model[a] {
					t.Fatalf("%s is %d, the model says %d", a, b.Balance(a), model[a])
				}
			}
		}
	})
}

func TestHundredThousandPostings(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	dir := t.TempDir()
	b := open(t, dir)
	e := Entry{Kind: "block.immature", Key: "big"}
	for i := range 100_000 {
		var id pool.AccountID
		id[0], id[1], id[2] = byte(i), byte(i>>8), byte(i>>16)
		e.Postings = append(e.Postings, Posting{CoinbaseImmature, MinerImmature(id), 3})
	}
	mustPost(t, b, e)
	b.Close()
	b = open(t, dir)
	if b.Balance(CoinbaseImmature) != 300_000 {
		t.Errorf("balance %d", b.Balance(CoinbaseImmature))
	}
}

func FuzzParseLine(f *testing.F) {
	body, err := encode(Entry{V: 1, Seq: 1, Term: 1, Pool: "main", Kind: "k", Key: "1", Postings: []Posting{{CoinbaseImmature, Carry, 5}}})
	if err != nil {
		f.Fatal(err)
	}
	line, _ := appendLine(nil, body, [32]byte{})
	f.Add(bytes.TrimSuffix(line, []byte("\n")))
	f.Add(body)
	f.Add([]byte(`{"v":1,"kind":"k","key":"x","body":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseLine(data, [32]byte{}) // any bytes: no panic
		// the same bytes under a right hash: what is accepted is written back to the same meaning
		hash := chain([32]byte{}, data)
		e, _, err := parseLine([]byte(hex.EncodeToString(hash[:])+" "+string(data)), [32]byte{})
		if err != nil {
			return
		}
		again, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		line, _ := appendLine(nil, again, [32]byte{})
		e2, _, err := parseLine(bytes.TrimSuffix(line, []byte("\n")), [32]byte{})
		if err != nil {
			t.Fatalf("%s was accepted, its rewriting %s is refused: %v", data, again, err)
		}
		d1 := e.digest()
		d2 := e2.digest()
		if d1 != d2 || e.Seq != e2.Seq || e.Key != e2.Key {
			t.Fatalf("%+v became %+v", e, e2)
		}
	})
}

func BenchmarkPost(b *testing.B) {
	book := open(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		mustPost(b, book, credit(fmt.Sprint(i), 1, 1))
	}
}

func TestEntriesOfAnEmptyBook(t *testing.T) {
	b, err := Open(Options{Dir: t.TempDir(), Pool: "toy"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for e, err := range b.Entries(0) {
		t.Errorf("an empty book has %v (%v)", e, err)
	}
}
