package keeper

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// Recover brings a pool's directory, which nobody has open, up to another one of the same pool: the other
// ledger's disk, mounted or copied whole. The other's chain is checked whole and must go on from what is
// here; entries here that it lacks are moved aside if they were never committed. It returns how many entries
// were copied, and the head then.
func Recover(ctx context.Context, poolID, dir, from string, log zerolog.Logger) (copied uint64, head ledger.Head, err error) {
	source, err := ledger.View(filepath.Join(from, LedgerDir), poolID, 0)
	if err != nil {
		return 0, head, err
	}
	defer source.Close()
	k := &Keeper{o: Options{Dir: dir, Settle: settle.Options{Pool: poolID}}, log: log, owner: "recover", said: make(map[string]time.Time)}
	if err := k.open(); err != nil {
		return 0, head, err
	}
	defer func() {
		if closed := k.Close(); err == nil {
			err = closed
		}
	}()
	here := k.book.Standing()
	leader := Leader{max(source.Head().Term, here.Term, here.Head.Term) + 1, k.owner}
	if _, err := k.book.Promise(leader.Term, leader.Owner); err != nil {
		return 0, head, err
	}
	fork := uint64(0)
	for low, high := uint64(0), min(here.Head.Seq, source.Head().Seq); low <= high; {
		middle := (low + high + 1) / 2
		a, err := k.book.HeadAt(middle)
		if err != nil {
			return 0, head, err
		}
		b, err := source.HeadAt(middle)
		if err != nil {
			return 0, head, err
		}
		if a == b {
			fork, low = middle, middle+1
		} else {
			high = middle - 1
		}
	}
	if fork == source.Head().Seq && fork < here.Head.Seq {
		return 0, here.Head, fmt.Errorf("the ledger in %s ends at entry %d, the one in %s at %d: nothing is to be recovered from it", from, fork, dir, here.Head.Seq)
	}
	at, err := k.book.HeadAt(fork)
	if err != nil {
		return 0, head, err
	}
	if err := k.book.Cut(leader.Term, leader.Owner, at); err != nil {
		return 0, head, err
	}
	if err := syncFiles(ctx, k, leader, from); err != nil {
		return 0, head, err
	}
	for at.Seq < source.Head().Seq {
		lines, _, err := source.Lines(at.Seq, linesBytes)
		if err != nil {
			return 0, head, err
		}
		if at, err = k.book.Follow(leader.Term, leader.Owner, at, lines, ledger.Head{}); err != nil {
			return 0, head, err
		}
	}
	return at.Seq - fork, at, nil
}
