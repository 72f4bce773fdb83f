package redis

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/edge"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/slice"
)

// line is the way of shares as the product goes it: a journal on disk, an edge's forwarder, Redis, and at the
// end a reader that keeps a cursor of its own, as the settler does.
type line struct {
	t        *testing.T
	redis    *Redis
	pool     *Pool
	journal  *journal.Journal
	edge     *edge.Edge
	stop     func()
	appended uint64 // durable shares
	read     uint64 // sequence up to which all was read
	decoder  journal.Decoder
}

func startLine(t *testing.T, url string) *line {
	t.Helper()
	r, err := Open(t.Context(), Options{URL: url, Log: zerolog.Nop()})
	must(t, err)
	p, err := r.Pool(t.Context(), "main", "")
	must(t, err)
	j, err := journal.Open(journal.Options{Dir: t.TempDir(), Pool: "main", Log: zerolog.Nop()})
	must(t, err)
	l := &line{t: t, redis: r, pool: p, journal: j}
	l.edge, l.stop = startEdge(t, p, j)
	t.Cleanup(func() {
		l.stop()
		must(t, j.Close(context.Background()))
		r.Close()
	})
	return l
}

// startEdge runs an edge of which only the forwarder has something to do.
func startEdge(t *testing.T, p *Pool, j *journal.Journal) (*edge.Edge, func()) {
	t.Helper()
	chain, err := all.Find("bitcoin", "regtest")
	must(t, err)
	engine, err := pool.NewEngine(pool.EngineConfig{PoolID: "main", Chain: chain, Scheme: pool.SchemePPLNS, Epoch: j.Epoch(), RewardScript: []byte{0x51}})
	must(t, err)
	e, err := edge.New(edge.Options{
		Pool: "main", Name: "edge-1", Chain: chain, Engine: engine, Journal: j, Stream: p, Candidates: p, Reports: p, Ledger: p, Notes: p,
		Dir: t.TempDir(), Log: zerolog.Nop(), ProbeEvery: 50 * time.Millisecond, GatherFor: time.Millisecond, StopGrace: 100 * time.Millisecond,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	return e, sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// shares makes n more shares durable, a few a journal block.
func (l *line) shares(n int) {
	l.t.Helper()
	script := []byte{0x00, 0x14, 19: 7, 21: 0}
	for i := range n {
		s := &pool.Share{
			Time: time.Now().UnixMilli(), Account: pool.AccountOf("main", script), Script: script, Worker: "rig", Scheme: pool.SchemePPLNS,
			Issued: pool.WorkOf(1), Credit: pool.WorkOf(1), Bits: 0x207fffff, Job: 1,
		}
		copy(s.Hash[:], fmt.Sprintf("%016d", l.appended+uint64(i)+1))
		c := l.journal.Append(s)
		if i%3 == 2 || i == n-1 {
			<-c.Done()
			must(l.t, c.Err())
		}
	}
	l.appended += uint64(n)
}

// take reads what the stream has behind the cursor. A hole or another share in the place of one that was
// read is a fault; being sent again is none.
func (l *line) take(ctx context.Context) {
	l.t.Helper()
	raws, err := l.pool.Read(ctx, slice.StreamID{Edge: "edge-1", Epoch: l.journal.Epoch()}, l.read, 1000)
	if err != nil {
		return // away: the next look may see it
	}
	for _, raw := range raws {
		b, shares, err := l.decoder.DecodeAppend(nil, raw)
		must(l.t, err)
		if b.First > l.read+1 {
			l.t.Fatalf("stream goes on with %d behind %d", b.First, l.read)
		}
		for i := range shares {
			s := &shares[i]
			if want := fmt.Sprintf("%016d", s.Seq); string(s.Hash[:]) != want {
				l.t.Fatalf("share %d is %q", s.Seq, s.Hash)
			}
			l.read = max(l.read, s.Seq)
		}
	}
}

// arrive waits until everything that is durable was read and the edge knows that it is there.
func (l *line) arrive(what string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 90*time.Second)
	defer cancel()
	for l.read != l.appended || l.edge.Backlog() != 0 {
		select {
		case <-ctx.Done():
			l.t.Fatalf("%s: %d of %d shares arrived, backlog %d", what, l.read, l.appended, l.edge.Backlog())
		case <-time.After(5 * time.Millisecond):
		}
		l.take(ctx)
	}
}

// whole waits until Redis itself holds every share again that was ever durable, whatever was read before.
func (l *line) whole(what string) {
	l.t.Helper()
	l.read = 0
	l.arrive(what)
}

// backlog waits until the edge knows that something has not arrived.
func (l *line) backlog(what string) {
	l.t.Helper()
	eventually(l.t, what, func() bool { return l.edge.Backlog() > 0 })
}

func TestForwardThroughFaults(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	start := func() *child { return startChildAt(t, dir, port, durable...) }
	c := start()
	defer func() { c.kill() }()
	s := connect(t, &server{url: c.url, real: true})
	ctx := t.Context()
	l := startLine(t, c.url)
	l.shares(30)
	l.arrive("at the start")

	must(t, s.raw.FlushAll(ctx).Err())
	l.shares(5)
	l.whole("after FLUSHALL")
	must(t, s.raw.Del(ctx, l.pool.k.shares(l.journal.Epoch())).Err())
	l.whole("after DEL of the stream")

	old := s.dump(t)
	l.shares(20)
	l.arrive("before an older Redis is restored")
	s.restore(t, old)
	l.shares(5)
	l.whole("after an older Redis was restored")

	// memory runs out: nothing is acknowledged that is not there, what the ledger has can still be trimmed,
	// and that alone makes room
	must(t, s.raw.ConfigSet(ctx, "maxmemory", "1mb").Err())
	l.shares(40)
	l.backlog("redis refuses for want of memory")
	if _, err := l.pool.Append(ctx, "edge-1", l.journal.Epoch(), l.read, l.block(l.read)); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Fatalf("append to a full Redis: %v", err)
	}
	if _, err := l.pool.Acquire(ctx, "somebody"); err == nil {
		t.Fatal("a full Redis took something new")
	}
	must(t, l.pool.Trim(ctx, slice.StreamID{Edge: "edge-1", Epoch: l.journal.Epoch()}, l.read))
	if n := s.raw.XLen(ctx, l.pool.k.shares(l.journal.Epoch())).Val(); n != 0 {
		t.Fatalf("%d blocks are left of a stream that was trimmed to its end", n)
	}
	must(t, s.raw.ConfigSet(ctx, "maxmemory", "0").Err())
	l.arrive("when there is memory again")

	// the address leads to another pool's or another installation's Redis for a while
	identity := s.raw.HGet(ctx, l.pool.k.meta(), "identity").Val()
	must(t, s.raw.HSet(ctx, l.pool.k.meta(), "identity", "another").Err())
	before := s.raw.XLen(ctx, l.pool.k.shares(l.journal.Epoch())).Val()
	l.shares(10)
	l.backlog("nothing goes to a wrong server")
	if n := s.raw.XLen(ctx, l.pool.k.shares(l.journal.Epoch())).Val(); n != before {
		t.Fatalf("a wrong server was written to: %d blocks became %d", before, n)
	}
	must(t, s.raw.HSet(ctx, l.pool.k.meta(), "identity", identity).Err())
	l.arrive("when the server is the right one again")

	// it is gone for long, and comes back as its file has it
	c.kill()
	for range 10 {
		l.shares(30)
	}
	l.backlog("redis is away")
	c = start()
	eventually(t, "redis answers", func() bool { return s.raw.Ping(ctx).Err() == nil })
	l.arrive("after redis was away")
}

// block is the journal's block behind a sequence.
func (l *line) block(after uint64) []journal.Block {
	l.t.Helper()
	blocks, err := l.journal.Read(l.journal.Epoch(), after, 1)
	must(l.t, err)
	return blocks[:1]
}

// TestForwardTwice runs two forwarders over one journal, as two processes with a copied data directory would:
// each share is there once and in order, and each of them goes on.
func TestForwardTwice(t *testing.T) {
	s := sharedServer(t, &shared.single)
	l := startLine(t, s.url)
	other, err := s.open(t).Pool(t.Context(), "main", l.pool.Identity())
	must(t, err)
	second, stop := startEdge(t, other, l.journal)
	defer stop()
	for range 20 {
		l.shares(9)
	}
	l.arrive("two forwarders")
	eventually(t, "the second knows", func() bool { return second.Backlog() == 0 })
	s.flush(t)
	l.shares(9)
	l.whole("two forwarders after a flush")
	if n, want := s.raw.XLen(t.Context(), l.pool.k.shares(l.journal.Epoch())).Val(), l.blocks(); n != want {
		t.Fatalf("stream has %d blocks, journal %d", n, want)
	}
}

func (l *line) blocks() (n int64) {
	l.t.Helper()
	for after := uint64(0); after < l.appended; n++ {
		after = l.block(after)[0].Last()
	}
	return n
}

// TestForwardSentinel kills the primary while its replica lags, so that the failover takes back what Redis
// had acknowledged: the edge finds out from what the new primary says, and sends it again.
func TestForwardSentinel(t *testing.T) {
	t.Parallel()
	primary := startReal(t, durable...)
	host, port, _ := strings.Cut(strings.TrimPrefix(primary.url, "redis://"), ":")
	must(t, primary.raw.ConfigSet(t.Context(), "repl-diskless-sync-delay", "0").Err())
	copyDir, copyPort := t.TempDir(), freePort(t)
	replica := startChildAt(t, copyDir, copyPort, append([]string{"--replicaof", host + " " + port}, durable...)...)
	defer replica.kill()
	second := connect(t, &server{url: replica.url, real: true})
	ctx := t.Context()
	linked := func() bool {
		return strings.Contains(second.raw.Info(ctx, "replication").Val(), "master_link_status:up")
	}
	eventually(t, "the replica is linked", linked)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 4000\n", host, port), 0o600))
	sentinel := startReal(t, "sentinel", conf)
	eventually(t, "the sentinel knows the replica", func() bool {
		return strings.Contains(sentinel.raw.Info(ctx, "sentinel").Val(), "slaves=1")
	})

	l := startLine(t, "redis+sentinel"+strings.TrimPrefix(sentinel.url, "redis")+"/main")
	l.shares(30)
	l.arrive("before the failover")
	eventually(t, "the replica has it", func() bool { return second.raw.XLen(ctx, l.pool.k.shares(l.journal.Epoch())).Val() == l.blocks() })
	must(t, syscall.Kill(replica.cmd.Process.Pid, syscall.SIGSTOP))
	l.shares(30)
	l.arrive("at the primary alone") // acknowledged, read, and to be forgotten
	must(t, syscall.Kill(primaryPID(t, primary), syscall.SIGKILL))
	must(t, syscall.Kill(replica.cmd.Process.Pid, syscall.SIGCONT))
	promoted := func() bool { return strings.Contains(second.raw.Info(ctx, "replication").Val(), "role:master") }
	for deadline := time.Now().Add(time.Minute); !promoted(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the replica is not promoted")
		}
	}
	l.shares(30)
	l.whole("after the failover")
	if n, want := second.raw.XLen(ctx, l.pool.k.shares(l.journal.Epoch())).Val(), l.blocks(); n != want {
		t.Fatalf("the new primary has %d blocks, the journal %d", n, want)
	}
	must(t, l.pool.Health(ctx))
}

func primaryPID(t *testing.T, s *server) int {
	t.Helper()
	for line := range strings.Lines(s.raw.Info(t.Context(), "server").Val()) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "process_id:"); ok {
			var pid int
			if _, err := fmt.Sscan(value, &pid); err == nil && pid > 1 {
				return pid
			}
		}
	}
	t.Fatal("redis does not tell its process id")
	return 0
}

// TestForwardCluster runs on three nodes, all of which are looked at when it is opened. The node that holds
// the pool's keys is killed and comes back; so is one that does not.
func TestForwardCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var nodes [3]*child
	var dirs [3]string
	var ports, buses [3]int
	var clients [3]*goredis.Client
	start := func(i int) *child {
		return startChildAt(t, dirs[i], ports[i], append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-port", fmt.Sprint(buses[i]), "--cluster-require-full-coverage", "no"}, durable...)...)
	}
	var hosts []string
	for i := range nodes {
		dirs[i], ports[i], buses[i] = t.TempDir(), freePort(t), freePort(t)
		nodes[i] = start(i)
		defer func() { nodes[i].kill() }()
		clients[i] = connect(t, &server{url: nodes[i].url, real: true}).raw
		must(t, clients[i].ClusterAddSlotsRange(ctx, i*16384/3, (i+1)*16384/3-1).Err())
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", ports[i]))
	}
	for i := 1; i < 3; i++ {
		must(t, clients[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", ports[i], buses[i]).Err())
	}
	up := func(i int) bool {
		info := clients[i].ClusterInfo(ctx).Val()
		return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") &&
			strings.Contains(info, "cluster_slots_ok:16384")
	}
	for i := range nodes {
		for deadline := time.Now().Add(time.Minute); !up(i); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the cluster does not form: %s", clients[i].ClusterInfo(ctx).Val())
			}
		}
	}
	address := "redis+cluster://" + strings.Join(hosts, ",")
	must(t, clients[2].ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
	if _, err := Open(ctx, Options{URL: address, Log: zerolog.Nop()}); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Fatalf("a cluster with a node that evicts was opened: %v", err)
	}
	must(t, clients[2].ConfigSet(ctx, "maxmemory-policy", "noeviction").Err())

	l := startLine(t, address)
	l.shares(30)
	l.arrive("on three nodes")
	slot := clients[0].ClusterKeySlot(ctx, l.pool.k.meta()).Val()
	holder := int(slot) * 3 / 16384
	for _, i := range []int{(holder + 1) % 3, holder} {
		nodes[i].kill()
		l.shares(15)
		if i == holder {
			l.backlog("the node is away")
		} else {
			l.arrive("the node does not matter")
		}
		nodes[i] = start(i)
		for deadline := time.Now().Add(time.Minute); !up(i); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("node %d does not come back: %s", i, clients[i].ClusterInfo(ctx).Val())
			}
		}
		l.arrive("all nodes again")
	}
	l.whole("in the end")
	b := newBook()
	b.credits(50, 3)
	must(t, b.rollForward(ctx, l.pool))
	must(t, b.check(ctx, l.pool))
	if _, err := l.pool.Acquire(ctx, "A"); err != nil {
		t.Fatal(err)
	}
}

// TestClockJumps turns the server's clock back and forth: streams and candidates keep their order, which
// never comes from a clock, and whoever took the lease last has the higher token.
func TestClockJumps(t *testing.T) {
	e, err := StartEmbedded()
	must(t, err)
	defer e.Close()
	r, err := Open(t.Context(), Options{URL: e.URL(), AllowVolatile: true, Log: zerolog.Nop()})
	must(t, err)
	defer r.Close()
	p, err := r.Pool(t.Context(), "main", "")
	must(t, err)
	ctx := t.Context()
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	edges := &toyEdge{oldest: 1}
	var token uint64
	for n, jump := range []time.Duration{0, 365 * 24 * time.Hour, -800 * 24 * time.Hour, time.Second, -time.Hour} {
		start = start.Add(jump)
		e.server.SetTime(start)
		must(t, p.PublishCandidate(ctx, candidate(byte(n))))
		edges.newest += 4
		edges.send(t, p)
		got, err := p.Acquire(ctx, "A")
		must(t, err)
		if got <= token {
			t.Fatalf("token %d after %d", got, token)
		}
		token = got
	}
	edges.check(t, p, 0, 1)
	found, err := p.Candidates(ctx, "")
	must(t, err)
	if len(found) != 5 {
		t.Fatalf("%d candidates", len(found))
	}
	for n := range found {
		if found[n].Hash != candidate(byte(n)).Hash {
			t.Fatalf("candidate %d is out of order", n)
		}
		must(t, p.AckCandidate(ctx, found[n].ID))
	}
	if left, err := p.Candidates(ctx, ""); err != nil || len(left) != 0 {
		t.Fatalf("%d candidates are left, %v", len(left), err)
	}
}
