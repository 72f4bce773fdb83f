package settle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

const (
	rejectDepth = 6  // blocks on top of another one before a block that no node knows is rejected
	viewDepth   = 24 // blocks below the tip that are always watched

	lookDeadline = time.Minute // of following the chain, however far it has gone on
)

// tracked is a block whose state may still change.
type tracked struct {
	hash   pool.Hash
	height int64
	state  ledger.BlockState
}

// loadBlocks reads the blocks from the book, and the highest slice that any refers to.
func (s *Settler) loadBlocks() (lastSlice uint64, err error) {
	for id, body := range s.o.Book.Docs(ledger.SetBlocks) {
		var doc ledger.BlockDoc
		if err := json.Unmarshal(body, &doc); err != nil {
			return 0, fmt.Errorf("read block %s of the ledger: %w", id, err)
		}
		if doc.Window != nil {
			lastSlice = max(lastSlice, doc.Window.Last)
		}
		s.blocks[doc.Hash] = &tracked{doc.Hash, doc.Height, doc.State}
		if leaf, ok := ledger.LeafOf(&doc); ok {
			s.leaves[doc.Hash] = leaf
		}
	}
	return lastSlice, nil
}

// final is the depth at which a block's state is not looked at any more.
func (s *Settler) final() int64 { return 2*s.o.Chain.Params().Maturity + rejectDepth }

// look follows the chain: blocks change their states, and blocks of ours that nobody told of are found.
// Only errors of the disk are returned.
func (s *Settler) look(ctx context.Context, now time.Time) error {
	call, cancel := context.WithTimeout(ctx, lookDeadline)
	defer cancel()
	tip, err := s.o.Node.Tip(call)
	if err != nil {
		s.warn("node", err, "the chain cannot be read")
		return nil
	}
	low := tip.Height - viewDepth
	if s.scanned.known {
		low = min(low, s.scanned.Height)
	}
	if !s.scanned.known { // no mark says which were final at the last look
		s.forget(tip.Height)
	}
	for _, b := range s.blocks {
		low = min(low, b.height)
	}
	was := s.chain.tip
	changed, err := s.chain.update(call, tip, low, now)
	if err != nil {
		s.warn("node", err, "the chain cannot be read")
		return nil
	}
	s.scanned.back(changed)
	if was != tip {
		s.log.Debug().Int64("height", tip.Height).Int64("from", changed).Msg("new tip")
	}
	answered := true
	for _, b := range s.sorted() {
		if err := s.check(call, b); err != nil {
			s.trouble(b, err)
			answered = answered && !errors.Is(err, errNode)
		}
	}
	if !answered { // the mark says how far all blocks were checked, too
		return nil
	}
	return s.scan(call, now)
}

// forget drops the blocks that were final when the chain had a height and all were checked against it.
func (s *Settler) forget(height int64) {
	for _, b := range s.blocks {
		if height-b.height >= s.final() && b.state != ledger.BlockSubmitted && b.state != ledger.BlockImmature {
			delete(s.blocks, b.hash)
		}
	}
}

// trouble logs what keeps a block from going on: the node's silence is a warning, the rest an error.
func (s *Settler) trouble(b *tracked, err error) {
	if errors.Is(err, errNode) {
		s.warn("node", err, "a block cannot be looked up")
		return
	}
	if s.again("block "+b.hash.String(), time.Minute) {
		s.log.Error().Str(pool.EventField, pool.EventSettleWaits).Err(err).Stringer("block", b.hash).Int64("height", b.height).Msg("a block cannot be settled")
	}
}

func (s *Settler) sorted() []*tracked {
	return slices.SortedFunc(maps.Values(s.blocks), func(a, b *tracked) int {
		return cmp.Or(cmp.Compare(a.height, b.height), bytes.Compare(a.hash[:], b.hash[:]))
	})
}

// errNode wraps what a node said, or did not say.
var errNode = errors.New("ask the node")

// check moves one block to the state that the chain shows, and drops it once that is final. Nothing is
// decided on an error.
func (s *Settler) check(ctx context.Context, b *tracked) error {
	active, known := s.chain.at(b.height)
	if !known {
		return nil
	}
	depth := s.chain.confirmations(b.height)
	if active == b.hash {
		switch {
		case b.state == ledger.BlockMature:
			if depth > s.final() {
				delete(s.blocks, b.hash)
			}
			return nil
		case b.state != ledger.BlockImmature:
			if err := s.credit(ctx, b); err != nil {
				return err
			}
		}
		if depth >= s.o.Chain.Params().Maturity {
			return s.mature(b)
		}
		return nil
	}
	if b.state == ledger.BlockOrphaned || b.state == ledger.BlockRejected {
		if depth > s.final() {
			delete(s.blocks, b.hash)
		}
		return nil
	}
	// Another block stands in its place: asked again, so that no mistake of the view costs anyone money.
	now, err := s.o.Node.BlockHash(ctx, b.height)
	if err != nil {
		return fmt.Errorf("%w for the block at height %d: %w", errNode, b.height, err)
	}
	if now != active { // read the chain anew
		s.scanned.back(s.chain.tip.Height - viewDepth)
		s.chain.reset()
		return nil
	}
	if b.state == ledger.BlockSubmitted {
		_, err := s.o.Node.BlockInfo(ctx, b.hash)
		switch {
		case errors.Is(err, pool.ErrNoBlock):
			if depth > rejectDepth {
				return s.move(b, ledger.BlockRejected, func(*ledger.BlockDoc) ([]ledger.Posting, error) { return nil, nil })
			}
			return nil
		case err != nil:
			return fmt.Errorf("%w for block %s: %w", errNode, b.hash, err)
		}
	}
	return s.orphan(b)
}

// move posts a block's next state; fill completes the document and gives the postings.
func (s *Settler) move(b *tracked, state ledger.BlockState, fill func(*ledger.BlockDoc) ([]ledger.Posting, error)) error {
	var doc ledger.BlockDoc
	ok, err := ledger.Decode(s.o.Book, ledger.SetBlocks, b.hash.String(), &doc)
	if err != nil || !ok {
		return fmt.Errorf("read block %s back from the ledger (found: %v): %w", b.hash, ok, err)
	}
	postings, err := fill(&doc)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		var overdraft []ledger.Account
		if state == ledger.BlockOrphaned || doc.Direct > 0 {
			overdraft = s.o.Book.Overdrafts(postings)
		}
		next := doc
		err := s.post(&next, state, postings, overdraft)
		if errors.Is(err, ledger.ErrOverdraft) && (state == ledger.BlockOrphaned || doc.Direct > 0) && try < 3 {
			continue // a payout was posted in between
		}
		if err != nil {
			return err
		}
		if len(overdraft) > 0 {
			s.log.Error().Str(pool.EventField, pool.EventLedgerOverdraft).Stringer("block", b.hash).Int64("height", b.height).Int("accounts", len(overdraft)).
				Str("state", string(state)).Msg("accounts were paid more than they are owed now and are below zero")
		}
		break
	}
	s.log.Info().Stringer("block", b.hash).Int64("height", b.height).Str("from", string(b.state)).
		Int64("value", int64(doc.Value)).Msg("block " + string(state))
	b.state = state
	if leaf, ok := ledger.LeafOf(&doc); ok {
		s.leaves[b.hash] = leaf
	}
	return nil
}

func (s *Settler) mature(b *tracked) error {
	return s.move(b, ledger.BlockMature, func(doc *ledger.BlockDoc) ([]ledger.Posting, error) { return doc.MaturePostings(), nil })
}

func (s *Settler) orphan(b *tracked) error {
	from := b.state
	return s.move(b, ledger.BlockOrphaned, func(doc *ledger.BlockDoc) ([]ledger.Posting, error) {
		switch from {
		case ledger.BlockImmature:
			return ledger.Reversed(doc.CreditPostings()), nil
		case ledger.BlockMature:
			return doc.LateReversal(), nil
		}
		return nil, nil
	})
}
