//go:build itest

package itest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/worker"
)

// standbyRounds is how often both faults come; more find nothing else, and each takes half a minute.
const standbyRounds = 1

// TestStandby kills and pauses the active one of two ledgers, again and again, while rigs on two edges write
// down every true they get. The other takes over each time; what sleeps and wakes changes nothing; in the end
// every share is counted once, and the two disks hold the same.
func TestStandby(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not on PATH")
		}
		t.Skip("redis-server is not on PATH: make deps installs it")
	}
	p := startChaos(t, startChaosNode(t), "single", rand.New(rand.NewPCG(1, 2)))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	stopRigs := func() { cancel(); wg.Wait() }
	defer stopRigs()
	for i, user := range []string{"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.one", p.ledger.template.state.RewardAddress + ".two"} {
		wg.Go(func() {
			err := worker.Run(ctx, worker.Options{Pool: p.edges[i].template.state.Stratum, User: user, Kernel: sha256d.Kernel{}, Threads: 1,
				Limit: worker.NewLimit(30_000), Log: zerolog.Nop(), Observer: p.rigs.observe})
			if err != nil {
				t.Errorf("rig %s: %v", user, err)
			}
		})
	}
	work := func() {
		t.Helper()
		_, before := p.rigs.count()
		p.edges[0].s.await("shares", time.Minute, func() error {
			if _, now := p.rigs.count(); now < before+40 {
				return errors.New("too few")
			}
			return nil
		})
	}
	work()
	// A command for the ledger is refused where it only stands by.
	standby := p.other(p.ledger)
	if out, err := exec.Command(aditBinary, "payout", "list", "--data-dir", standby.s.dir).CombinedOutput(); err == nil || !strings.Contains(string(out), "not the active one") {
		t.Errorf("a command to the standby: %v\n%s", err, out)
	}

	for range standbyRounds {
		active := p.ledger
		began := time.Now()
		active.s.kill()
		next := p.awaitActive(active, "alone", "both")
		t.Logf("%s took over %.1f s after kill -9", next.name, time.Since(began).Seconds())
		work()
		active.up()
		p.ledger = p.both()
		work()

		active = p.ledger
		began = time.Now()
		if err := syscall.Kill(active.pid(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		next = p.awaitActive(active, "alone", "both")
		t.Logf("%s took over %.1f s after SIGSTOP", next.name, time.Since(began).Seconds())
		work()
		if err := syscall.Kill(active.pid(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		p.ledger = p.both()
		if p.ledger != next {
			t.Errorf("the one that slept leads again")
		}
		work()
	}
	stopRigs()
	p.ledger = p.both()
	total := &outcome{done: map[string]int{}}
	p.judge(total)

	// The other disk comes from an old backup, and is brought up by the one at work without being served from.
	slow := p.other(p.ledger)
	p.ledger.up()
	p.awaitActive(nil, "alone")
	lines := oldBackup(t, slow)
	said := p.ledger.s.adit("ledger", "recover", "--peer", "--config", slow.config)
	if now := ledgerLines(t, slow); now < lines || !strings.Contains(said, fmt.Sprintf("%d entries were copied", now-5)) {
		t.Errorf("the ledger had %d entries, 5 in the backup, %d after recovering: %s", lines, now, said)
	}

	// Both once more, without miners: then the disks are the same.
	slow.up()
	p.ledger = p.both()
	p.other(p.ledger).s.stop() // what leads notes that it is alone; the other is a beginning of it
	p.ledger.s.stop()
	total.wrong += p.compareDisks()
	if !total.clean() {
		t.Errorf("not clean: %s", total)
	}
	t.Logf("%s", total)

	// The backup is all that is left: it is refused, until two people decide that the rest is lost.
	oldBackup(t, slow)
	slow.up()
	slow.s.await("a refusal", time.Minute, func() error {
		reports, err := p.reports()
		if r := reports[slow.name]; r.State != pool.LedgerStopped || !strings.Contains(r.Error, "behind what was published") {
			return fmt.Errorf("%+v, %v", r, err)
		}
		return nil
	})
	slow.s.stop()
	said = slow.s.adit("ledger", "forget", "--config", slow.config, "--author", "ann", "--approver", "bob", "--reason", "fire")
	if !strings.Contains(said, "forgotten") {
		t.Error(said)
	}
	slow.up()
	p.awaitActive(p.ledger, "alone")
	slow.s.stop()
}

// oldBackup leaves five entries of a stopped ledger, as a backup of long ago would have them, and returns how many
// there were.
func oldBackup(t *testing.T, m *member) int {
	t.Helper()
	dir := filepath.Join(m.s.dir, "bitcoin", "ledger")
	text, err := os.ReadFile(filepath.Join(dir, "ledger.log"))
	if err != nil {
		t.Fatal(err)
	}
	entries := bytes.SplitAfter(text, []byte("\n"))
	err = os.WriteFile(filepath.Join(dir, "ledger.log"), bytes.Join(entries[:5], nil), 0o600)
	if err := errors.Join(err, os.Remove(filepath.Join(dir, "standing"))); err != nil {
		t.Fatal(err)
	}
	return len(entries) - 1
}

func ledgerLines(t *testing.T, m *member) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.s.dir, "bitcoin", "ledger", "ledger.log"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}
