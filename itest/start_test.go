package itest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/node/devnode"
)

// startConfig is a configuration that would work with the given node; f changes it.
type startConfig struct {
	dir, redis, web, reward, coin, network, nodeURL, user, password, stratum, more string
}

func (c startConfig) write(t *testing.T) string {
	t.Helper()
	if c.coin == "" {
		c.coin = "bitcoin"
	}
	text := fmt.Sprintf(`data_dir = %q
[redis]
url = %q
[dashboard]
listen = %q
[[pool]]
id = "bitcoin"
coin = %q
network = %q
reward_address = %q
%s
[[pool.node]]
url = %q
user = %q
password = %q
[[pool.stratum]]
listen = %q
`, filepath.Join(c.dir, "data"), c.redis, c.web, c.coin, c.network, c.reward, c.more, c.nodeURL, c.user, c.password, c.stratum)
	path := filepath.Join(c.dir, "adit.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRefusedStarts gives adit serve what cannot work: one line that says what, where and the fix, exit
// code 1, nothing left running.
func TestRefusedStarts(t *testing.T) {
	node, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Kill()
	if err := node.Prepare(t.Context(), devnode.SimnetSegwitHeight, nil); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	f := func(name string, change func(*startConfig), want ...string) {
		t.Helper()
		c := startConfig{
			dir: t.TempDir(), redis: "redis://127.0.0.1:1/0", web: "127.0.0.1:0", network: "simnet",
			reward: "sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr", nodeURL: node.URL(), user: node.User(), password: node.Password(),
			stratum: "127.0.0.1:0",
		}
		change(&c)
		cmd := exec.Command(aditBinary, "serve", "--config", c.write(t))
		timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: %v: %s", name, err, out)
			return
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		last := lines[len(lines)-1]
		for _, w := range want {
			if !strings.Contains(last, w) {
				t.Errorf("%s: %q is not in %q", name, w, last)
			}
		}
		if len(lines) != 1 {
			t.Errorf("%s: %d lines:\n%s", name, len(lines), out)
		}
	}
	f("unknown key", func(c *startConfig) { c.more = `fee_percent = 1` }, "line 11", "fee_percent", "adit.example.toml")
	f("bad fee", func(c *startConfig) { c.more = `fee_ppm = 1000001` }, "fee_ppm", "1000000")
	f("address of another network", func(c *startConfig) { c.reward = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4" }, "reward_address", "mainnet", "sb1")
	f("coin of proof of stake", func(c *startConfig) { c.coin = "ethereum" }, "proof of stake since 2022", "supported are bitcoin mainnet", "litecoin mainnet")
	f("coin without mining", func(c *startConfig) { c.coin = "xrp" }, "has no mining", "litecoin mainnet")
	f("unknown coin", func(c *startConfig) { c.coin = "dogecoin" }, `"dogecoin" is not known here`, "supported are bitcoin mainnet", "litecoin mainnet")
	f("unknown network", func(c *startConfig) { c.coin = "litecoin" }, `no network "simnet"`, "choose one of mainnet, testnet4, regtest")
	f("MWEB address", func(c *startConfig) {
		c.coin, c.network, c.reward = "litecoin", "regtest", "tmweb1qq"
	}, "reward_address", "MWEB", "transparent")
	f("unknown scheme", func(c *startConfig) { c.more = `scheme = "pps"` }, "scheme", "pplns, solo or prop")
	f("dashboard port taken", func(c *startConfig) { c.web = taken.Addr().String() }, "dashboard.listen", "in use", "choose another")
	f("Redis away", func(*startConfig) {}, "redis.url", "127.0.0.1:1")

	redis, err := devnode.StartRedis(t.Context(), devnode.RedisOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the rest needs redis-server: %v", err)
	}
	defer redis.Kill()
	withRedis := func(name string, change func(*startConfig), want ...string) {
		t.Helper()
		f(name, func(c *startConfig) { c.redis = redis.URL(); change(c) }, want...)
	}
	withRedis("stratum port taken", func(c *startConfig) { c.stratum = taken.Addr().String() }, "stratum[0].listen", "in use", "choose another")
	withRedis("node away", func(c *startConfig) { c.nodeURL = "http://127.0.0.1:1" }, "no node can be used", "127.0.0.1:1")
	withRedis("wrong password", func(c *startConfig) { c.password = "wrong" }, "no node can be used", "password")
	withRedis("wrong chain", func(c *startConfig) {
		c.network, c.reward = "regtest", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	}, "another chain")
	withRedis("locked data directory", func(c *startConfig) {
		holder := filepath.Join(c.dir, "data")
		if err := os.MkdirAll(holder, 0o700); err != nil {
			t.Fatal(err)
		}
		s := startDev(t, filepath.Join(t.TempDir(), "other"), "--redis", "embedded", "--rigs=false")
		if err := os.Remove(holder); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(s.dir, holder); err != nil {
			t.Fatal(err)
		}
	}, "in use", "stop it")
}

// TestDoctor examines a site that works and one that does not.
func TestDoctor(t *testing.T) {
	redis, err := devnode.StartRedis(t.Context(), devnode.RedisOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs redis-server: %v", err)
	}
	defer redis.Kill()
	node, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Kill()
	if err := node.Prepare(t.Context(), devnode.SimnetSegwitHeight, nil); err != nil {
		t.Fatal(err)
	}
	c := startConfig{
		dir: t.TempDir(), redis: redis.URL(), web: "127.0.0.1:0", network: "simnet",
		reward: "sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr", nodeURL: node.URL(), user: node.User(), password: node.Password(),
		stratum: "127.0.0.1:0",
	}
	out, err := exec.Command(aditBinary, "doctor", "--config", c.write(t)).CombinedOutput()
	if err != nil {
		t.Errorf("a good site: %v\n%s", err, out)
	}
	for _, want := range []string{"gives work for height 306", "Redis is reachable and persistent", "payout.key_file is not set", "fix: make a key"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	// An edge holds no money, and pays to where the ledgers take coinbases for the pool's.
	server, err := goredis.ParseURL(redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(server)
	defer client.Close()
	for _, tt := range []struct {
		reward, want string
		good         bool
	}{
		{"", "no ledger reported", true},
		{"00141a91d8ea40c6cea2cb8c96a496ff4a90ad8ab0d2", "not those of this edge", false},
	} {
		if tt.reward != "" {
			report := fmt.Sprintf(`{"name":"ledger-1","time":%d,"state":"active","reward":%q}`, time.Now().UnixMilli(), tt.reward)
			if err := client.HSet(t.Context(), "adit:{bitcoin}:ledgers", "ledger-1", report).Err(); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command(aditBinary, "doctor", "--role", "edge", "--config", c.write(t)).CombinedOutput()
		if (err == nil) != tt.good || !strings.Contains(string(out), tt.want) || !strings.Contains(string(out), "reaches no wallet") || strings.Contains(string(out), "key_file") {
			t.Errorf("an edge: %v\n%s", err, out)
		}
	}
	c.nodeURL = "http://127.0.0.1:1"
	out, err = exec.Command(aditBinary, "doctor", "--config", c.write(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "FAIL") || !strings.Contains(string(out), "fix: start the node") {
		t.Errorf("a site without a node: %v\n%s", err, out)
	}
}
