//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool/node/devnode"
	"github.com/adit-pool/adit/pool/node/rpc"
	"github.com/adit-pool/adit/worker"
)

// litecoind runs a node on regtest that has seen one block.
func litecoind(t *testing.T) *devnode.Node {
	t.Helper()
	n, err := devnode.StartLitecoind(t.Context(), devnode.LitecoindOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs litecoind: %v", err)
	}
	t.Cleanup(n.Kill)
	if err := n.Prepare(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	return n
}

func redisServer(t *testing.T) *devnode.Redis {
	t.Helper()
	r, err := devnode.StartRedis(t.Context(), devnode.RedisOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs redis-server: %v", err)
	}
	t.Cleanup(r.Kill)
	return r
}

// nodeClient asks a node without the pool's code between; path is "" or /wallet/NAME.
func nodeClient(n *devnode.Node, path string) *rpc.Client {
	return rpc.New(rpc.Options{URL: n.URL() + path, User: n.User(), Password: n.Password(), Timeout: 30 * time.Second})
}

// configured is one pool of a site that startConfigured runs.
type configured struct {
	coin, network string
	node          *devnode.Node
	start         string // difficulty of every connection; "": one that every hash meets
}

// startConfigured runs `adit serve --config` with pools named like their coins, each on its own node and
// with its own key, and returns where each of them is. The site speaks for the first.
func startConfigured(t *testing.T, redisURL string, pools ...configured) (*site, []devState) {
	t.Helper()
	dir := t.TempDir()
	web := freePort(t)
	config := fmt.Sprintf("data_dir = \"data\"\n[redis]\nurl = %q\n[dashboard]\nlisten = %q\n", redisURL, web)
	var states []devState
	for _, p := range pools {
		key, err := exec.Command(aditBinary, "payout", "key", filepath.Join(dir, p.coin+".key"), "--coin", p.coin, "--network", p.network).Output()
		if err != nil {
			t.Fatal(err)
		}
		var reward string
		if _, err := fmt.Sscanf(string(key), "reward_address = %q", &reward); err != nil {
			t.Fatalf("%v: %s", err, key)
		}
		if p.start == "" {
			p.start = "0.0000000001"
		}
		listen := freePort(t)
		config += fmt.Sprintf(`
[[pool]]
coin = %q
network = %q
reward_address = %q
fee_ppm = 10000
key_file = %q
[[pool.node]]
url = %q
user = %q
password = %q
[[pool.stratum]]
listen = %q
start_difficulty = %s
min_difficulty = %[9]s
max_difficulty = %[9]s
`, p.coin, p.network, reward, p.coin+".key", p.node.URL(), p.node.User(), p.node.Password(), listen, p.start)
		states = append(states, devState{
			Coin: p.coin, RewardAddress: reward, Dashboard: "http://" + web, Stratum: "stratum+tcp://" + listen,
			NodeURL: p.node.URL(), NodeUser: p.node.User(), NodePassword: p.node.Password(),
		})
	}
	path := filepath.Join(dir, "adit.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, filepath.Join(dir, "data"), "serve", "--config", path)
	s.state = states[0]
	s.await("readiness", 30*time.Second, func() error { var text string; return s.get("/readyz", &text) })
	return s, states
}

// runRig mines at a known speed until the returned function is called, or the test ends.
func runRig(t *testing.T, pool, user string, kernel kernels.Kernel, hashes float64, observe func(worker.Event)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := worker.Run(ctx, worker.Options{
			Pool: pool, User: user, Kernel: kernel, Threads: 1, Limit: worker.NewLimit(hashes), Log: zerolog.Nop(), Observer: observe,
		})
		if err != nil {
			t.Errorf("rig %s: %v", user, err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// TestLitecoinBlockCreditPayout is the main job on a real litecoind behind the activation of MWEB.
func TestLitecoinBlockCreditPayout(t *testing.T) {
	litecoind(t).Kill() // or skip
	dir := t.TempDir()
	s := startDev(t, dir, "--coin", "litecoin", "--redis", "embedded")
	if !strings.Contains(s.printed(), "adit mine --algorithm scrypt --pool "+s.state.Stratum) {
		t.Errorf("a miner is not told the algorithm:\n%s", s.printed())
	}
	mainJob(t, s)
	s.await("books that agree with the node", 30*time.Second, func() error {
		if out := s.adit("payout", "reconcile", "--data-dir", dir); !strings.Contains(out, "agree") {
			return errors.New(out)
		}
		return nil
	})
	s.stop()
	noChildren(t, dir)
}

// blocksOf reads the pool's newest blocks.
func (s *site) blocksOf() []blockView {
	s.t.Helper()
	var blocks struct{ Blocks []blockView }
	if err := s.pool("/blocks?limit=100", &blocks); err != nil {
		s.t.Fatal(err)
	}
	return blocks.Blocks
}

// TestLitecoinAcrossMWEB finds blocks below the activation height, the block of that height, which must
// carry the first peg-in, and blocks behind it; litecoind has all of them in its chain.
func TestLitecoinAcrossMWEB(t *testing.T) {
	node := litecoind(t)
	plain := nodeClient(node, "")
	defer plain.Close()
	call := func(c *rpc.Client, result any, method string, params ...any) {
		t.Helper()
		if err := c.Call(t.Context(), method, result, params...); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	call(plain, nil, "createwallet", "pegin")
	wallet := nodeClient(node, "/wallet/pegin")
	defer wallet.Close()
	var own string
	call(wallet, &own, "getnewaddress")
	call(plain, nil, "generatetoaddress", 1, own)
	const begin = devnode.LitecoinMWEBHeight - 6
	call(plain, nil, "generatetoaddress", begin-2, devnode.RegtestBurnAddress)

	s, _ := startConfigured(t, redisServer(t).URL(), configured{coin: "litecoin", network: "regtest", node: node})
	stop := runRig(t, s.state.Stratum, devnode.RegtestBurnAddress+".mweb", scrypt.Kernel{}, 8, nil)
	height := func(atLeast int64) func() error {
		return func() error {
			var h int64
			if call(plain, &h, "getblockcount"); h < atLeast {
				return fmt.Errorf("height %d", h)
			}
			return nil
		}
	}
	s.await("chain right below MWEB", time.Minute, height(devnode.LitecoinMWEBHeight-1))
	// From here litecoind has no template before a peg-in is in its memory pool.
	var address, txid string
	call(wallet, &address, "getnewaddress", "", "mweb")
	call(wallet, &txid, "sendtoaddress", address, 5)
	s.await("chain beyond MWEB", 2*time.Minute, height(devnode.LitecoinMWEBHeight+6))
	stop()

	before, after, activation := 0, 0, false
	s.await("credited blocks", time.Minute, func() error {
		before, after, activation = 0, 0, false
		for _, b := range s.blocksOf() {
			if b.State != "immature" {
				continue
			}
			switch {
			case b.Height < devnode.LitecoinMWEBHeight:
				before++
			case b.Height > devnode.LitecoinMWEBHeight:
				after++
			default:
				activation = true
			}
		}
		if before < 5 || after < 6 || !activation {
			return fmt.Errorf("%d before, %d behind, the first: %v", before, after, activation)
		}
		return nil
	})
	for _, b := range s.blocksOf() {
		if b.State != "immature" {
			continue
		}
		var whole blockView
		if err := s.pool("/blocks/"+b.Hash, &whole); err != nil {
			t.Fatal(err)
		}
		checkCredits(t, s, &whole)
		var seen struct {
			Confirmations int64
			Tx            []struct{ Txid, Hash string }
			MWEB          map[string]any
		}
		call(plain, &seen, "getblock", b.Hash, 2)
		if seen.Confirmations < 1 || (seen.MWEB != nil) != (b.Height >= devnode.LitecoinMWEBHeight) {
			t.Errorf("block %d: %d confirmations, MWEB part %v", b.Height, seen.Confirmations, seen.MWEB)
		}
	}
	s.stop()
}

// checkDifficulty holds the network difficulty that a pool of scrypt shows to the node's own, which is in
// Bitcoin's unit: difficulty 1 of scrypt miners is 65536 times as easy.
func checkDifficulty(t *testing.T, s *site) {
	t.Helper()
	var own float64
	if err := s.node().Call(t.Context(), "getdifficulty", &own); err != nil {
		t.Fatal(err)
	}
	var shown struct {
		NetworkDifficulty float64 `json:"network_difficulty"`
	}
	s.await("the edge's first report", time.Minute, func() error {
		if err := s.pool("", &shown); err != nil {
			return err
		}
		if shown.NetworkDifficulty == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if ratio := shown.NetworkDifficulty / own / 65536; ratio < 0.999 || ratio > 1.001 {
		t.Errorf("%s: network difficulty %g is shown, the node says %g", s.state.Coin, shown.NetworkDifficulty, own)
	}
}

// TestTwoPools serves Bitcoin and Litecoin from one process and one Redis.
func TestTwoPools(t *testing.T) {
	btcd, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Network: "regtest", Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(btcd.Kill)
	if err := btcd.Prepare(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	s, states := startConfigured(t, redisServer(t).URL(),
		configured{coin: "bitcoin", network: "regtest", node: btcd},
		configured{coin: "litecoin", network: "regtest", node: litecoind(t)})
	const both = devnode.RegtestBurnAddress // public key hashes begin alike on both networks
	stops := []func(){
		runRig(t, states[0].Stratum, both+".sha", sha256d.Kernel{}, 4, nil),
		runRig(t, states[1].Stratum, both+".scrypt", scrypt.Kernel{}, 4, nil),
	}
	accounts, credited := map[string]bool{}, map[string]string{}
	for _, state := range states {
		s.state = state
		var blocks []blockView
		s.await("credited blocks of "+state.Coin, time.Minute, func() error {
			if blocks = s.blocksOf(); len(blocks) < 4 || blocks[3].State != "immature" {
				return fmt.Errorf("only %d", len(blocks))
			}
			return nil
		})
		var whole blockView
		if err := s.pool("/blocks/"+blocks[3].Hash, &whole); err != nil {
			t.Fatal(err)
		}
		checkCredits(t, s, &whole)
		if len(whole.Credits) != 1 {
			t.Fatalf("%s: credits %v, want all for %s", state.Coin, whole.Credits, both)
		}
		credited[state.Coin] = whole.Credits[0].Account
	}
	for _, stop := range stops {
		stop()
	}
	for _, state := range states {
		s.state = state
		var miner struct {
			Account, Address, Pool, Immature string
			Workers                          []struct{ Name string }
		}
		s.await("statistics of "+state.Coin, 30*time.Second, func() error {
			if err := s.pool("/miners/"+both, &miner); err != nil {
				return err
			}
			if len(miner.Workers) == 0 {
				return errors.New("no worker")
			}
			return nil
		})
		worker := map[string]string{"bitcoin": "sha", "litecoin": "scrypt"}[state.Coin]
		if miner.Pool != state.Coin || miner.Address != both || len(miner.Workers) != 1 || miner.Workers[0].Name != worker {
			t.Errorf("%s: %+v", state.Coin, miner)
		}
		if miner.Account != credited[state.Coin] {
			t.Errorf("%s: %s was credited, %s is the account of %s", state.Coin, credited[state.Coin], miner.Account, both)
		}
		if bigInt(t, miner.Immature).Sign() <= 0 {
			t.Errorf("%s: %s has %s", state.Coin, both, miner.Immature)
		}
		if accounts[miner.Account] {
			t.Errorf("account %s is in both pools", miner.Account)
		}
		accounts[miner.Account] = true
		var page string
		if err := s.get("/user/"+both, &page); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(page, `<section class="pool" data-pool="`)
		if len(parts) != 3 {
			t.Fatalf("the page of %s has %d pools", both, len(parts)-1)
		}
		for _, part := range parts[1:] {
			if here := strings.HasPrefix(part, state.Coin+`"`); here != strings.Contains(part, ">"+worker+"</a></td>") {
				t.Errorf("worker %s of %s is on the wrong part of the page, or on none", worker, state.Coin)
			}
		}
		var overview, begin string
		if err := errors.Join(s.get("/"+state.Coin, &overview), s.get("/start", &begin)); err != nil {
			t.Error(err)
		}
		if !strings.Contains(overview, strings.TrimPrefix(state.Stratum, "stratum+tcp://")) {
			t.Errorf("the page of %s does not name its listener %s", state.Coin, state.Stratum)
		}
		if want := map[string]string{"bitcoin": "sha256d", "litecoin": "scrypt"}[state.Coin]; !strings.Contains(html.UnescapeString(begin), "adit mine --algorithm "+want+" --pool "+state.Stratum) {
			t.Errorf("/start does not say how to mine %s on %s", want, state.Coin)
		}
		if state.Coin == "litecoin" { // btcd counts from its network's easiest target instead
			checkDifficulty(t, s)
		}
		if _, err := os.Stat(filepath.Join(s.dir, state.Coin, "ledger", "ledger.log")); err != nil {
			t.Error(err)
		}
		if out := s.adit("payout", "reconcile", "--data-dir", s.dir, "--pool", state.Coin); !strings.Contains(out, "agree") {
			t.Errorf("%s: %s", state.Coin, out)
		}
	}
	s.stop()
}
