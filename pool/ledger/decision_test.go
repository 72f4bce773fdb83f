package ledger

import (
	"errors"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

func decided() Decision { return Decision{"ann", "bob", "because"} }

func decisionBook(t *testing.T) (*Book, string) {
	t.Helper()
	dir := t.TempDir()
	b, err := Open(Options{Dir: dir, Pool: "toy", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, dir
}

func TestChangeFee(t *testing.T) {
	b, _ := decisionBook(t)
	for i, height := range []int64{0, 100, 100, 200} {
		e, err := ChangeFee(b, FeeDoc{PPM: uint32(i), Height: height}, decided())
		if err != nil || e.Subject.Rank != int64(i)+1 {
			t.Fatalf("version %d: %+v, %v", i+1, e, err)
		}
	}
	var doc FeeDoc
	if ok, err := Decode(b, SetFees, "4", &doc); !ok || err != nil || doc != (FeeDoc{4, 3, 200, "ann", "bob", "because"}) {
		t.Errorf("%+v, %v", doc, err)
	}
	for name, f := range map[string]func() (Entry, error){
		"below the newest": func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 199}, decided()) },
		"too much":         func() (Entry, error) { return ChangeFee(b, FeeDoc{PPM: 1_000_001, Height: 300}, decided()) },
		"one person":       func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 300}, Decision{"ann", " Ann", "why"}) },
		"no reason":        func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 300}, Decision{"ann", "bob", " "}) },
	} {
		if _, err := f(); !errors.Is(err, ErrDecision) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAdjust(t *testing.T) {
	b, dir := decisionBook(t)
	id := pool.AccountID{7}
	adjust := func(key string, amount pool.Amount) error {
		_, err := Adjust(b, key, Adjustment{id, amount, decided()})
		return err
	}
	if err := adjust("a", 5); !errors.Is(err, ErrDecision) {
		t.Errorf("an account that nobody knows: %v", err)
	}
	body, _ := Body(AccountDoc{Account: id, Script: Hex{1}})
	if _, err := b.Post(Entry{Kind: "account.new", Key: "account/7", Body: body, Subject: &Subject{Set: SetAccounts, ID: id.String()}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key    string
		amount pool.Amount
		err    error
		after  pool.Amount
	}{
		{"a", 5, nil, 5}, {"a", 5, ErrExists, 5}, {"a", 6, ErrKeyReuse, 5}, {"b", -3, nil, 2}, {"c", -3, ErrOverdraft, 2},
		{"d", 0, ErrDecision, 2}, {"", 1, ErrDecision, 2}, {"e", -1 << 63, ErrDecision, 2},
	} {
		if err := adjust(tt.key, tt.amount); !errors.Is(err, tt.err) {
			t.Errorf("%s %d: %v, want %v", tt.key, tt.amount, err, tt.err)
		}
		if got := b.Balance(MinerAvailable(id)); got != tt.after || b.Balance(OperatorEquity) != -tt.after {
			t.Errorf("%s %d: balance %d, want %d", tt.key, tt.amount, got, tt.after)
		}
	}

	// The state folded anew from disk is the incremental one, and a view of fewer entries is another.
	head, digest, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for until, same := range map[uint64]bool{0: true, head.Seq: true, head.Seq - 1: false} {
		v, err := View(dir, "toy", until)
		if err != nil {
			t.Fatal(err)
		}
		at, again, err := v.Digest()
		if err != nil || (again == digest) != same || (at == head) != same {
			t.Errorf("view until %d: %+v %x, the book has %+v %x; %v", until, at, again, head, digest, err)
		}
		if _, err := v.Post(Entry{Kind: "x", Key: "x"}); !errors.Is(err, ErrView) {
			t.Errorf("a view takes an entry: %v", err)
		}
		v.Close()
	}
}
