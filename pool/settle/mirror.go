package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool/ledger"
)

const (
	mirrorEntries  = 500
	mirrorPostings = 2000
)

// mirrorHead reads where the mirror stands and checks that the book has been there.
func (s *Settler) mirrorHead(ctx context.Context) (ledger.Head, error) {
	call, cancel := context.WithTimeout(ctx, s.o.Deadline)
	defer cancel()
	head, err := s.o.Mirror.Head(call)
	if err != nil {
		return ledger.Head{}, fmt.Errorf("read the mirror's head: %w", err)
	}
	if head.Seq > s.o.Book.Head().Seq {
		return ledger.Head{}, fmt.Errorf("%w (mirror at entry %d, disk at %d)", ErrDiskBehind, head.Seq, s.o.Book.Head().Seq)
	}
	at, err := s.o.Book.HeadAt(head.Seq)
	if err != nil {
		return ledger.Head{}, err
	}
	if at != head {
		return ledger.Head{}, fmt.Errorf("%w (entry %d)", ErrOtherHistory, head.Seq)
	}
	return head, nil
}

// mirror rolls the mirror forward whenever the book grows, in the book's order, until ctx ends. A mirror
// that lost entries gets them again.
func (s *Settler) mirror(ctx context.Context) error {
	wait := time.Duration(0)
	var warned time.Time
	for {
		changed := s.o.Book.Changed()
		err := s.rollForward(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrDiskBehind), errors.Is(err, ErrOtherHistory):
			return err
		case err != nil:
			if now := time.Now(); now.Sub(warned) > 10*time.Second {
				warned = now
				s.log.Warn().Err(err).Msg("the ledger's mirror is behind; its entries are on disk and follow")
			}
			wait = min(max(2*wait, 50*time.Millisecond), 2*time.Second)
			if sleep(ctx, wait) != nil {
				return nil
			}
			continue
		}
		wait = 0
		// A look now and then finds a Redis that was emptied while nothing was posted.
		t := time.NewTimer(2 * time.Second)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

// rollForward sends the mirror what it lacks, in chunks.
func (s *Settler) rollForward(ctx context.Context) error {
	prev, err := s.mirrorHead(ctx)
	if err != nil {
		return err
	}
	var entries []ledger.Entry
	var heads []ledger.Head
	postings := 0
	flush := func() error {
		if len(entries) == 0 {
			return nil
		}
		call, cancel := context.WithTimeout(ctx, s.o.Deadline+time.Duration(postings/mirrorPostings)*time.Second)
		defer cancel()
		if err := s.o.Mirror.Apply(call, prev, entries, heads); err != nil {
			return fmt.Errorf("mirror ledger entries from %d: %w", entries[0].Seq, err)
		}
		prev = heads[len(heads)-1]
		entries, heads, postings = nil, nil, 0
		return nil
	}
	for r, err := range s.o.Book.Records(prev.Seq) {
		if err != nil {
			return err
		}
		entries, heads = append(entries, r.Entry), append(heads, r.Head)
		if postings += len(r.Entry.Postings); len(entries) >= mirrorEntries || postings >= mirrorPostings {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
