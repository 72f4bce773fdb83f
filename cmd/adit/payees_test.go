package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// oneDoc is a ledger with one document, or an error.
type oneDoc struct {
	doc json.RawMessage
	err error
}

func (d *oneDoc) Docs(_ context.Context, set, after string, limit int) ([]json.RawMessage, string, int, error) {
	if set != ledger.SetPayees || after != "" || limit != 1 {
		return nil, "", 0, errors.New("asked for something else")
	}
	if d.doc == nil {
		return nil, "", 0, d.err
	}
	return []json.RawMessage{d.doc}, "", 1, d.err
}

// An edge takes each list once, again when that failed, and none that it cannot read.
func TestPayeeWatch(t *testing.T) {
	var got []*pool.PayeeList
	var fail error
	docs := &oneDoc{}
	p := &payeeWatch{docs: docs, set: func(l *pool.PayeeList) error { got = append(got, l); return fail }}
	read := func(why string, wantErr bool, want int) {
		t.Helper()
		if err := p.read(t.Context()); (err != nil) != wantErr || len(got) != want {
			t.Errorf("%s: %v, %d lists taken, want %d", why, err, len(got), want)
		}
	}
	list := func(height int64, v int) json.RawMessage {
		body, err := ledger.Body(ledger.PayeesDoc{V: v, Tip: pool.Hash{byte(height)}, Height: height, Expires: 9,
			Payees: []ledger.CoinbasePayee{{Account: pool.AccountID{1}, Script: ledger.Hex{0x51}, Amount: 7}}})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	read("no list yet", false, 0)
	docs.doc = list(1, ledger.PayeesVersion)
	read("the first", false, 1)
	read("the same", false, 1)
	if l := got[0]; l.Tip != (pool.Hash{1}) || l.Expires != 9 || len(l.Payees) != 1 || l.Payees[0].Amount != 7 || string(l.Payees[0].Script) != "\x51" {
		t.Errorf("%+v", l)
	}
	docs.doc, fail = list(2, ledger.PayeesVersion), errors.New("no job")
	read("no job can be made", true, 2)
	fail = nil
	read("again", false, 3)
	docs.doc = list(3, ledger.PayeesVersion+1)
	read("another format", true, 3)
	docs.doc = json.RawMessage(`[]`)
	read("no list", true, 3)
	docs.doc, docs.err = nil, errors.New("away")
	read("Redis is away", true, 3)
}
