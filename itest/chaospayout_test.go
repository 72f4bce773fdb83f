//go:build itest

package itest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

// TestChaosPayout pays miners from real nodes, btcd with a key file and litecoind with its own wallet, and kills
// adit with SIGKILL in every state of its payouts, with Redis emptied or set back and with the ledger's disk
// replaced by an old backup meanwhile. At the end it reads the nodes' chains: every batch must have been paid by
// exactly one transaction, and nothing else may have left the pool. CHAOS_PAYOUT_FAULTS sets how many faults there
// are, CHAOS_SEED which.
func TestChaosPayout(t *testing.T) {
	v := os.Getenv("CHAOS_PAYOUT_FAULTS")
	if v == "" {
		t.Skip("make chaos-payout runs this: on a busy machine some runs take many minutes")
	}
	faults, err := strconv.Atoi(v)
	if err != nil || faults < 1 {
		t.Fatalf("CHAOS_PAYOUT_FAULTS=%q", v)
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("CHAOS_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED=%q", v)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	c := newPayoutChaos(t, seed)
	progress := time.Now()
	for total := 0; total < faults; {
		before := total
		c.round()
		if total = c.total(); total > before {
			progress = time.Now()
		} else if time.Since(progress) > 10*time.Minute {
			t.Fatal("no payout comes about any more")
		}
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

// payoutChaos is a pool process with two coins whose payouts are broken.
type payoutChaos struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	config string
	s      *site
	redis  *process
	older  string // copy of Redis' directory, "" before there is one
	backup string // copy of adit's data directory, "" before there is one
	coins  []*payingCoin
	done   map[string]int // faults by kind
	copies int
}

// payingCoin is one pool, its node and its miners.
type payingCoin struct {
	name    string
	node    *devnode.Node
	calls   *rpc.Client
	chain   pool.Chain
	scripts map[string]bool // of miners
	stops   []func()
}

func (c *payoutChaos) total() (n int) {
	for _, k := range c.done {
		n += k
	}
	return n
}

func newPayoutChaos(t *testing.T, seed uint64) *payoutChaos {
	t.Helper()
	c := &payoutChaos{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), done: map[string]int{}}
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
	key, err := exec.Command(aditBinary, "payout", "key", filepath.Join(c.dir, "key"), "--network", "regtest", "--type", "tr").Output()
	if err != nil {
		t.Fatal(err)
	}
	rewards := map[string]string{}
	var reward string
	if _, err := fmt.Sscanf(string(key), "reward_address = %q", &reward); err != nil {
		t.Fatalf("%v: %s", err, key)
	}
	rewards["bitcoin"] = reward
	plain := nodeClient(ltc, "")
	defer plain.Close()
	if err := plain.Call(t.Context(), "createwallet", nil, "pool"); err != nil {
		t.Fatal(err)
	}
	wallet := nodeClient(ltc, "/wallet/pool")
	defer wallet.Close()
	if err := wallet.Call(t.Context(), "getnewaddress", &reward, "", "bech32"); err != nil {
		t.Fatal(err)
	}
	rewards["litecoin"] = reward
	redisAddr := freePort(t)
	_, redisPort, _ := net.SplitHostPort(redisAddr)
	c.redis = &process{t: t, addr: redisAddr, path: "redis-server", args: []string{
		"--bind", "127.0.0.1", "--port", redisPort, "--dir", filepath.Join(c.dir, "redis"), "--appendonly", "yes",
		"--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
	}}
	if err := os.Mkdir(filepath.Join(c.dir, "redis"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.redis.start()
	t.Cleanup(c.redis.kill)
	web := freePort(t)
	config := fmt.Sprintf(`data_dir = "data"
[redis]
url = "redis://%s/0"
[dashboard]
listen = %q
[payout]
threshold = 1000
wallet = "pool"
confirm_depth = 2
final_depth = 8
`, redisAddr, web)
	nodes := map[string]*devnode.Node{"bitcoin": btcd, "litecoin": ltc}
	var listens []string
	for _, coin := range []string{"bitcoin", "litecoin"} {
		n, listen := nodes[coin], freePort(t)
		listens = append(listens, listen)
		keyFile := ""
		if coin == "bitcoin" {
			keyFile = "key"
		}
		config += fmt.Sprintf(`
[[pool]]
coin = %q
network = "regtest"
reward_address = %q
key_file = %q
fee_ppm = 20000
[[pool.node]]
url = %q
user = %q
password = %q
[[pool.stratum]]
listen = %q
start_difficulty = 0.0000000001
min_difficulty = 0.0000000001
max_difficulty = 0.0000000001
`, coin, rewards[coin], keyFile, n.URL(), n.User(), n.Password(), listen)
	}
	c.config = filepath.Join(c.dir, "adit.toml")
	if err := os.WriteFile(c.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c.s = &site{t: t}
	c.s.state.Dashboard = "http://" + web
	c.up()
	for i, coin := range []string{"bitcoin", "litecoin"} {
		chain, err := chains.Find(coin, "regtest")
		if err != nil {
			t.Fatal(err)
		}
		p := &payingCoin{name: coin, node: nodes[coin], calls: nodeClient(nodes[coin], ""), chain: chain, scripts: map[string]bool{}}
		t.Cleanup(p.calls.Close)
		kernel := map[string]kernels.Kernel{"bitcoin": sha256d.Kernel{}, "litecoin": scrypt.Kernel{}}[coin]
		for miner := range 3 {
			script := append([]byte{0, 20, byte(miner + 1)}, make([]byte, 19)...)
			address, err := chain.Address(script)
			if err != nil {
				t.Fatal(err)
			}
			p.scripts[string(script)] = true
			p.stops = append(p.stops, runRig(t, "stratum+tcp://"+listens[i], address+".rig", kernel, 1, nil))
		}
		c.coins = append(c.coins, p)
	}
	for _, p := range c.coins {
		p := p
		c.s.await("blocks of "+p.name, 2*time.Minute, func() error {
			var found struct{ Total int }
			if err := c.s.get("/api/v1/pools/"+p.name+"/blocks?limit=1", &found); err != nil {
				return err
			}
			if found.Total < 6 {
				return fmt.Errorf("%d blocks", found.Total)
			}
			return nil
		})
		c.mine(p, 100)
	}
	return c
}

// mine has the node itself find blocks that pay nobody here.
func (c *payoutChaos) mine(p *payingCoin, n int64) {
	c.t.Helper()
	var height int64
	err := p.calls.Call(c.t.Context(), "getblockcount", &height)
	if err == nil {
		err = p.node.Prepare(c.t.Context(), height+n, nil)
	}
	if err != nil {
		c.t.Fatalf("mine on %s: %v", p.name, err)
	}
}

// up starts adit and waits until it is ready.
func (c *payoutChaos) up() {
	c.t.Helper()
	state := c.s.state
	c.s = start(c.t, filepath.Join(c.dir, "data"), "serve", "--config", c.config)
	c.s.state = state
	c.s.await("readiness", 2*time.Minute, func() error { var text string; return c.s.get("/readyz", &text) })
}

// command runs an adit payout command and returns what it said and its exit code.
func (c *payoutChaos) command(p *payingCoin, args ...string) (string, int) {
	args = append(append([]string{"payout"}, args...), "--data-dir", filepath.Join(c.dir, "data"), "--pool", p.name)
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, aditBinary, args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), 0
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	}
	c.t.Fatalf("adit %v: %v", args, err)
	return "", 0
}

// round asks for a payout and kills adit when it has reached some state, or lets it be.
func (c *payoutChaos) round() {
	p := c.coins[c.random.IntN(len(c.coins))]
	c.mine(p, int64(1+c.random.IntN(4)))
	states := []payout.State{payout.StateDraft, payout.StateFrozen, payout.StateApproved, payout.StateBuilt, payout.StateSigned, payout.StateBroadcast, payout.StateConfirmed, payout.StateFinal}
	want := states[c.random.IntN(len(states))]
	ledger := filepath.Join(c.dir, "data", p.name, "ledger", "ledger.log")
	info, err := os.Stat(ledger)
	if err != nil {
		c.t.Fatal(err)
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
		defer cancel()
		_ = exec.CommandContext(ctx, aditBinary, "payout", "run", "--yes", "--data-dir", filepath.Join(c.dir, "data"), "--pool", p.name).Run()
	}()
	reached := c.watch(ledger, info.Size(), `"kind":"payout.`+string(want)+`"`, asked)
	if !reached {
		<-asked
		return
	}
	c.s.kill()
	<-asked
	c.done["adit killed at "+string(want)]++
	c.meanwhile()
	c.up()
}

// watch waits until a text stands behind an offset of a file; false when the command ends first.
func (c *payoutChaos) watch(path string, offset int64, text string, asked <-chan struct{}) bool {
	f, err := os.Open(path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	var seen []byte
	buf := make([]byte, 64<<10)
	look := func() bool {
		n, _ := f.ReadAt(buf, offset) // the end of the file is no error here
		offset += int64(n)
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen, []byte(text)) {
			return true
		}
		seen = seen[max(0, len(seen)-len(text)):]
		return false
	}
	tick := time.NewTicker(300 * time.Microsecond)
	defer tick.Stop()
	for {
		if look() {
			return true
		}
		select {
		case <-asked:
			return look()
		case <-tick.C:
		}
	}
}

// meanwhile does something to Redis or to the ledger's disk while adit is down.
func (c *payoutChaos) meanwhile() {
	switch c.random.IntN(6) {
	case 0:
		c.flush()
		c.done["Redis emptied"]++
	case 1:
		c.redis.kill()
		dir := filepath.Join(c.dir, "redis")
		kept := c.copied(dir)
		if c.older != "" {
			if err := errors.Join(os.RemoveAll(dir), os.Rename(c.older, dir)); err != nil {
				c.t.Fatal(err)
			}
			c.done["Redis set back"]++
		}
		c.older = kept
		c.redis.start()
	case 2:
		data := filepath.Join(c.dir, "data")
		if c.backup == "" || c.random.IntN(3) == 0 {
			c.backup = c.copied(data)
			return
		}
		c.oldDisk(data)
		c.done["ledger's disk restored from an old backup"]++
	}
}

func (c *payoutChaos) flush() {
	conn, err := net.DialTimeout("tcp", c.redis.addr, 10*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 100)
	if _, err := conn.Write([]byte("FLUSHALL\r\n")); err != nil {
		c.t.Fatal(err)
	}
	if n, err := conn.Read(buf); err != nil || buf[0] != '+' {
		c.t.Fatalf("Redis answers FLUSHALL with %q, %v", buf[:n], err)
	}
}

// copied keeps a directory as it is now.
func (c *payoutChaos) copied(dir string) string {
	c.t.Helper()
	c.copies++
	to := fmt.Sprintf("%s.%d", dir, c.copies)
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		c.t.Fatalf("copy %s: %v: %s", dir, err, out)
	}
	return to
}

// oldDisk lets adit work on an old backup, with a Redis that remembers nothing, and asks it to pay: what it does
// not know to be paid must not be paid again. Then the right disk comes back.
func (c *payoutChaos) oldDisk(data string) {
	right := data + ".right"
	if err := os.Rename(data, right); err != nil {
		c.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", c.backup, data).CombinedOutput(); err != nil {
		c.t.Fatalf("copy: %v: %s", err, out)
	}
	c.flush()
	c.up()
	for _, p := range c.coins {
		said, code := c.command(p, "run", "--yes")
		c.t.Logf("old disk, %s: exit code %d: %s", p.name, code, tail(said, 300))
	}
	c.s.kill()
	c.flush()
	if err := errors.Join(os.RemoveAll(data), os.Rename(right, data)); err != nil {
		c.t.Fatal(err)
	}
}

// settle ends the faults and goes on until every batch is final.
func (c *payoutChaos) settle() {
	c.t.Helper()
	for _, p := range c.coins {
		for _, stop := range p.stops {
			stop()
		}
	}
	for _, p := range c.coins {
		said := ""
		deadline := time.Now().Add(10 * time.Minute)
		for {
			out, code := c.command(p, "run", "--yes")
			said = out
			open := 0
			for _, d := range c.batches(p) {
				if d.State != payout.StateFinal && d.State != payout.StateCancelled && d.State != payout.StateReplaced {
					open++
				}
			}
			if open == 0 && code == 3 {
				break
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("payouts of %s do not come to an end: exit code %d: %s", p.name, code, said)
			}
			c.mine(p, 3)
			time.Sleep(100 * time.Millisecond) // settlement takes blocks in
		}
	}
}

func (c *payoutChaos) batches(p *payingCoin) []*payout.BatchDoc {
	c.t.Helper()
	out, code := c.command(p, "list", "--json")
	if code != 0 {
		c.t.Fatalf("list of %s: %s", p.name, out)
	}
	var docs []*payout.BatchDoc
	if err := json.Unmarshal([]byte(out), &docs); err != nil {
		c.t.Fatalf("list of %s: %v", p.name, err)
	}
	return docs
}

// judge reads the chains and gives the closing line.
func (c *payoutChaos) judge() (line string, clean bool) {
	t := c.t
	clean = true
	var results []string
	for _, p := range c.coins {
		paid, twice, lost, strange := c.count(p)
		results = append(results, fmt.Sprintf("%s: %d batches paid once, %d twice, %d lost, %d payments of no batch", p.name, paid, twice, lost, strange))
		clean = clean && paid > 0 && twice+lost+strange == 0
		said, code := c.command(p, "reconcile", "--full")
		if code != 0 {
			t.Errorf("reconcile of %s: exit code %d\n%s", p.name, code, said)
			clean = false
		}
	}
	c.s.stop()
	at := 0
	for k, n := range c.done {
		if strings.HasPrefix(k, "adit killed") {
			at += n
		}
	}
	kinds := []string{fmt.Sprintf("adit killed %d", at)}
	for _, k := range []string{"Redis emptied", "Redis set back", "ledger's disk restored from an old backup"} {
		if n := c.done[k]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %d", k, n))
		}
	}
	t.Logf("%v", c.done)
	verdict := "agree"
	if !clean {
		verdict = "DO NOT AGREE"
	}
	return fmt.Sprintf("chaos-payout: %d faults (%s); %s; ledgers and chains %s", c.total(), strings.Join(kinds, ", "), strings.Join(results, "; "), verdict), clean && !t.Failed()
}

// count holds a coin's chain against the batches of its ledger: the miners' scripts are paid by nothing else.
func (c *payoutChaos) count(p *payingCoin) (paid, twice, lost, strange int) {
	t := c.t
	byTx := map[string]*payout.BatchDoc{}
	seen := map[string]int{}
	for _, d := range c.batches(p) {
		if d.TxID != nil && len(d.Payees) > 0 && d.State == payout.StateFinal {
			byTx[d.TxID.String()] = d
		}
	}
	var height int64
	if err := p.calls.Call(t.Context(), "getblockcount", &height); err != nil {
		t.Fatal(err)
	}
	type output struct {
		Value        json.Number
		ScriptPubKey struct{ Hex string }
	}
	for h := int64(1); h <= height; h++ {
		var hash string
		var block struct {
			Tx []struct {
				Txid string
				Vout []output
			}
			RawTx []struct {
				Txid string
				Vout []output
			} // btcd's name for it
		}
		if err := p.calls.Call(t.Context(), "getblockhash", &hash, h); err != nil {
			t.Fatal(err)
		}
		if err := p.calls.Call(t.Context(), "getblock", &block, hash, 2); err != nil {
			t.Fatal(err)
		}
		txs := block.Tx
		if len(txs) == 0 || len(block.RawTx) > 0 {
			txs = block.RawTx
		}
		for _, tx := range txs[1:] {
			ours := 0
			for _, o := range tx.Vout {
				script, err := hex.DecodeString(o.ScriptPubKey.Hex)
				if err != nil {
					t.Fatal(err)
				}
				if p.scripts[string(script)] {
					ours++
				}
			}
			d := byTx[tx.Txid]
			switch {
			case d == nil && ours > 0:
				t.Logf("%s: transaction %s pays miners and is of no batch", p.name, tx.Txid)
				strange++
			case d != nil:
				seen[tx.Txid]++
				for _, q := range d.Payees {
					o := tx.Vout[*q.Vout]
					if o.ScriptPubKey.Hex != fmt.Sprintf("%x", []byte(q.Script)) || baseUnits(t, o.Value) != int64(q.Amount-q.Fee) {
						t.Errorf("%s: output %d of %s is %s to %s, the batch owes %d to %x", p.name, *q.Vout, tx.Txid, o.Value, o.ScriptPubKey.Hex, q.Amount, []byte(q.Script))
					}
				}
			}
		}
	}
	for txid, d := range byTx {
		switch seen[txid] {
		case 0:
			t.Logf("%s: batch %s is final and %s is not in the chain", p.name, d.ID, txid)
			lost++
		case 1:
			paid++
		default:
			twice++
		}
	}
	return paid, twice, lost, strange
}

// baseUnits reads an amount as nodes write it.
func baseUnits(t *testing.T, n json.Number) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(n.String())
	if !ok || !r.Mul(r, big.NewRat(100_000_000, 1)).IsInt() {
		t.Fatalf("amount %s", n)
	}
	return r.Num().Int64()
}
