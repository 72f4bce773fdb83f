//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool/node/rpc"
	"github.com/adit-pool/adit/worker"
)

// TestKilledWhileMining kills the server with -9 again and again while rigs mine and write down every
// true they get. With either Redis: acknowledged ⊆ counted ⊆ submitted, each at most once; the money of
// before is the money of after; nothing is left running.
func TestKilledWhileMining(t *testing.T) {
	for _, redis := range []string{"server", "embedded"} {
		t.Run(redis, func(t *testing.T) { killedWhileMining(t, redis) })
	}
}

func killedWhileMining(t *testing.T, redis string) {
	dir := t.TempDir()
	args := []string{"--redis", redis, "--rigs=false"}
	s := startDev(t, dir, args...)
	addr := strings.TrimPrefix(s.state.Stratum, "stratum+tcp://")
	args = append(args, "--stratum-listen", addr) // the rigs find it again

	users := devUsers(t, s)
	r := newRigs()
	ctx, stopRigs := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stopRigs(); wg.Wait() })
	for i, user := range users {
		wg.Go(func() {
			err := worker.Run(ctx, worker.Options{
				Pool: "stratum+tcp://" + addr, User: user, Kernel: sha256d.Kernel{}, Threads: 1,
				Limit: worker.NewLimit(12 / float64(i+1)), Log: zerolog.Nop(), Observer: r.observe,
			})
			if err != nil {
				t.Errorf("rig %s: %v", user, err)
			}
		})
	}

	shares := map[string]map[uint64]*shareLine{}
	const kills = 4
	for kill := range kills {
		_, before := r.count()
		s.await("acknowledged shares", time.Minute, func() error {
			if _, now := r.count(); now < before+40 {
				return errors.New("too few")
			}
			return nil
		})
		s.kill()
		noChildren(t, dir)
		s.journalShares(shares) // as it lies on disk
		if redis == "server" && kill == kills-1 {
			// Redis loses everything as well: the ledger's disk alone must do.
			args = append(args, "--redis", "embedded")
		}
		s = startDev(t, dir, args...)
	}
	_, before := r.count()
	s.await("shares after the last kill", time.Minute, func() error {
		if _, now := r.count(); now < before+60 {
			return errors.New("too few")
		}
		return nil
	})
	stopRigs()
	wg.Wait()
	s.stop()
	noChildren(t, dir)
	s.journalShares(shares)

	journalled := map[string]bool{}
	for epoch, of := range shares {
		for seq, sh := range of {
			if journalled[sh.Hash] {
				t.Errorf("share %s is counted twice (%s/%d)", sh.Hash, epoch, seq)
			}
			journalled[sh.Hash] = true
		}
	}
	for h := range r.acknowledged {
		if !journalled[h] {
			t.Errorf("acknowledged share %s is not counted", h)
		}
	}
	for h := range journalled {
		if !r.submitted[h] {
			t.Errorf("counted share %s was never submitted", h)
		}
	}
	lines := jsonLines[sliceLine](t, s.adit("slices", "cat", "--data-dir", dir))
	if counted := countOnce(t, lines, shares); counted != len(journalled) {
		t.Errorf("the slices count %d shares, the journals have %d", counted, len(journalled))
	}
	extras := outOfTurn(lines)
	for i := range lines {
		compareSums(t, &lines[i], recomputeSlice(t, &lines[i], extras, shares))
	}
	t.Logf("%d kills: %d submitted, %d acknowledged, %d counted; refused: %v", kills, len(r.submitted), len(r.acknowledged), len(journalled), r.rejected)

	// What was booked before is there after one more start, and the books agree with the node.
	s = startDev(t, dir, "--redis", "embedded", "--rigs=false")
	s.await("books that agree with the node", 30*time.Second, func() error {
		if out := s.adit("payout", "reconcile", "--data-dir", dir); !strings.Contains(out, "agree") {
			return errors.New(out)
		}
		return nil
	})
	var blocks struct{ Blocks []blockView }
	s.await("blocks, once Redis has the books again", time.Minute, func() error {
		if err := s.pool("/blocks?limit=100", &blocks); err != nil {
			return err
		}
		if len(blocks.Blocks) < 3 {
			return fmt.Errorf("only %d", len(blocks.Blocks))
		}
		return nil
	})
	checked, lost := 0, 0
	for _, b := range blocks.Blocks {
		if b.State != "immature" && b.State != "mature" {
			continue
		}
		var whole blockView
		if err := s.pool("/blocks/"+b.Hash, &whole); err != nil {
			t.Fatal(err)
		}
		// The node was killed too, and may have forgotten its last blocks; the pool calls none of them
		// orphaned before another one stands in its place.
		var header struct{ Confirmations int64 }
		var refused *rpc.Error
		if err := s.node().Call(context.Background(), "getblockheader", &header, b.Hash, true); errors.As(err, &refused) {
			lost++
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		checkCredits(t, s, &whole)
		checked++
	}
	if checked < 3 {
		t.Errorf("only %d blocks to check, %d lost by the node", checked, lost)
	}
	s.stop()
}

// devUsers are three addresses of the site's network with worker names.
func devUsers(t *testing.T, s *site) []string {
	t.Helper()
	return []string{
		"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.one",          // P2PKH
		s.state.RewardAddress + ".two",                    // P2WPKH
		strings.ToUpper(s.state.RewardAddress) + "_three", // the same account in other letters
	}
}
