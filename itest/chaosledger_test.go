//go:build itest

package itest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// ledgerPair makes the keys of two ledgers, and what their configurations say of copying.
func ledgerPair(t *testing.T, dir string) map[string]string {
	t.Helper()
	names := []string{"ledger-1", "ledger-2"}
	var public, listen [2]string
	for i, name := range names {
		out, err := exec.Command(aditBinary, "ledger", "key", filepath.Join(dir, name+".key")).CombinedOutput()
		m := regexp.MustCompile(`peer_key = "([0-9a-f]{64})"`).FindSubmatch(out)
		if err != nil || m == nil {
			t.Fatalf("adit ledger key: %v\n%s", err, out)
		}
		public[i], listen[i] = string(m[1]), freePort(t)
	}
	out := map[string]string{}
	for i, name := range names {
		out[name] = fmt.Sprintf("copies = 2\nlisten = %q\npeer = %q\nkey_file = %q\npeer_key = %q\n", listen[i], listen[1-i], name+".key", public[1-i])
	}
	return out
}

// reports are what the ledger roles said last, by name.
func (c *chaos) reports() (map[string]pool.LedgerReport, error) {
	client := c.redis.client(c.redis.primary())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fields, err := client.HGetAll(ctx, "adit:{bitcoin}:ledgers").Result()
	if err != nil {
		return nil, err
	}
	out := make(map[string]pool.LedgerReport)
	for name, text := range fields {
		var r pool.LedgerReport
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, err
		}
		out[name] = r
	}
	return out, nil
}

// active is the ledger role other than the one named that has said since some time that it leads in one of some
// modes, nil when there is none; seen is all that was said.
func (c *chaos) active(since time.Time, not *member, modes ...string) (m *member, seen map[string]pool.LedgerReport, err error) {
	seen, err = c.reports()
	for _, m := range c.ledgers {
		r := seen[m.name]
		if m != not && r.State == pool.LedgerActive && slices.Contains(modes, r.Disks) && r.Time > since.UnixMilli() {
			return m, seen, err
		}
	}
	return nil, seen, err
}

// awaitActive waits until one ledger role that is not the one named has been active since the call, in one of
// some modes.
func (c *chaos) awaitActive(not *member, modes ...string) *member {
	c.t.Helper()
	for since := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		m, seen, err := c.active(since, not, modes...)
		if m != nil {
			return m
		}
		c.patient(since, "ledger that leads", fmt.Sprint(seen, err))
	}
}

// both waits until both disks hold the ledger and one says that it only stands by, and says whose leads. One
// that was paused may say once more what it was before.
func (c *chaos) both() *member {
	c.t.Helper()
	for since := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		m, seen, err := c.active(since, nil, "both")
		if m != nil {
			if r := seen[c.other(m).name]; r.State != pool.LedgerActive && r.Time > since.UnixMilli() {
				return m
			}
		}
		c.patient(since, "pair of ledgers with the same on both disks", fmt.Sprint(seen, err))
	}
}

// patient fails the test when something was waited for too long.
func (c *chaos) patient(since time.Time, what, seen string) {
	c.t.Helper()
	if time.Since(since) < 3*time.Minute {
		return
	}
	for _, m := range c.ledgers {
		c.t.Logf("%s:\n%s", m.name, tail(m.s.printed(), 4000))
	}
	c.t.Fatalf("no %s within three minutes: %s", what, seen)
}

func (c *chaos) other(m *member) *member {
	if m == c.ledgers[0] {
		return c.ledgers[1]
	}
	return c.ledgers[0]
}

// ledgerFaults are those of the two ledgers. Each begins when both disks hold the ledger: with one of them
// behind, losing the other one and what Redis wrote last is more than two disks and a witness can bear.
func (c *chaos) ledgerFaults() []fault {
	whole := func(do func(active, standby *member)) func() {
		return func() {
			c.revive()
			c.ledger = c.both()
			do(c.ledger, c.other(c.ledger))
		}
	}
	all := []fault{
		{"ledger killed", whole(func(active, _ *member) { c.down(active); active.up() })},
		{"ledger paused", whole(func(active, _ *member) { c.pause(active.pid()) })},
		{"standby killed", whole(func(_, standby *member) { c.down(standby); c.nap(); standby.up() })},
		{"standby paused", whole(func(_, standby *member) { c.pauseFor(standby.pid(), func() { c.nap(); c.nap(); c.nap() }) })},
		{"both ledgers killed", whole(func(active, standby *member) {
			c.down(active)
			c.down(standby)
			standby.launch()
			active.up()
			standby.awaitUp()
		})},
		{"takeover after kill -9", whole(func(active, _ *member) {
			c.down(active)
			c.takeOver(active)
			active.up()
		})},
		{"takeover after SIGSTOP", whole(func(active, _ *member) {
			c.pauseFor(active.pid(), func() { c.takeOver(active) })
		})},
		{"ledger's file limit", whole(func(active, standby *member) {
			m := c.either(active, standby)
			m.limitFiles(c.random.IntN(4096))
			c.nap()
			m.limitFiles(-1)
		})},
		{"all killed", whole(func(_, _ *member) {
			c.redis.primary().kill()
			for _, m := range c.members() {
				c.down(m)
			}
			c.node.stop()
			c.node.start()
			for _, p := range c.redis.servers {
				select {
				case <-p.done:
					p.start()
				default:
				}
			}
			c.redis.well()
			for _, m := range c.members() {
				m.launch()
			}
			for _, m := range c.members() {
				m.awaitUp()
			}
		})},
	}
	if small := c.ledgers[len(c.ledgers)-1]; small.tmpfs != "" {
		all = append(all, fault{"ledger's disk full", whole(func(_, _ *member) { free := small.fillDisk(); c.nap(); free() })})
	}
	if c.trace {
		all = append(all, fault{"ledger's fsync failed", whole(func(active, standby *member) { c.either(active, standby).failSyncs(c.nap) })})
	}
	return all
}

func (c *chaos) either(a, b *member) *member {
	if c.random.IntN(2) == 0 {
		return a
	}
	return b
}

// takeOver waits for the standby to lead in place of one that is away. It may say instead that its disk is behind:
// when the other one went on alone in the last moment before the fault.
func (c *chaos) takeOver(away *member) {
	c.t.Helper()
	standby := c.other(away)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		m, seen, err := c.active(began, away, "alone", "both")
		if m != nil {
			c.t.Logf("%s took over after %.1f s", m.name, time.Since(began).Seconds())
			c.takeovers++
			return
		}
		if r := seen[standby.name]; r.State == pool.LedgerStopped && strings.Contains(r.Error, "behind") {
			c.t.Logf("%s does not take over: %s", standby.name, r.Error)
			return
		}
		c.patient(began, "takeover", fmt.Sprint(seen, err))
	}
}

// compareDisks checks that both ledgers, stopped, hold one history: adit verify is content with each, and what
// the standby has is a beginning of what the active one has. It returns how many disks are wrong.
func (c *chaos) compareDisks() (wrong int) {
	c.t.Helper()
	for _, m := range c.ledgers {
		out, err := exec.Command(aditBinary, "verify", "--data-dir", m.s.dir).CombinedOutput()
		c.t.Logf("%s:\n%s", m.name, out)
		if err != nil {
			c.t.Logf("adit verify: %v", err)
			wrong++
		}
	}
	leads, follows := c.ledger.s, c.other(c.ledger).s
	longer := leads.adit("slices", "cat", "--data-dir", leads.dir)
	shorter := follows.adit("slices", "cat", "--data-dir", follows.dir)
	if !strings.HasPrefix(longer, shorter) || shorter == "" {
		c.t.Logf("the disks hold other slices: %d and %d bytes", len(longer), len(shorter))
		wrong++
	}
	x, err1 := os.ReadFile(filepath.Join(leads.dir, "bitcoin", "ledger", "ledger.log"))
	y, err2 := os.ReadFile(filepath.Join(follows.dir, "bitcoin", "ledger", "ledger.log"))
	if err := errors.Join(err1, err2); err != nil {
		c.t.Fatal(err)
	}
	if !strings.HasPrefix(string(x), string(y)) || len(y) == 0 {
		c.t.Logf("the disks hold other entries: %d and %d bytes", len(x), len(y))
		wrong++
	}
	return wrong
}

// pauseFor stops a process while something is waited for.
func (c *chaos) pauseFor(pid int, wait func()) {
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	wait()
}
