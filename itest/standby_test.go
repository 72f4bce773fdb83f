//go:build itest

package itest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// pair is a pool with two edges and two ledger roles, each a process with a disk of its own.
type pair struct {
	*chaos
	ledgers []*member
}

// startPair starts Redis and the four processes, and waits until both disks hold the ledger.
func startPair(t *testing.T, node *chaosNode, kind string, random *rand.Rand) *pair {
	t.Helper()
	dir := t.TempDir()
	p := &pair{chaos: &chaos{
		t: t, random: random, node: node, rigs: newRigs(), shares: map[string]map[uint64]*shareLine{}, done: map[string]int{},
	}}
	p.redis = startTopology(t, kind, dir)
	key, err := exec.Command(aditBinary, "payout", "key", filepath.Join(dir, "key"), "--network", "simnet").Output()
	if err != nil {
		t.Fatal(err)
	}
	var reward string
	if _, err := fmt.Sscanf(string(key), "reward_address = %q", &reward); err != nil {
		t.Fatalf("%v: %s", err, key)
	}
	copies := ledgerPair(t, dir)
	for _, name := range []string{"edge-1", "edge-2", "ledger-1", "ledger-2"} {
		m := &member{t: t, name: name, role: "edge,dashboard", config: filepath.Join(dir, name+".toml")}
		m.template.dir = filepath.Join(dir, name)
		web := freePort(t)
		m.template.state = devState{Coin: "bitcoin", RewardAddress: reward, Dashboard: "http://" + web,
			NodeURL: "http://" + node.addr, NodeUser: node.user, NodePassword: node.password}
		if copies[name] != "" {
			m.role = "ledger,dashboard"
			p.ledgers = append(p.ledgers, m)
		} else {
			m.stratum = freePort(t)
			m.template.state.Stratum = "stratum+tcp://" + m.stratum
			p.edges = append(p.edges, m)
		}
		text := memberConfig(name, p.redis.url(), web, reward, m.stratum, node.process, node.user, node.password)
		text = strings.Replace(text, "[ledger]\n", "[ledger]\n"+copies[name], 1)
		if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range append(slices.Clone(p.ledgers), p.edges...) {
		m.up()
	}
	p.ledger = p.both()
	return p
}

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
func (p *pair) reports() (map[string]pool.LedgerReport, error) {
	client := p.redis.client(p.redis.primary())
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

// awaitActive waits until one ledger role that is not the one named has been active since the call, in one of
// some modes.
func (p *pair) awaitActive(not *member, modes ...string) (active *member) {
	p.t.Helper()
	since := time.Now()
	var seen string
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		reports, err := p.reports()
		seen = fmt.Sprint(reports, err)
		for _, m := range p.ledgers {
			r := reports[m.name]
			if m != not && r.State == pool.LedgerActive && slices.Contains(modes, r.Disks) && r.Time > since.UnixMilli() {
				return m
			}
		}
		if time.Now().After(deadline) {
			for _, m := range p.ledgers {
				p.t.Logf("%s:\n%s", m.name, tail(m.s.printed(), 4000))
			}
			p.t.Fatalf("no ledger takes over: %s", seen)
		}
	}
}

// both waits until both disks hold the ledger and one says that it only stands by, and says whose leads. One
// that was paused may say once more what it was before.
func (p *pair) both() *member {
	p.t.Helper()
	for since := time.Now(); time.Since(since) < 2*time.Minute; time.Sleep(50 * time.Millisecond) {
		m := p.awaitActive(nil, "both")
		reports, err := p.reports()
		if r := reports[p.other(m).name]; err == nil && r.State != pool.LedgerActive && r.Time > since.UnixMilli() {
			return m
		}
	}
	p.t.Fatal("no ledger says that it stands by")
	return nil
}

func (p *pair) other(m *member) *member {
	if m == p.ledgers[0] {
		return p.ledgers[1]
	}
	return p.ledgers[0]
}

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
	p := startPair(t, startChaosNode(t), "single", rand.New(rand.NewPCG(1, 2)))
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
	p.other(p.ledger).s.stop()
	total := &outcome{done: map[string]int{}}
	p.judge(total)
	if !total.clean() {
		t.Errorf("not clean: %s", total)
	}

	// Both once more, without miners: then the disks are the same.
	for _, m := range p.ledgers {
		m.up()
	}
	p.ledger = p.both()
	p.other(p.ledger).s.stop() // what leads notes that it is alone; the other is a beginning of it
	p.ledger.s.stop()
	{
		slow := p.other(p.ledger)
		out, err := exec.Command(aditBinary, "verify", "--data-dir", slow.s.dir).CombinedOutput()
		if err != nil {
			t.Errorf("adit verify on the other disk: %v\n%s", err, out)
		}
		a := p.ledger.s.adit("slices", "cat", "--data-dir", p.ledger.s.dir)
		b := slow.s.adit("slices", "cat", "--data-dir", slow.s.dir)
		if !strings.HasPrefix(a, b) || b == "" {
			t.Errorf("the disks hold other slices: %d and %d bytes", len(a), len(b))
		}
		x, err1 := os.ReadFile(filepath.Join(p.ledger.s.dir, "bitcoin", "ledger", "ledger.log"))
		y, err2 := os.ReadFile(filepath.Join(slow.s.dir, "bitcoin", "ledger", "ledger.log"))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(x), string(y)) || len(y) == 0 {
			t.Errorf("the disks hold other entries: %d and %d bytes", len(x), len(y))
		}
	}
	t.Logf("%s", total)
}
