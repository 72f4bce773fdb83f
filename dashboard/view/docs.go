package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"golang.org/x/sync/singleflight"
)

const (
	newest   = 50 // documents of a set in every snapshot
	maxPages = 64 // of one set kept in memory
)

// ErrNoDoc reports a document that is not there.
var ErrNoDoc = errors.New("no such document")

// Rows is a stretch of a set's documents, highest rank first. It is not changed after it was made.
type Rows[T any] struct {
	Docs  []*T
	Next  string // where the next stretch begins, "" at the end
	Total int    // documents in the set

	head ledger.Head // that the documents were read at, or before
}

// docPages remembers stretches of a set for as long as the ledger stands still.
type docPages[T any] struct {
	pool   *Pool  // static
	set    string // static
	flight singleflight.Group
	mu     sync.Mutex
	pages  map[string]*Rows[T] // guarded by mu
}

// Page lists up to limit documents from behind cursor.
func (d *docPages[T]) Page(snap *Snapshot, cursor string, limit int) (*Rows[T], error) {
	return d.page(snap.Head, cursor, limit)
}

// page returns a stretch as the store had it at head or later.
func (d *docPages[T]) page(head ledger.Head, cursor string, limit int) (*Rows[T], error) {
	name := fmt.Sprint(limit, " ", cursor)
	d.mu.Lock()
	c := d.pages[name]
	d.mu.Unlock()
	if c != nil && c.head == head {
		return c, nil
	}
	v, err, _ := d.flight.Do(fmt.Sprint(name, head), func() (any, error) {
		c := &Rows[T]{head: head}
		err := d.pool.call(func(ctx context.Context) error {
			bodies, next, total, err := d.pool.Info.Store.Docs(ctx, d.set, cursor, limit)
			c.Next, c.Total = next, total
			for _, body := range bodies {
				doc := new(T)
				if err := json.Unmarshal(body, doc); err != nil {
					d.pool.board.opts.Log.Warn().Err(err).Str(pool.EventField, pool.EventLedgerUnreadable).Str("pool", d.pool.Info.ID).Str("set", d.set).Msg("unreadable ledger document")
					continue
				}
				c.Docs = append(c.Docs, doc)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.pages == nil || len(d.pages) >= maxPages {
			d.pages = make(map[string]*Rows[T])
		}
		d.pages[name] = c
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*Rows[T]), nil
}

// doc reads one document into v, or returns ErrNoDoc.
func (p *Pool) doc(set, id string, v any) error {
	return p.call(func(ctx context.Context) error {
		body, err := p.Info.Store.Doc(ctx, set, id)
		if want := p.board.opts.NoDoc; err != nil && want != nil && errors.Is(err, want) {
			return ErrNoDoc
		}
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, v); err != nil {
			return fmt.Errorf("read document %s/%.80q: %w", set, id, err)
		}
		return nil
	})
}

// Block reads one block's document, or returns ErrNoDoc.
func (p *Pool) Block(id pool.Hash) (*ledger.BlockDoc, error) {
	doc := new(ledger.BlockDoc)
	return doc, p.doc(ledger.SetBlocks, id.String(), doc)
}

// Payout reads one payout's document, or returns ErrNoDoc.
func (p *Pool) Payout(id string) (*payout.BatchDoc, error) {
	doc := new(payout.BatchDoc)
	if len(id) > 64 {
		return doc, ErrNoDoc
	}
	return doc, p.doc(payout.SetPayouts, id, doc)
}

// BadCursor reports whether a list's error is about the cursor that the client sent.
func (p *Pool) BadCursor(err error) bool {
	want := p.board.opts.BadCursor
	return want != nil && errors.Is(err, want)
}

// Finders are the addresses of the accounts that found blocks, "" where none is known.
func (p *Pool) Finders(docs []*ledger.BlockDoc) ([]string, error) {
	out := make([]string, len(docs))
	var ids []pool.AccountID
	var at []int
	for i, d := range docs {
		if id, _ := p.Finder(d); id != nil {
			ids, at = append(ids, *id), append(at, i)
		}
	}
	addresses, err := p.Addresses(ids)
	if err != nil {
		return nil, err
	}
	for i, a := range addresses {
		out[at[i]] = a
	}
	return out, nil
}

// Confirmations of a block, 0 for one that does not stand. height is that of the job in hand: the tip's
// and one.
func Confirmations(d *ledger.BlockDoc, height int64) int64 {
	if d.State != ledger.BlockImmature && d.State != ledger.BlockMature {
		return 0
	}
	return max(height-d.Height, 0)
}
