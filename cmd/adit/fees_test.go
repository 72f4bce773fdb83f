package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

type toyDocs struct {
	docs []json.RawMessage
	err  error
}

func (d *toyDocs) Docs(_ context.Context, set, after string, limit int) ([]json.RawMessage, string, int, error) {
	if set != ledger.SetFees || d.err != nil {
		return nil, "", 0, errors.Join(d.err, errors.New("away"))
	}
	from, next := 0, ""
	if after != "" {
		from, _ = strconv.Atoi(after)
	}
	end := min(from+min(limit, 2), len(d.docs)) // a store may give fewer than asked for
	if end < len(d.docs) {
		next = strconv.Itoa(end)
	}
	return d.docs[from:end], next, len(d.docs), nil
}

// What a SOLO finder pays is the configuration's until the ledger has a schedule, then the ledger's, also
// while the store is away.
func TestFeeWatch(t *testing.T) {
	ann := pool.AccountID{1}
	d := new(toyDocs)
	f := newFeeWatch(d, 11, zerolog.Nop())
	if err := f.read(t.Context()); err != nil || f.solo(5, ann) != 11 {
		t.Fatalf("%v, %d", err, f.solo(5, ann))
	}
	for _, doc := range []ledger.FeeDoc{
		{Version: 4, PPM: 7, Height: 9, Account: &ann, Scheme: "solo"}, {Version: 3, PPM: 33, Height: 9, Scheme: "pplns"},
		{Version: 2, PPM: 22, Height: 6, Scheme: "solo"}, {Version: 1, PPM: 10},
	} {
		body, err := ledger.Body(doc)
		if err != nil {
			t.Fatal(err)
		}
		d.docs = append(d.docs, body)
	}
	if err := f.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.err = errors.New("gone")
	if err := f.read(t.Context()); err == nil {
		t.Error("a store that is away gives no error")
	}
	for height, want := range map[int64]uint32{5: 10, 6: 22, 9: 7} {
		if got := f.solo(height, ann); got != want {
			t.Errorf("at height %d: %d", height, got)
		}
	}
	if got := f.solo(9, pool.AccountID{2}); got != 22 {
		t.Errorf("somebody else: %d", got)
	}
}
