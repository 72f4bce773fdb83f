//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool/node/devnode"
	"github.com/adit-pool/adit/worker"
)

// chaosShort is how long faults go on without CHAOS_MINUTES.
const chaosShort = 75 * time.Second

// TestChaos breaks a pool at work, at random and again and again, and then asks what became of every true
// that a rig ever got and of every unit of money. The pool is two edges and two ledgers, each a process with a
// disk of its own, over one Redis server, over two behind sentinels, and over a Cluster, in turn. It ends with
// one line, which is all that counts: nothing lost, nothing doubled, no money out of balance, adit verify
// content with both disks, and no process that ended by itself. CHAOS_MINUTES sets how long it lasts, CHAOS_SEED the faults, CHAOS_REDIS
// the kinds of Redis.
func TestChaos(t *testing.T) {
	limit, seed, kinds := chaosShort, uint64(time.Now().UnixNano()), chaosKinds
	if v := os.Getenv("CHAOS_MINUTES"); v != "" {
		minutes, err := strconv.ParseFloat(v, 64)
		if err != nil || !(minutes > 0 && minutes < 600) {
			t.Fatalf("CHAOS_MINUTES=%q", v)
		}
		limit = time.Duration(minutes * float64(time.Minute))
	}
	if v := os.Getenv("CHAOS_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED=%q", v)
		}
	}
	if v := os.Getenv("CHAOS_REDIS"); v != "" {
		kinds = strings.Split(v, ",")
		for _, k := range kinds {
			if !slices.Contains(chaosKinds, k) {
				t.Fatalf("CHAOS_REDIS=%q: want some of %v", v, chaosKinds)
			}
		}
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not on PATH")
		}
		t.Skip("redis-server is not on PATH: make deps installs it")
	}
	t.Logf("CHAOS_SEED=%d", seed)
	n := startChaosNode(t)
	total := &outcome{done: map[string]int{}}
	for i, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := startChaos(t, n, kind, rand.New(rand.NewPCG(seed, uint64(i))))
			c.mine()
			c.run(limit / time.Duration(len(kinds)))
			c.judge(total)
		})
	}
	total.failed = t.Failed()
	line := total.String()
	fmt.Println(line)
	if path := os.Getenv("CHAOS_OUT"); path != "" {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
	if !total.clean() {
		t.Errorf("not clean (CHAOS_SEED=%d)", seed)
	}
}

// chaosNode is the full node of all parts of the test.
type chaosNode struct {
	*process
	user, password string
}

func startChaosNode(t *testing.T) *chaosNode {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node")
	rareChain(t, dir)
	first, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Kill)
	if err := first.Prepare(t.Context(), rareHeight, nil); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	n := &chaosNode{&process{t: t, addr: addr, path: btcdBinary, args: []string{
		"--simnet", "--configfile=" + filepath.Join(dir, "btcd.conf"), "--datadir=" + filepath.Join(dir, "data"),
		"--logdir=" + filepath.Join(dir, "logs"), "--notls", "--rpclisten=" + addr, "--rpcmaxclients=128",
		"--nodnsseed", "--nolisten", "--txindex", "--miningaddr=SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg",
	}}, first.User(), first.Password()}
	n.start()
	t.Cleanup(n.kill)
	return n
}

// chaos is a pool of separate processes, and the rigs that mine on it.
type chaos struct {
	t       *testing.T
	random  *rand.Rand
	node    *chaosNode
	redis   *topology
	edges   []*member
	ledgers []*member
	ledger  *member // the one that led when it was last looked
	trace   bool    // system calls can be made to fail

	rigs      *rigs
	stopRigs  func()
	shares    map[string]map[uint64]*shareLine // as journals on disk had them whenever nobody wrote
	done      map[string]int                   // faults by kind
	takeovers int                              // that were made because a fault asked for one
}

func (c *chaos) members() []*member { return append(slices.Clone(c.edges), c.ledgers...) }

type fault struct {
	name string
	do   func()
}

// faultNames are all there are, in the order of the closing line.
var faultNames = []string{
	"edge killed", "edge paused", "ledger killed", "ledger paused", "standby killed", "standby paused", "both ledgers killed",
	"takeover after kill -9", "takeover after SIGSTOP", "Redis paused", "Redis emptied", "Redis killed", "Redis failed over",
	"Redis set back", "node paused", "node restarted", "reorganisation", "disk full", "ledger's disk full", "file limit",
	"ledger's file limit", "fsync failed", "ledger's fsync failed", "all killed",
}

func (c *chaos) faults() []fault {
	edge, small := c.edges[c.random.IntN(len(c.edges))], c.edges[len(c.edges)-1]
	all := append(c.ledgerFaults(), []fault{
		{"edge killed", func() { c.down(edge); edge.up() }},
		{"edge paused", func() { c.pause(edge.pid()) }},
		{"Redis paused", func() { c.pause(c.redis.servers[c.random.IntN(len(c.redis.servers))].pid()); c.redis.well() }},
		{"Redis emptied", c.redis.flush},
		{"node paused", func() { c.pause(c.node.pid()) }},
		{"node restarted", func() { c.node.stop(); c.nap(); c.node.start() }},
		{"reorganisation", c.reorganise},
		{"file limit", func() { edge.limitFiles(c.random.IntN(4096)); c.nap(); edge.limitFiles(-1) }},
	}...)
	if c.redis.kind == "sentinel" {
		all = append(all, fault{"Redis failed over", func() { c.redis.lose(c.nap, c.random.IntN(2) == 0) }})
	} else {
		all = append(all, fault{"Redis killed", func() { c.redis.lose(c.nap, false) }},
			fault{"Redis set back", func() { c.redis.setBack(c.done["Redis set back"]) }})
	}
	if small.tmpfs != "" {
		all = append(all, fault{"disk full", func() { free := small.fillDisk(); c.nap(); free() }})
	}
	if c.trace {
		all = append(all, fault{"fsync failed", func() { edge.failSyncs(c.nap) }})
	}
	return all
}

func (c *chaos) nap() { time.Sleep(time.Duration(c.random.IntN(2000)) * time.Millisecond) }

// pause stops a process for a while; now and then an edge is killed meanwhile.
func (c *chaos) pause(pid int) {
	c.pauseFor(pid, func() {
		c.nap()
		if c.random.IntN(4) == 0 {
			c.done["edge killed"]++
			c.down(c.edges[0])
		}
	})
}

// down kills a member and reads what its journal has before the next start may release it.
func (c *chaos) down(m *member) {
	m.s.kill()
	if m.stratum != "" {
		m.s.journalShares(c.shares)
	}
}

func (c *chaos) revive() {
	for _, m := range c.members() {
		if m.revive() {
			if m.stratum != "" {
				m.s.journalShares(c.shares)
			}
			m.up()
		}
	}
}

// reorganise takes the tip, or two blocks, out of the active chain; now and then they come back, and then the
// longer branch wins.
func (c *chaos) reorganise() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	call := func(result any, method string, params ...any) error {
		return c.ledger.s.node().Call(ctx, method, result, params...)
	}
	var height int64
	var hash string
	var ignored any
	if call(&height, "getblockcount") != nil || call(&hash, "getblockhash", height-int64(c.random.IntN(2))) != nil {
		return // it is not up yet
	}
	if err := call(&ignored, "invalidateblock", hash); err != nil {
		c.t.Logf("invalidateblock %s: %v", hash, err)
		return
	}
	c.nap()
	if c.random.IntN(2) == 0 {
		if err := call(&ignored, "reconsiderblock", hash); err != nil {
			c.t.Logf("reconsiderblock %s: %v", hash, err)
		}
	}
}

// run breaks things for a while, then lets the pool come to rest.
func (c *chaos) run(limit time.Duration) {
	defer c.stopRigs()
	for end := time.Now().Add(limit); time.Now().Before(end) && !c.t.Failed(); {
		c.revive()
		time.Sleep(time.Duration(200+c.random.IntN(1000)) * time.Millisecond) // work to be broken
		faults := c.faults()
		f := faults[c.random.IntN(len(faults))]
		c.t.Logf("%s", f.name)
		c.done[f.name]++
		f.do()
	}
	c.revive()
	c.redis.well()
	c.ledger = c.both()
	_, before := c.rigs.count()
	c.ledger.s.await("shares after the last fault", 2*time.Minute, func() error {
		c.revive()
		if _, now := c.rigs.count(); now < before+30 {
			return errors.New("too few")
		}
		return nil
	})
}

// startChaos starts Redis and the members, and waits until both disks hold the ledger.
func startChaos(t *testing.T, node *chaosNode, kind string, random *rand.Rand) *chaos {
	t.Helper()
	dir := t.TempDir()
	c := &chaos{
		t: t, random: random, node: node, rigs: newRigs(), shares: map[string]map[uint64]*shareLine{}, done: map[string]int{}, trace: canTrace(),
	}
	c.redis = startTopology(t, kind, dir)
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
			c.ledgers = append(c.ledgers, m)
		} else {
			m.stratum = freePort(t)
			m.template.state.Stratum = "stratum+tcp://" + m.stratum
			c.edges = append(c.edges, m)
		}
		text := memberConfig(name, c.redis.url(), web, reward, m.stratum, node.process, node.user, node.password)
		text = strings.Replace(text, "[ledger]\n", "[ledger]\n"+copies[name], 1)
		if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.edges[1].smallDisk(48)
	c.ledgers[1].smallDisk(512) // it holds all slices of the run
	for _, m := range c.members() {
		m.launch()
	}
	for _, m := range c.members() {
		m.awaitUp()
	}
	c.ledger = c.both()
	return c
}

// mine has four rigs work on the edges, two of which change over when theirs is away.
func (c *chaos) mine() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	c.stopRigs = func() { cancel(); wg.Wait() }
	c.t.Cleanup(c.stopRigs)
	first, second, reward := c.edges[0].template.state.Stratum, c.edges[1].template.state.Stratum, c.edges[0].template.state.RewardAddress
	for _, r := range []struct {
		user, pool, backup string
		rate               float64
	}{
		{"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.one", first, "", 30_000},
		{"sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr.two", second, first, 25_000},
		{reward + ".three", second, "", 10_000},
		{"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.four", first, second, 10_000},
	} {
		o := worker.Options{Pool: r.pool, User: r.user, Kernel: sha256d.Kernel{}, Threads: 1,
			Limit: worker.NewLimit(r.rate), Log: zerolog.Nop(), Observer: c.rigs.observe}
		if r.backup != "" {
			o.Backups = []worker.Pool{{URL: r.backup}}
		}
		wg.Go(func() {
			if err := worker.Run(ctx, o); err != nil {
				c.t.Errorf("rig %s: %v", r.user, err)
			}
		})
	}
}
