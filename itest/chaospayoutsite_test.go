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
	"slices"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	chains "github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/node/devnode"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// payoutChaos is a site whose payouts are broken: two coins, each on its real node, an edge with rigs, and two
// ledgers with a disk each, of which one leads a coin and the other stands by.
type payoutChaos struct {
	t       *testing.T
	random  *rand.Rand
	dir     string
	redis   *topology
	edge    *member
	ledgers []*member
	coins   []*payingCoin
	started time.Time
	done    map[string]int     // faults by kind
	states  map[string]int     // kills of adit by what a payout was at that moment
	aside   map[*member]string // an older copy of a ledger's disk
	first   map[*member]string // a copy from before most payouts
	copies  int
}

// payingCoin is one pool, its node and its miners.
type payingCoin struct {
	name    string
	node    *devnode.Node
	calls   *rpc.Client
	scripts map[string]bool // of miners
	stops   []func()
	active  *member // that answered last
}

// Exit codes of adit payout.
const codeNothing = 3

// stateOrder is the way of a payout.
var stateOrder = []payout.State{payout.StateDraft, payout.StateFrozen, payout.StateApproved, payout.StateBuilt, payout.StateSigned,
	payout.StateBroadcast, payout.StateConfirmed, payout.StateFinal}

func newPayoutChaos(t *testing.T, seed uint64) *payoutChaos {
	t.Helper()
	c := &payoutChaos{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), started: time.Now(),
		done: map[string]int{}, states: map[string]int{}, aside: map[*member]string{}, first: map[*member]string{},
	}
	btcd, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Network: "regtest", Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(btcd.Kill)
	if err := btcd.Prepare(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	ltc := litecoind(t)
	if err := ltc.Prepare(t.Context(), devnode.LitecoinMWEBHeight+1, nil); err != nil {
		t.Fatal(err)
	}
	rewards := map[string]string{}
	key, err := exec.Command(aditBinary, "payout", "key", filepath.Join(c.dir, "key"), "--network", "regtest", "--type", "tr").Output()
	if err != nil {
		t.Fatal(err)
	}
	var reward string
	if _, err := fmt.Sscanf(string(key), "reward_address = %q", &reward); err != nil {
		t.Fatalf("%v: %s", err, key)
	}
	rewards["bitcoin"] = reward
	plain, wallet := nodeClient(ltc, ""), nodeClient(ltc, "/wallet/pool")
	defer plain.Close()
	defer wallet.Close()
	if err := plain.Call(t.Context(), "createwallet", nil, "pool"); err != nil {
		t.Fatal(err)
	}
	if err := wallet.Call(t.Context(), "getnewaddress", &reward, "", "bech32"); err != nil {
		t.Fatal(err)
	}
	rewards["litecoin"] = reward

	nodes := map[string]*devnode.Node{"bitcoin": btcd, "litecoin": ltc}
	for _, coin := range []string{"bitcoin", "litecoin"} {
		p := &payingCoin{name: coin, node: nodes[coin], calls: nodeClient(nodes[coin], ""), scripts: map[string]bool{}}
		t.Cleanup(p.calls.Close)
		c.coins = append(c.coins, p)
	}
	c.redis = startTopology(t, "single", c.dir)
	copies := ledgerPair(t, c.dir)
	listens := []string{freePort(t), freePort(t)}
	for _, name := range []string{"ledger-1", "ledger-2", "edge"} {
		m := &member{t: t, name: name, role: "ledger,dashboard", config: filepath.Join(c.dir, name+".toml")}
		m.template.dir = filepath.Join(c.dir, name)
		web := freePort(t)
		m.template.state.Dashboard = "http://" + web
		if name == "edge" {
			m.role, c.edge = "edge,dashboard", m
		} else {
			c.ledgers = append(c.ledgers, m)
		}
		if err := os.WriteFile(m.config, []byte(c.text(m, web, copies[name], rewards, listens)), 0o600); err != nil {
			t.Fatal(err)
		}
		m.up()
	}
	for i, p := range c.coins {
		p.active = c.ledgers[0]
		chain, err := chains.Find(p.name, "regtest")
		if err != nil {
			t.Fatal(err)
		}
		c.mineFor(p, chain, listens[i])
	}
	return c
}

// text is the configuration of a member.
func (c *payoutChaos) text(m *member, web, copies string, rewards map[string]string, listens []string) string {
	text := fmt.Sprintf(`data_dir = %q
[redis]
url = %q
[edge]
name = %q
[ledger]
name = %q
%s[dashboard]
listen = %q
[payout]
threshold = 1000
wallet = "pool"
confirm_depth = 2
final_depth = 6
`, m.name, c.redis.url(), m.name, m.name, copies, web)
	for i, p := range c.coins {
		keyFile := map[string]string{"bitcoin": "key"}[p.name] // Litecoin's wallet signs
		text += fmt.Sprintf("[[pool]]\ncoin = %q\nnetwork = \"regtest\"\nreward_address = %q\nkey_file = %q\nfee_ppm = 20000\n"+
			"[[pool.node]]\nurl = %q\nuser = %q\npassword = %q\n", p.name, rewards[p.name], keyFile, p.node.URL(), p.node.User(), p.node.Password())
		if m == c.edge {
			const difficulty = "0.0000000001" // one that every hash meets
			text += fmt.Sprintf("[[pool.stratum]]\nlisten = %q\nstart_difficulty = %s\nmin_difficulty = %s\nmax_difficulty = %s\n",
				listens[i], difficulty, difficulty, difficulty)
		}
	}
	return text
}

// mineFor starts the miners of a coin and waits for their first blocks. Every second hash is a block, and rewards
// halve every 150 blocks on these networks, so they are slow.
func (c *payoutChaos) mineFor(p *payingCoin, chain pool.Chain, listen string) {
	c.t.Helper()
	kernel := map[string]kernels.Kernel{"bitcoin": sha256d.Kernel{}, "litecoin": scrypt.Kernel{}}[p.name]
	for miner := range 3 {
		script := append([]byte{0, 20, byte(miner + 1)}, make([]byte, 19)...)
		address, err := chain.Address(script)
		if err != nil {
			c.t.Fatal(err)
		}
		p.scripts[string(script)] = true
		p.stops = append(p.stops, runRig(c.t, "stratum+tcp://"+listen, address+".rig", kernel, 0.5, nil))
	}
}

// mine has the node itself find blocks that pay nobody here. A miner may find one of the same height meanwhile.
func (c *payoutChaos) mine(p *payingCoin, n int64) {
	c.t.Helper()
	want := int64(-1)
	c.await(fmt.Sprintf("%d more blocks of %s", n, p.name), time.Minute, func() error {
		if want < 0 {
			var height int64
			if err := p.calls.Call(c.t.Context(), "getblockcount", &height); err != nil {
				return err
			}
			want = height + n
		}
		return p.node.Prepare(c.t.Context(), want, nil)
	})
}

// ask runs an adit payout command on a ledger and returns what it said and its exit code, -1 when there was none.
func (c *payoutChaos) ask(m *member, p *payingCoin, args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	args = slices.Concat([]string{"payout"}, args, []string{"--data-dir", m.template.dir, "--pool", p.name})
	out, err := exec.CommandContext(ctx, aditBinary, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("no answer to adit %v within a minute: %s", args, out), -1
	case err == nil:
		return string(out), 0
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	}
	return err.Error(), -1
}

// await polls until f is content; a limit that is passed ends the test.
func (c *payoutChaos) await(what string, limit time.Duration, f func() error) {
	c.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.stuck(what, err)
		}
	}
}

// stuck ends the test with all that says what every process waits for.
func (c *payoutChaos) stuck(what string, err error) {
	c.t.Helper()
	for _, m := range append(slices.Clone(c.ledgers), c.edge) {
		_ = m.s.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines
		select {
		case <-m.s.done:
		case <-time.After(10 * time.Second):
		}
		c.t.Logf("%s:\n%s", m.name, tail(m.s.printed(), 20_000))
	}
	for _, p := range c.coins {
		var height int64
		at := p.calls.Call(c.t.Context(), "getblockcount", &height)
		c.t.Logf("%s: the node is at height %d, %v; disks have %d and %d payout steps", p.name, height, at, c.steps(c.ledgers[0], p), c.steps(c.ledgers[1], p))
	}
	c.t.Fatalf("no %s in time: %v\nso far: %s", what, err, c.faults())
}

func (c *payoutChaos) other(m *member) *member {
	if m == c.ledgers[0] {
		return c.ledgers[1]
	}
	return c.ledgers[0]
}

// log is the file of a ledger's entries.
func (c *payoutChaos) log(m *member, p *payingCoin) string {
	return filepath.Join(m.template.dir, p.name, "ledger", "ledger.log")
}

// copied keeps a directory as it is now; nobody may have it open.
func (c *payoutChaos) copied(dir string) string {
	c.t.Helper()
	c.copies++
	to := fmt.Sprintf("%s.%d", dir, c.copies)
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		c.t.Fatalf("copy %s: %v: %s", dir, err, out)
	}
	return to
}

// entries is how many entries a ledger's disk has.
func (c *payoutChaos) entries(m *member, p *payingCoin) int {
	c.t.Helper()
	b, err := os.ReadFile(c.log(m, p))
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// mirrored is how many entries Redis has.
func (c *payoutChaos) mirrored(p *payingCoin) (n int) {
	c.t.Helper()
	r := c.redis.client(c.redis.primary())
	defer r.Close()
	at, err := r.HGet(c.t.Context(), "adit:{"+p.name+"}:ledger:head", "at").Result()
	if err == nil && at != "" {
		var term int
		_, err = fmt.Sscanf(at, "%d %d", &term, &n)
	}
	if err != nil && !errors.Is(err, goredis.Nil) {
		c.t.Fatalf("ledger mirror of %s: %v", p.name, err)
	}
	return n
}
