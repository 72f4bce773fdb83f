//go:build itest

package itest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// topology is a Redis as operators run it: one server, two behind sentinels, or a Cluster of three.
type topology struct {
	t         *testing.T
	kind      string // "single", "sentinel" or "cluster"
	dir       string
	servers   []*process
	sentinels []*process
	buses     []string // addresses at which the nodes of a Cluster talk to each other
	older     string   // copy of the data of servers[0] as it once was, "" before there is one
}

var chaosKinds = []string{"single", "sentinel", "cluster"}

func startTopology(t *testing.T, kind, dir string) *topology {
	t.Helper()
	o := &topology{t: t, kind: kind, dir: dir}
	t.Cleanup(func() {
		for _, p := range append(o.sentinels, o.servers...) {
			p.kill()
		}
	})
	for i := range map[string]int{"single": 1, "sentinel": 2, "cluster": 3}[kind] {
		more := ""
		switch {
		case kind == "cluster":
			o.buses = append(o.buses, freePort(t))
			_, bus, _ := net.SplitHostPort(o.buses[i])
			more = "cluster-enabled yes\ncluster-node-timeout 2000\ncluster-port " + bus + "\n"
		case i > 0:
			host, port, _ := net.SplitHostPort(o.servers[0].addr)
			more = "replicaof " + host + " " + port + "\n"
		}
		o.servers = append(o.servers, o.server(fmt.Sprintf("redis-%d", i), more+
			"appendonly yes\nappendfsync everysec\nsave \"\"\nmaxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n"))
	}
	switch kind {
	case "sentinel":
		o.await("a replica", func() bool { return strings.Contains(o.info(o.servers[1], "replication"), "master_link_status:up") })
		host, port, _ := net.SplitHostPort(o.servers[0].addr)
		for i := range 3 {
			o.sentinels = append(o.sentinels, o.server(fmt.Sprintf("sentinel-%d", i), fmt.Sprintf(
				"sentinel monitor adit %s %s 2\nsentinel down-after-milliseconds adit 1000\nsentinel failover-timeout adit 3000\n", host, port), "--sentinel"))
		}
		o.await("sentinels that know each other", func() bool {
			for _, p := range o.sentinels {
				if !strings.Contains(o.info(p, "sentinel"), "slaves=1,sentinels=3") {
					return false
				}
			}
			return true
		})
	case "cluster":
		first := o.client(o.servers[0])
		defer first.Close()
		for i, p := range o.servers {
			c := o.client(p)
			if err := c.ClusterAddSlotsRange(t.Context(), i*16384/3, (i+1)*16384/3-1).Err(); err != nil {
				t.Fatal(err)
			}
			c.Close()
			host, port, _ := net.SplitHostPort(p.addr)
			if i > 0 {
				_, bus, _ := net.SplitHostPort(o.buses[i])
				if err := first.Do(t.Context(), "CLUSTER", "MEET", host, port, bus).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		o.well()
	}
	return o
}

// server starts a redis-server on a port of its own with a configuration file, which Redis itself rewrites.
func (o *topology) server(name, config string, args ...string) *process {
	o.t.Helper()
	dir := filepath.Join(o.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		o.t.Fatal(err)
	}
	addr := freePort(o.t)
	host, port, _ := net.SplitHostPort(addr)
	path := filepath.Join(dir, "redis.conf")
	text := fmt.Sprintf("bind %s\nport %s\ndir %s\nlogfile %s\n%s", host, port, dir, filepath.Join(dir, "log"), config)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	p := &process{t: o.t, addr: addr, path: "redis-server", args: append([]string{path}, args...)}
	p.start()
	return p
}

func (o *topology) url() string {
	var hosts []string
	switch o.kind {
	case "sentinel":
		for _, p := range o.sentinels {
			hosts = append(hosts, p.addr)
		}
		return "redis+sentinel://" + strings.Join(hosts, ",") + "/adit"
	case "cluster":
		for _, p := range o.servers {
			hosts = append(hosts, p.addr)
		}
		return "redis+cluster://" + strings.Join(hosts, ",")
	}
	return "redis://" + o.servers[0].addr + "/0"
}

func (o *topology) client(p *process) *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: p.addr, Protocol: 2, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: 2 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second})
}

// info is a section of INFO, "" when the server does not answer.
func (o *topology) info(p *process, section string) string {
	c := o.client(p)
	defer c.Close()
	return c.Info(context.Background(), section).Val()
}

func (o *topology) await(what string, ok func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("%s: no %s within two minutes", o.kind, what)
		}
	}
}

// primary is the server that takes the pool's writes.
func (o *topology) primary() *process {
	o.t.Helper()
	found := o.servers[0]
	switch o.kind {
	case "sentinel":
		o.await("primary that the sentinels agree on", func() bool {
			c := o.client(o.sentinels[0])
			defer c.Close()
			at, err := c.Do(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "adit").StringSlice()
			if err != nil || len(at) != 2 {
				return false
			}
			for _, p := range o.servers {
				if p.addr == net.JoinHostPort(at[0], at[1]) && strings.Contains(o.info(p, "replication"), "role:master") {
					found = p
					return true
				}
			}
			return false
		})
	case "cluster":
		c := o.client(o.servers[0])
		defer c.Close()
		slot := c.ClusterKeySlot(context.Background(), "{bitcoin}").Val()
		found = o.servers[min(2, int(slot)*3/16384)]
	}
	return found
}

// well waits until the whole answers as it should when nothing is wrong.
func (o *topology) well() {
	o.t.Helper()
	switch o.kind {
	case "sentinel":
		o.await("replica of the primary", func() bool {
			primary := o.primary()
			for _, p := range o.servers {
				if p != primary && !strings.Contains(o.info(p, "replication"), "master_link_status:up") {
					return false
				}
			}
			return true
		})
	case "cluster":
		o.await("cluster that is up", func() bool {
			for _, p := range o.servers {
				c := o.client(p)
				info := c.ClusterInfo(context.Background()).Val()
				c.Close()
				if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
					return false
				}
			}
			return true
		})
	default:
		o.await("server that has loaded its file", func() bool { return o.info(o.servers[0], "server") != "" })
	}
}

// flush empties every server that takes writes.
func (o *topology) flush() {
	o.t.Helper()
	for _, p := range o.servers {
		if !strings.Contains(o.info(p, "replication"), "role:master") {
			continue
		}
		c := o.client(p)
		if err := c.FlushAll(context.Background()).Err(); err != nil && !strings.Contains(err.Error(), "READONLY") {
			o.t.Errorf("FLUSHALL on %s: %v", p.addr, err)
		}
		c.Close()
	}
}

// lose kills the server that takes the pool's writes. With sentinels the replica takes over, which lags
// behind when lagging says so: what was acknowledged meanwhile is rolled back.
func (o *topology) lose(nap func(), lagging bool) {
	o.t.Helper()
	primary := o.primary()
	if o.kind != "sentinel" {
		primary.kill()
		nap()
		primary.start()
		o.well()
		return
	}
	var other *process
	for _, p := range o.servers {
		if p != primary {
			other = p
		}
	}
	if lagging {
		_ = syscall.Kill(other.pid(), syscall.SIGSTOP)
		time.Sleep(500 * time.Millisecond)
	}
	primary.kill()
	if lagging {
		_ = syscall.Kill(other.pid(), syscall.SIGCONT)
	}
	o.await("failover", func() bool { return strings.Contains(o.info(other, "replication"), "role:master") })
	primary.start()
	o.well()
}

// setBack gives the server the data that it had some time ago, as a restored backup would, and keeps what it
// has now for the next time.
func (o *topology) setBack(n int) {
	o.t.Helper()
	p := o.primary()
	p.kill()
	dir := filepath.Join(filepath.Dir(p.args[0]), "appendonlydir")
	kept := filepath.Join(o.dir, fmt.Sprintf("older.%d", n))
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		o.t.Fatal(err)
	}
	if o.older != "" {
		if err := errors.Join(os.RemoveAll(dir), os.Rename(o.older, dir)); err != nil {
			o.t.Fatal(err)
		}
	}
	o.older = kept
	p.start()
	o.well()
}
