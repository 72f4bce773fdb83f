//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker"
)

// chaosShort is how long TestChaos lasts without CHAOS_MINUTES.
const chaosShort = 75 * time.Second

// TestChaos breaks a pool at work, at random and again and again, and then asks what became of every true
// that a rig ever got and of every unit of money. It ends with one line, which is all that counts:
// nothing lost, nothing doubled, no money out of balance, and adit verify content. CHAOS_MINUTES sets how
// long it lasts, CHAOS_SEED the faults.
func TestChaos(t *testing.T) {
	limit, seed := chaosShort, uint64(time.Now().UnixNano())
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
	t.Logf("CHAOS_SEED=%d", seed)
	c := newChaos(t, seed)
	defer c.stopRigs()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		c.revive()
		time.Sleep(time.Duration(200+c.random.IntN(1500)) * time.Millisecond) // work to be broken
		f := c.faults()[c.random.IntN(len(c.faults()))]
		t.Logf("%s", f.name)
		c.done[f.name]++
		f.do()
	}
	c.settle()
	line, clean := c.judge()
	fmt.Println(line)
	if path := os.Getenv("CHAOS_OUT"); path != "" {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
	if !clean {
		t.Errorf("not clean (CHAOS_SEED=%d)", seed)
	}
}

// chaos is a pool of separate processes and the rigs that mine on it.
type chaos struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	config string
	state  devState
	s      *site
	redis  *process
	node   *process
	older  string // copy of Redis' directory as it once was, "" before there is one

	rigs     *rigs
	stopRigs func()
	shares   map[string]map[uint64]*shareLine // as journals on disk had them whenever nobody wrote
	done     map[string]int                   // faults by kind
	ended    int                              // times that adit ended by itself
}

type fault struct {
	name string
	do   func()
}

// faults in the order of the closing line.
func (c *chaos) faults() []fault {
	return []fault{
		{"adit killed", func() { c.killAdit() }},
		{"adit paused", func() { c.pause(c.s.cmd.Process.Pid) }},
		{"Redis paused", func() { c.pause(c.redis.pid()) }},
		{"node paused", func() { c.pause(c.node.pid()) }},
		{"Redis emptied", func() { c.ask("FLUSHALL") }},
		{"Redis killed", func() { c.redis.kill(); c.nap(); c.redis.start() }},
		{"Redis set back", c.setBack},
		{"node restarted", func() { c.node.stop(); c.nap(); c.node.start() }},
		{"disk full", c.diskFull},
		{"adit killed, Redis emptied", func() { c.down(); c.ask("FLUSHALL"); c.up() }},
		{"all killed", func() {
			c.redis.kill()
			c.down()
			c.node.stop()
			c.redis.start()
			c.node.start()
			c.up()
		}},
	}
}

func (c *chaos) nap() { time.Sleep(time.Duration(c.random.IntN(2500)) * time.Millisecond) }

// pause stops a process for a while; now and then adit is killed meanwhile.
func (c *chaos) pause(pid int) {
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	c.nap()
	if c.random.IntN(4) == 0 {
		c.done["adit killed"]++
		c.down()
	}
	_ = syscall.Kill(pid, syscall.SIGCONT)
}

func (c *chaos) killAdit() { c.down(); c.up() }

// down kills adit and reads what its journal has before the next start may release it.
func (c *chaos) down() {
	c.s.kill()
	c.s.journalShares(c.shares)
}

// revive starts adit when it is down; that it ended by itself is noted.
func (c *chaos) revive() {
	select {
	case <-c.s.done:
	default:
		return
	}
	if c.s.err != nil && !strings.Contains(c.s.err.Error(), "killed") {
		c.ended++
		c.t.Logf("adit ended by itself: %v\n%s", c.s.err, tail(c.s.printed(), 1500))
	}
	c.s.journalShares(c.shares)
	c.up()
}

// up starts adit and waits until it is ready, as whoever supervises it would.
func (c *chaos) up() {
	c.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		c.s = start(c.t, filepath.Join(c.dir, "data"), "serve", "--config", c.config)
		c.s.state = c.state
		for {
			var text string
			err := c.s.get("/readyz", &text)
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("adit is not ready within two minutes: %v\n%s", err, tail(c.s.printed(), 4000))
			}
			time.Sleep(50 * time.Millisecond)
			select {
			case <-c.s.done:
			default:
				continue
			}
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// ask sends one command to Redis.
func (c *chaos) ask(command string) {
	c.t.Helper()
	conn, err := net.DialTimeout("tcp", c.redis.addr, 5*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || buf[0] != '+' {
		c.t.Fatalf("Redis answers %s with %q, %v", command, buf[:n], err)
	}
}

// setBack gives Redis the data that it had some time ago, as a restored backup or a failover would, and
// keeps what it has now for the next time.
func (c *chaos) setBack() {
	c.redis.kill()
	dir := filepath.Join(c.dir, "redis")
	kept := filepath.Join(c.dir, fmt.Sprintf("redis.%d", c.done["Redis set back"]))
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		c.t.Fatal(err)
	}
	if c.older != "" {
		if err := errors.Join(os.RemoveAll(dir), os.Rename(c.older, dir)); err != nil {
			c.t.Fatal(err)
		}
	}
	c.older = kept
	c.redis.start()
}

// diskFull lets no file grow for a while: RLIMIT_FSIZE gives EFBIG where a full disk gives ENOSPC.
func (c *chaos) diskFull() {
	pid := c.s.cmd.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(c.random.IntN(4096)), Max: unix.RLIM_INFINITY}, nil); err != nil {
		return // it has just ended
	}
	c.nap()
	_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil)
}

// settle ends the faults and the rigs, and waits until the books agree with the node; then adit is stopped
// as it should be.
func (c *chaos) settle() {
	c.t.Helper()
	c.revive()
	_, before := c.rigs.count()
	c.s.await("shares after the last fault", time.Minute, func() error {
		if _, now := c.rigs.count(); now < before+30 {
			return errors.New("too few")
		}
		return nil
	})
	c.stopRigs()
}

// judge counts and gives the closing line.
func (c *chaos) judge() (line string, clean bool) {
	t := c.t
	money := c.outOfBalance()
	c.s.stop()
	c.s.journalShares(c.shares)
	r := c.rigs
	lost, doubled, strange := 0, 0, 0
	counted := map[string]bool{}
	for epoch, of := range c.shares {
		for seq, sh := range of {
			if counted[sh.Hash] {
				t.Logf("share %s is counted twice (%s/%d)", sh.Hash, epoch, seq)
				doubled++
			}
			if !r.submitted[sh.Hash] {
				t.Logf("share %s (%s/%d) was never submitted", sh.Hash, epoch, seq)
				strange++
			}
			counted[sh.Hash] = true
		}
	}
	for h := range r.acknowledged {
		if !counted[h] {
			t.Logf("acknowledged share %s is in no journal", h)
			lost++
		}
	}
	lines := jsonLines[sliceLine](t, c.s.adit("slices", "cat", "--data-dir", c.s.dir))
	// A block's share that the full disk did not take was refused, yet it counts: the block pays for it.
	for i := range lines {
		for _, x := range lines[i].Extras {
			if x.Seq != 0 {
				continue
			}
			if counted[x.Hash] {
				t.Logf("share %s of slice %d is counted twice", x.Hash, lines[i].Number)
				doubled++
			}
			if !r.submitted[x.Hash] {
				t.Logf("share %s of slice %d was never submitted", x.Hash, lines[i].Number)
				strange++
			}
			counted[x.Hash] = true
		}
	}
	inSlices := countOnce(t, lines, c.shares)
	if missing := len(counted) - inSlices; missing > 0 {
		lost += missing
	} else {
		doubled -= missing
	}
	extras := outOfTurn(lines)
	for i := range lines {
		compareSums(t, &lines[i], recomputeSlice(t, &lines[i], extras, c.shares))
	}
	verify := "right"
	if out, err := exec.Command(aditBinary, "verify", "--data-dir", c.s.dir).CombinedOutput(); err != nil {
		verify = "WRONG"
		t.Logf("adit verify: %v\n%s", err, out)
	} else {
		t.Logf("\n%s", out)
	}
	total := 0
	var kinds []string
	for _, f := range c.faults() {
		if n := c.done[f.name]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %d", f.name, n))
			total += n
		}
	}
	t.Logf("%d shares submitted, %d slices, adit ended by itself %d times; refused: %v", len(r.submitted), len(lines), c.ended, r.rejected)
	line = fmt.Sprintf("chaos: %d faults (%s); shares acknowledged %d, lost %d, doubled %d, never submitted %d; money out of balance %d; verify %s",
		total, strings.Join(kinds, ", "), len(r.acknowledged), lost, doubled, strange, money, verify)
	return line, lost == 0 && doubled == 0 && strange == 0 && money == 0 && verify == "right" && !t.Failed()
}

// outOfBalance counts the blocks whose credits are not what their coinbase paid by the node's own word,
// and the differences that adit payout reconcile finds.
func (c *chaos) outOfBalance() (wrong int) {
	t := c.t
	var said string
	c.s.await("books that are settled", time.Minute, func() error {
		out, err := exec.Command(aditBinary, "payout", "reconcile", "--data-dir", c.s.dir).CombinedOutput()
		said = string(out)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if !strings.Contains(said, "agree") {
		t.Logf("reconcile:\n%s", said)
		wrong++
	}
	checked := 0
	for offset := 0; ; offset += 100 {
		var blocks struct{ Blocks []blockView }
		if err := c.s.get(fmt.Sprintf("/api/v1/pools/bitcoin/blocks?limit=100&offset=%d", offset), &blocks); err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks.Blocks {
			if b.State != "immature" && b.State != "mature" {
				continue
			}
			var whole blockView
			if err := c.s.get("/api/v1/pools/bitcoin/blocks/"+b.Hash, &whole); err != nil {
				t.Fatal(err)
			}
			failed := t.Failed()
			checkCredits(t, c.s, &whole)
			if t.Failed() && !failed {
				wrong++
			}
			checked++
		}
		if len(blocks.Blocks) < 100 {
			break
		}
	}
	t.Logf("%d blocks compared with the node", checked)
	if checked == 0 {
		t.Error("no block was found: this was no test of money")
	}
	return wrong
}

// newChaos starts node, Redis, adit and rigs.
func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	first, node, redis := startRare(t) // makes chain, key and configuration
	first.stop()
	if err := errors.Join(node.Stop(t.Context()), redis.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(first.dir)
	c := &chaos{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: dir, config: filepath.Join(dir, "adit.toml"), state: first.state,
		rigs: newRigs(), shares: map[string]map[uint64]*shareLine{}, done: map[string]int{},
	}
	redisAddr := freePort(t)
	_, redisPort, _ := net.SplitHostPort(redisAddr)
	c.redis = &process{t: t, addr: redisAddr, path: "redis-server", args: []string{
		"--bind", "127.0.0.1", "--port", redisPort, "--dir", filepath.Join(dir, "redis"), "--appendonly", "yes",
		"--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
	}}
	nodeAddr := strings.TrimPrefix(node.URL(), "http://")
	c.node = &process{t: t, addr: nodeAddr, path: btcdBinary, args: []string{
		"--simnet", "--configfile=" + filepath.Join(dir, "node", "btcd.conf"), "--datadir=" + filepath.Join(dir, "node", "data"),
		"--logdir=" + filepath.Join(dir, "node", "logs"), "--notls", "--rpclisten=" + nodeAddr, "--rpcmaxclients=64",
		"--nodnsseed", "--nolisten", "--txindex", "--miningaddr=SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg",
	}}
	text, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), strconv.Quote(redis.URL()), strconv.Quote("redis://"+redisAddr+"/0"), 1)
	if err := os.WriteFile(c.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	c.redis.start()
	c.node.start()
	t.Cleanup(func() { c.redis.kill(); c.node.kill() })
	c.up()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	c.stopRigs = func() { cancel(); wg.Wait() }
	for i, user := range []string{"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.one", "sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr.two", c.state.RewardAddress + ".three"} {
		wg.Go(func() {
			err := worker.Run(ctx, worker.Options{
				Pool: c.state.Stratum, User: user, Kernel: sha256d.Kernel{}, Threads: 1,
				Limit: worker.NewLimit([]float64{45_000, 20_000, 10_000}[i]), Log: zerolog.Nop(), Observer: c.rigs.observe,
			})
			if err != nil {
				t.Errorf("rig %s: %v", user, err)
			}
		})
	}
	return c
}

// process is a server at a fixed address that is started again and again.
type process struct {
	t    *testing.T
	addr string
	path string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// start returns when the address takes connections.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // killed as a rule
		close(done)
	}(p.cmd, p.done)
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not listen on %s: %v", p.path, p.addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop is a clean end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.kill()
	}
}
