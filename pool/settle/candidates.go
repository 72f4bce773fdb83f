package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// delivered gets the found blocks that edges sent and nobody acknowledged.
func (s *Settler) delivered(ctx context.Context) []CandidateMsg {
	call, cancel := context.WithTimeout(ctx, s.o.Deadline)
	defer cancel()
	found, err := s.o.Streams.Candidates(call, "")
	if err != nil {
		s.warn("candidates", err, "found blocks cannot be read")
		return nil
	}
	return found
}

// candidates takes in found blocks. The error is one of the disk.
func (s *Settler) candidates(ctx context.Context, found []CandidateMsg) error {
	for i := range found {
		m := &found[i]
		err := s.candidate(&m.Candidate)
		switch {
		case errors.Is(err, errDisk):
			return err
		case err != nil:
			if s.again("candidate "+m.ID, time.Minute) {
				s.log.Error().Str(pool.EventField, pool.EventSettleWaits).Err(err).Stringer("block", m.Hash).Int64("height", m.Height).Msg("a found block cannot be taken in")
			}
			continue
		}
		call, cancel := context.WithTimeout(ctx, s.o.Deadline)
		if err := s.o.Streams.AckCandidate(call, m.ID); err != nil {
			s.warn("candidates", err, "a found block cannot be acknowledged")
		}
		cancel()
	}
	return nil
}

// errDisk marks failures after which the state in memory and on disk may differ.
var errDisk = errors.New("slices")

// candidate takes in one found block. It may come any number of times.
func (s *Settler) candidate(c *pool.Candidate) error {
	if c.Pool != s.o.Pool {
		return fmt.Errorf("block %s is of pool %q", c.Hash, c.Pool)
	}
	var doc ledger.BlockDoc
	known, err := ledger.Decode(s.o.Book, ledger.SetBlocks, c.Hash.String(), &doc)
	if err != nil {
		return err
	}
	if known {
		return s.named(&doc, c)
	}
	solo := c.Share.Scheme == pool.SchemeSOLO || s.o.Scheme.ID() == pool.SchemeSOLO
	doc = ledger.BlockDoc{
		Hash: c.Hash, Height: c.Height, Time: c.Time, Bits: c.Bits, Value: c.Value,
		Finder: &c.Share.Account, Worker: c.Share.Worker, Epoch: c.Epoch, Seq: c.Share.Seq,
	}
	share := &c.Share
	if share.Seq == 0 && share.Credit.IsZero() {
		share = nil // stale: the block counts, the share does not
	}
	return s.register(&doc, solo, share)
}

// named adds the finder to a block that was learnt of from the chain before.
func (s *Settler) named(doc *ledger.BlockDoc, c *pool.Candidate) error {
	if doc.Finder != nil {
		return nil
	}
	doc.Finder, doc.Worker, doc.Epoch, doc.Seq = &c.Share.Account, c.Share.Worker, c.Epoch, c.Share.Seq
	return s.postDoc(doc, "block.named", fmt.Sprintf("block/%s/named", doc.Hash), nil, nil)
}

// register enters a block that the book does not know: its window ends here.
func (s *Settler) register(doc *ledger.BlockDoc, solo bool, share *pool.Share) error {
	fees, err := ledger.ReadFees(s.o.Book)
	if err != nil {
		return err
	}
	doc.Scheme = s.o.Scheme.ID().String()
	if solo {
		doc.Scheme = pool.SchemeSOLO.String()
	}
	fee := fees.At(doc.Height, doc.Scheme)
	doc.FeeVersion, doc.FeePPM = fee.Version, fee.PPM
	if solo && doc.Finder != nil {
		doc.FeePPM, doc.FeeVersion = fees.For(doc.Height, doc.Scheme, *doc.Finder)
	}
	if !solo {
		doc.AccountFees = fees.Own(doc.Height, doc.Scheme)
		if share != nil {
			if _, err := s.fold.score(share); err != nil {
				return fmt.Errorf("block %s: %w", doc.Hash, err)
			}
		}
		last, err := s.fold.found(doc.Hash, doc.Epoch, share)
		if err != nil {
			return fmt.Errorf("%w: close the window of block %s: %w", errDisk, doc.Hash, err)
		}
		s.dirty = true
		w, err := s.o.Scheme.Window(s.walk(nil, last))
		if err != nil {
			return fmt.Errorf("window of block %s: %w", doc.Hash, err)
		}
		if w.Last == 0 { // the scheme looked at nothing
			return fmt.Errorf("window of block %s: scheme %s took no slice", doc.Hash, doc.Scheme)
		}
		doc.Window = &ledger.BlockWindow{First: w.First, Last: w.Last, Rest: w.Rest}
	}
	if err := s.post(doc, ledger.BlockSubmitted, nil, nil); err != nil {
		return err
	}
	event := s.log.Info().Stringer("block", doc.Hash).Int64("height", doc.Height).Str("scheme", doc.Scheme)
	if doc.Finder != nil {
		event = event.Stringer("finder", doc.Finder).Str("worker", doc.Worker)
	}
	event.Msg("block found")
	s.blocks[doc.Hash] = &tracked{doc.Hash, doc.Height, doc.State}
	return nil
}

// post writes a block's next state.
func (s *Settler) post(doc *ledger.BlockDoc, state ledger.BlockState, postings []ledger.Posting, overdraft []ledger.Account) error {
	doc.State = state
	doc.Step++
	return s.postDoc(doc, "block."+string(state), fmt.Sprintf("block/%s/%d/%s", doc.Hash, doc.Step, state), postings, overdraft)
}

func (s *Settler) postDoc(doc *ledger.BlockDoc, kind, key string, postings []ledger.Posting, overdraft []ledger.Account) error {
	body, err := ledger.Body(doc)
	if err != nil {
		return err
	}
	_, err = s.o.Book.Post(ledger.Entry{
		Kind: kind, Key: key, Body: body, Postings: postings, Overdraft: overdraft,
		Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: doc.Hash.String(), Rank: doc.Height},
	})
	if err != nil && !errors.Is(err, ledger.ErrExists) {
		return err
	}
	return nil
}
