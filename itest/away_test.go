//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker"
)

// TestPartsAway stops the node, and then Redis, under a pool at work. Each shows in readyz; miners keep
// their job and every share they are promised is counted; the pool recovers by itself.
func TestPartsAway(t *testing.T) {
	s, node, redis := startRare(t)
	r := newRigs()
	ctx, stopRigs := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stopRigs(); wg.Wait() })
	wg.Go(func() {
		err := worker.Run(ctx, worker.Options{
			Pool: s.state.Stratum, User: s.state.RewardAddress + ".rig", Kernel: sha256d.Kernel{}, Threads: 1,
			Limit: worker.NewLimit(20_000), Log: zerolog.Nop(), Observer: r.observe,
		})
		if err != nil {
			t.Errorf("rig: %v", err)
		}
	})
	more := func(what string) {
		t.Helper()
		_, before := r.count()
		s.await(what, time.Minute, func() error {
			if _, now := r.count(); now < before+15 {
				return fmt.Errorf("%d shares acknowledged", now-before)
			}
			return nil
		})
	}
	ready := func(want bool, words ...string) {
		t.Helper()
		s.await(fmt.Sprintf("ready %v %v", want, words), time.Minute, func() error {
			var text string
			err := s.get("/readyz", &text)
			if (err == nil) != want {
				return fmt.Errorf("%v %s", err, text)
			}
			for _, w := range words {
				if !strings.Contains(strings.ToLower(err.Error()), w) {
					return fmt.Errorf("%q is not in %v", w, err)
				}
			}
			return nil
		})
	}
	found := func() int {
		t.Helper()
		var blocks struct{ Total int }
		if err := s.get("/api/v1/pools/bitcoin/blocks?limit=1", &blocks); err != nil {
			t.Fatal(err)
		}
		return blocks.Total
	}
	more("shares at the start")
	pause := func(pid int, what string, f func()) {
		t.Helper()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		resumed := false
		resume := func() {
			if !resumed {
				resumed = true
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
		}
		defer resume()
		ready(false, what)
		f()
		resume()
		ready(true)
	}
	pause(node.PID(), "node", func() { more("shares while the node is away") })
	before := found()
	s.await("a block after the node came back", time.Minute, func() error {
		if found() == before {
			return errors.New("none")
		}
		return nil
	})
	pause(redis.PID(), "redis", func() {
		more("shares while Redis is away")
		ready(false, "redis", "shares wait in the journal")
	})
	more("shares after Redis came back")
	stopRigs()
	wg.Wait()
	s.stop()

	shares := map[string]map[uint64]*shareLine{}
	s.journalShares(shares)
	counted := map[string]bool{}
	for _, of := range shares {
		for _, sh := range of {
			counted[sh.Hash] = true
		}
	}
	for h := range r.acknowledged {
		if !counted[h] {
			t.Errorf("acknowledged share %s is not counted", h)
		}
	}
	lines := jsonLines[sliceLine](t, s.adit("slices", "cat", "--data-dir", s.dir))
	if n := countOnce(t, lines, shares); n != len(counted) {
		t.Errorf("the slices count %d shares, the journal has %d", n, len(counted))
	}
	t.Logf("%d acknowledged; refused: %v", len(r.acknowledged), r.rejected)
}
