package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// Servers that start slowly are started once and emptied for each test. Set by the first test that wants
// them, stopped by TestMain.
var shared struct {
	single, cluster *child
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, c := range []*child{shared.single, shared.cluster} {
			if c != nil {
				c.stop()
			}
		}
		os.Exit(code)
	}))
}

// server is a Redis under test, and a plain client that does to it what operators and accidents do.
type server struct {
	url  string
	raw  *goredis.Client
	real bool
	now  time.Time // clock of the statistics
}

// eachServer runs f on the in-process Redis and on a real one.
func eachServer(t *testing.T, f func(t *testing.T, s *server)) {
	t.Run("embedded", func(t *testing.T) { f(t, startEmbedded(t)) })
	t.Run("real", func(t *testing.T) { f(t, sharedServer(t, &shared.single)) })
	t.Run("cluster", func(t *testing.T) { f(t, sharedServer(t, &shared.cluster, "--cluster-enabled", "yes")) })
}

var durable = []string{"--appendonly", "yes", "--appendfsync", "no"}

// sharedServer empties a server that is started if it is not there. A Cluster has one node: it refuses
// what several would refuse, keys of different slots in one script and keys that a script did not name.
func sharedServer(t *testing.T, c **child, args ...string) *server {
	t.Helper()
	started := *c == nil
	if started {
		if len(args) > 0 {
			args = append(args, "--cluster-port", fmt.Sprint(freePort(t)))
		}
		*c = startChild(t, append(args, durable...)...)
	}
	s := connect(t, &server{url: (*c).url, real: true})
	if len(args) > 0 {
		if started {
			must(t, s.raw.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
			eventually(t, "the cluster is up", func() bool {
				return strings.Contains(s.raw.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
			})
		}
		s.url = "redis+cluster" + strings.TrimPrefix(s.url, "redis")
	}
	s.flush(t)
	return s
}

func startEmbedded(t *testing.T) *server {
	t.Helper()
	e, err := StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return connect(t, &server{url: e.URL()})
}

// startReal starts a redis-server of the test's own.
func startReal(t *testing.T, args ...string) *server {
	t.Helper()
	c := startChild(t, args...)
	t.Cleanup(c.stop)
	return connect(t, &server{url: c.url, real: true})
}

// child is a redis-server process.
type child struct {
	cmd *exec.Cmd
	dir string
	url string
}

// startChild starts a redis-server, with arguments "sentinel" and a file one in that role; without one on
// PATH the test is skipped, in CI it fails.
func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not on PATH")
		}
		t.Skip("redis-server is not on PATH: make deps installs it")
	}
	dir, err := os.MkdirTemp("", "adit-redis")
	must(t, err)
	return startChildAt(t, dir, freePort(t), args...)
}

// startChildAt is startChild with a directory and a port, where a server may have been before.
func startChildAt(t *testing.T, dir string, port int, args ...string) *child {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	must(t, err)
	first := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log")}
	if args[0] == "sentinel" {
		first, args = append([]string{args[1]}, first...), []string{"--sentinel"}
	} else {
		first = append(first, "--save", "")
	}
	c := &child{cmd: exec.Command(bin, append(first, args...)...), dir: dir, url: fmt.Sprintf("redis://127.0.0.1:%d", port)}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		t.Fatal(err)
	}
	return c
}

func (c *child) stop() {
	c.kill()
	os.RemoveAll(c.dir)
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// freePort is a port that nothing listened on a moment ago, below those that connections take for
// themselves: a server that is started again finds it free.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(22_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func connect(t *testing.T, s *server) *server {
	t.Helper()
	o, err := goredis.ParseURL(s.url)
	if err != nil {
		t.Fatal(err)
	}
	o.DialerRetries = 1
	goredis.SetLogger(silent{})
	s.raw = goredis.NewClient(o)
	t.Cleanup(func() { s.raw.Close() })
	s.now = time.Unix(1_800_000_000, 0)
	eventually(t, "redis answers", func() bool { return s.raw.Ping(t.Context()).Err() == nil })
	return s
}

// open connects as the product does.
func (s *server) open(t *testing.T) *Redis {
	t.Helper()
	r, err := Open(t.Context(), Options{URL: s.url, AllowVolatile: !s.real,
		Now: func() time.Time { return s.now }, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// pool opens one pool on a connection of its own, as another process would.
func (s *server) pool(t *testing.T) *Pool {
	t.Helper()
	p, err := s.open(t).Pool(t.Context(), "main", "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *server) flush(t *testing.T) {
	t.Helper()
	must(t, s.raw.FlushAll(t.Context()).Err())
}

// dump copies every key, restore puts the copy in place of what is there: a Redis restored from a backup.
func (s *server) dump(t *testing.T) map[string]string {
	t.Helper()
	copied := make(map[string]string)
	keys, err := s.raw.Keys(t.Context(), "*").Result()
	must(t, err)
	for _, k := range keys {
		copied[k], err = s.raw.Dump(t.Context(), k).Result()
		must(t, err)
	}
	return copied
}

func (s *server) restore(t *testing.T, copied map[string]string) {
	t.Helper()
	s.flush(t)
	for k, v := range copied {
		must(t, s.raw.Restore(t.Context(), k, 0, v).Err())
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
