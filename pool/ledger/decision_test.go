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
	if ok, err := Decode(b, SetFees, "4", &doc); !ok || err != nil || doc != (FeeDoc{Version: 4, PPM: 3, Height: 200, Author: "ann", Approver: "bob", Reason: "because"}) {
		t.Errorf("%+v, %v", doc, err)
	}
	for name, f := range map[string]func() (Entry, error){
		"below the newest": func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 199}, decided()) },
		"too much":         func() (Entry, error) { return ChangeFee(b, FeeDoc{PPM: 1_000_001, Height: 300}, decided()) },
		"no rate to go to": func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 300, Standard: true}, decided()) },
		"one person":       func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 300}, Decision{"ann", " Ann", "why"}) },
		"no reason":        func() (Entry, error) { return ChangeFee(b, FeeDoc{Height: 300}, Decision{"ann", "bob", " "}) },
	} {
		if _, err := f(); !errors.Is(err, ErrDecision) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The newest version for a scheme and an account counts, and only from its height on.
func TestFees(t *testing.T) {
	b, _ := decisionBook(t)
	ann, bob := pool.AccountID{1}, pool.AccountID{2}
	for _, doc := range []FeeDoc{
		{PPM: 10_000},
		{PPM: 5_000, Height: 10, Scheme: "solo"},
		{PPM: 0, Height: 20, Account: &ann},
		{PPM: 700, Height: 30, Account: &ann, Scheme: "solo"},
		{PPM: 900, Height: 20, Account: &bob, Scheme: "pplns"},
		{PPM: 20_000, Height: 40},
		{Height: 50, Account: &ann, Standard: true},
	} {
		if _, err := ChangeFee(b, doc, decided()); err != nil {
			t.Fatalf("%+v: %v", doc, err)
		}
	}
	if _, err := ChangeFee(b, FeeDoc{Height: 45, Account: &ann, Scheme: "solo"}, decided()); !errors.Is(err, ErrDecision) {
		t.Errorf("below the height of a version for the same blocks: %v", err)
	}
	f, err := ReadFees(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		height  int64
		scheme  string
		account pool.AccountID
		ppm     uint32
		version int
	}{
		{0, "pplns", ann, 10_000, 1}, {9, "solo", bob, 10_000, 1}, {10, "solo", bob, 5_000, 2}, {10, "pplns", bob, 10_000, 1},
		{19, "pplns", ann, 10_000, 1}, {20, "pplns", ann, 0, 3}, {29, "solo", ann, 0, 3}, {30, "solo", ann, 700, 4},
		{30, "pplns", ann, 0, 3}, {20, "pplns", bob, 900, 5}, {20, "solo", bob, 5_000, 2}, {40, "solo", bob, 20_000, 6},
		{49, "pplns", ann, 0, 3}, {50, "pplns", ann, 20_000, 6}, {50, "solo", ann, 20_000, 6},
	} {
		if ppm, version := f.For(tt.height, tt.scheme, tt.account); ppm != tt.ppm || version != tt.version {
			t.Errorf("%+v: %d of version %d", tt, ppm, version)
		}
	}
	right := BlockDoc{Height: 45, Scheme: "pplns", FeePPM: 20_000, FeeVersion: 6, Window: &BlockWindow{}, AccountFees: f.Own(45, "pplns")}
	if err := f.Check(&right); err != nil || len(right.AccountFees) != 2 {
		t.Errorf("%+v: %v", right.AccountFees, err)
	}
	right.AccountFees[0].PPM++
	if err := f.Check(&right); err == nil {
		t.Error("a rate that nobody decided is taken")
	}
	if err := f.Check(&BlockDoc{Height: 39, FeePPM: 20_000, FeeVersion: 6, Window: &BlockWindow{}}); err == nil {
		t.Error("a rate of later is taken")
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
