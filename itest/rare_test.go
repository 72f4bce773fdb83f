//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool/node/devnode"
	"github.com/adit-pool/adit/worker"
)

// rareHeight is where eight retargets of simnet have made a block take 131 072 hashes; the first of nine
// sees only how old the genesis block is.
const rareHeight = 9 * 2016

// rareChain copies a chain of that height into dir. It is made once, some 50 s of mining, and cached.
func rareChain(t *testing.T, dir string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cached := filepath.Join(cache, "adit-itest", fmt.Sprintf("simnet-%d", rareHeight))
	if _, err := os.Stat(cached); err != nil {
		began := time.Now()
		making := cached + ".making"
		if err := os.RemoveAll(making); err != nil {
			t.Fatal(err)
		}
		n, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Dir: making, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Prepare(t.Context(), rareHeight, nil); err != nil {
			t.Fatal(err)
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(making, cached); err != nil {
			t.Fatal(err)
		}
		t.Logf("made a chain of %d blocks in %v", rareHeight, time.Since(began).Round(time.Second))
	}
	if err := os.CopyFS(dir, os.DirFS(cached)); err != nil {
		t.Fatal(err)
	}
}

// freePort is a port that nothing listened on a moment ago, below those that connections take for
// themselves: a server that is started again finds it free.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(22_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// startRare runs `adit serve --config` against a node and a Redis that it did not start, with blocks a
// hundred times rarer than shares.
func startRare(t *testing.T) (s *site, node *devnode.Node, redis *devnode.Redis) {
	t.Helper()
	// 131 072 hashes a block are difficulty 0.0000305; a share takes some 1 300 hashes.
	const difficulty = "0.0000003"
	return startRareAt(t, difficulty, difficulty, difficulty)
}

// startRareAt does so with other difficulties.
func startRareAt(t *testing.T, first, least, most string) (s *site, node *devnode.Node, redis *devnode.Redis) {
	t.Helper()
	dir := t.TempDir()
	rareChain(t, filepath.Join(dir, "node"))
	var err error
	node, err = devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Dir: filepath.Join(dir, "node"), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	if err := node.Prepare(t.Context(), rareHeight, nil); err != nil {
		t.Fatal(err)
	}
	redis, err = devnode.StartRedis(t.Context(), devnode.RedisOptions{Dir: filepath.Join(dir, "redis"), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Kill)

	key, err := exec.Command(aditBinary, "payout", "key", filepath.Join(dir, "key"), "--network", "simnet").Output()
	if err != nil {
		t.Fatal(err)
	}
	var reward string
	if _, err := fmt.Sscanf(string(key), "reward_address = %q", &reward); err != nil {
		t.Fatalf("%v: %s", err, key)
	}
	stratum, web := freePort(t), freePort(t)
	config := fmt.Sprintf(`
data_dir = "data"
[redis]
url = %q
[dashboard]
listen = %q
[payout]
key_file = "key"
[[pool]]
id = "bitcoin"
coin = "bitcoin"
network = "simnet"
reward_address = %q
fee_ppm = 12345
[[pool.node]]
url = %q
user = %q
password = %q
[[pool.stratum]]
listen = %q
start_difficulty = %s
min_difficulty = %s
max_difficulty = %s
`, redis.URL(), web, reward, node.URL(), node.User(), node.Password(), stratum, first, least, most)
	path := filepath.Join(dir, "adit.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, filepath.Join(dir, "data"), "serve", "--config", path)
	s.state = devState{
		Coin: "bitcoin", RewardAddress: reward, Dashboard: "http://" + web, Stratum: "stratum+tcp://" + stratum,
		NodeURL: node.URL(), NodeUser: node.User(), NodePassword: node.Password(),
	}
	s.await("readiness", 30*time.Second, func() error { var text string; return s.get("/readyz", &text) })
	return s, node, redis
}

// TestRareBlocks lets three accounts of unequal work find blocks that take a hundred shares, and compares
// every credit with what a straight computation in rationals makes of the journal and the slices.
func TestRareBlocks(t *testing.T) {
	s, _, _ := startRare(t)
	r := newRigs()
	ctx, stopRigs := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stopRigs(); wg.Wait() })
	users := []string{"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.one", "sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr.two", s.state.RewardAddress + ".three"}
	for i, user := range users {
		wg.Go(func() {
			err := worker.Run(ctx, worker.Options{
				Pool: s.state.Stratum, User: user, Kernel: sha256d.Kernel{}, Threads: 1,
				Limit: worker.NewLimit([]float64{90_000, 40_000, 20_000}[i]), Log: zerolog.Nop(), Observer: r.observe,
			})
			if err != nil {
				t.Errorf("rig %s: %v", user, err)
			}
		})
	}
	const wanted = 8
	var blocks struct{ Blocks []blockView }
	credited := func() (n int) {
		for _, b := range blocks.Blocks {
			if b.State == "immature" {
				n++
			}
		}
		return n
	}
	s.await("credited blocks", 3*time.Minute, func() error {
		if err := s.pool("/blocks?limit=100", &blocks); err != nil {
			return err
		}
		if n := credited(); n < wanted {
			return fmt.Errorf("only %d", n)
		}
		return nil
	})
	t.Run("header", func(t *testing.T) { headerFromTheWire(t, s) })
	stopRigs()
	wg.Wait()

	shares := map[string]map[uint64]*shareLine{}
	s.journalShares(shares)
	byNumber := map[uint64]*sliceLine{}
	lines := jsonLines[sliceLine](t, s.adit("slices", "cat", "--data-dir", s.dir))
	for i := range lines {
		byNumber[lines[i].Number] = &lines[i]
	}
	countOnce(t, lines, shares)
	total, accounts := 0, 0
	for _, b := range blocks.Blocks {
		if b.State != "immature" {
			continue
		}
		var whole blockView
		if err := s.pool("/blocks/"+b.Hash, &whole); err != nil {
			t.Fatal(err)
		}
		checkCredits(t, s, &whole)
		compareSplit(t, s.dir, &whole, byNumber, outOfTurn(lines), shares)
		total++
		accounts = max(accounts, len(whole.Credits))
	}
	_, acknowledged := r.count()
	if total < wanted || accounts != 3 || acknowledged < 50*total {
		t.Errorf("%d blocks, %d accounts, %d acknowledged shares: not the test that was wanted", total, accounts, acknowledged)
	}
	t.Logf("%d blocks over %d shares of %d accounts; refused: %v", total, acknowledged, accounts, r.rejected)
	s.stop()
}

// compareSplit recomputes a block's credits from slices and shares.
func compareSplit(t *testing.T, dir string, b *blockView, slices map[uint64]*sliceLine, extras map[place]bool, shares map[string]map[uint64]*shareLine) {
	t.Helper()
	weights := map[string]*big.Int{}
	for n := b.Window.First; n <= b.Window.Last; n++ {
		s := slices[n]
		if s == nil {
			t.Fatalf("block %s: slice %d is not published", b.Hash, n)
		}
		sums := recomputeSlice(t, s, extras, shares)
		compareSums(t, s, sums)
		score, rest := bigInt(t, s.Score), bigInt(t, b.Window.Rest)
		for account, w := range sums {
			if n == b.Window.First && score.Sign() > 0 {
				w = new(big.Int).Quo(new(big.Int).Mul(w, rest), score)
			}
			if weights[account] == nil {
				weights[account] = new(big.Int)
			}
			weights[account].Add(weights[account], w)
		}
	}
	fee, credits := split(bigInt(t, b.Reward), b.FeePPM, weights, rowIDs(t, filepath.Join(dir, "bitcoin"), b.Hash))
	if fee.String() != b.Fee {
		t.Errorf("block %s: fee %s, recomputed %v", b.Hash, b.Fee, fee)
	}
	for _, c := range b.Credits {
		if want := credits[c.Account]; want == nil || want.String() != c.Amount {
			t.Errorf("block %s: %s is credited %s, recomputed %v", b.Hash, c.Account, c.Amount, want)
		}
		delete(credits, c.Account)
	}
	for account, amount := range credits {
		if amount.Sign() > 0 {
			t.Errorf("block %s: %s should be credited %v", b.Hash, account, amount)
		}
	}
}

// headerFromTheWire mines one share with nothing but the text of stratum-v1's description: strings in,
// strings out.
func headerFromTheWire(t *testing.T, s *site) {
	c := dialWire(t, s.state.Stratum)
	c.send(`{"id":1,"method":"mining.subscribe","params":["wire-test"]}`)
	sub := c.result("1")
	extranonce1 := sub[1].(string)
	if size := sub[2].(float64); size != 8 {
		t.Fatalf("extranonce2 size %v", size)
	}
	c.send(`{"id":2,"method":"mining.authorize","params":["SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.wire","x"]}`)
	job := c.notify()
	const extranonce2 = "00112233445566ff"
	share := target(t, "0.0000003")
	var good, bad uint32
	found, missed := false, false
	for nonce := uint32(0); !found || !missed; nonce++ {
		if n := hashNumber(header(t, job, extranonce1, extranonce2, nonce)); n.Cmp(share) <= 0 {
			good, found = nonce, true
		} else if !missed {
			bad, missed = nonce, true
		}
	}
	submit := func(id int, nonce uint32) string {
		c.send(fmt.Sprintf(`{"id":%d,"method":"mining.submit","params":["SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg.wire",%q,%q,%q,"%08x"]}`,
			id, job[0], extranonce2, job[7], nonce))
		return c.answer(strconv.Itoa(id))
	}
	if got := submit(3, good); got != "true" && !errors.Is(c.changed(), errTip) {
		t.Errorf("a share that meets the target: %s", got)
	}
	if got := submit(4, good); got != "22" && got != "21" {
		t.Errorf("the same again: %s", got)
	}
	if got := submit(5, bad); got != "23" && got != "21" {
		t.Errorf("a hash above the target: %s", got)
	}
}
