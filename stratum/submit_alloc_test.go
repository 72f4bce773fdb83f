package stratum_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// agreeable accepts everything, in one commit that is done: what is left is the server's and dialect's own
// work.
type agreeable struct {
	*stratumtest.Pool
	done *pool.Commit
}

func (p *agreeable) Submit(_ *pool.Session, batch []pool.Judged, _ time.Time) {
	for i := range batch {
		batch[i].Verdict, batch[i].Commit = pool.Verdict{}, p.done
	}
}

// unkept has the engine judge, and keeps nothing.
type unkept struct {
	*stratumtest.Pool
	done *pool.Commit
}

func (p *unkept) Submit(s *pool.Session, batch []pool.Judged, now time.Time) {
	p.Judge(s, batch, now)
	for i := range batch {
		batch[i].Commit = p.done
	}
}

// opened returns a connection without goroutines that is ready for work, and a share for its job.
func opened(tb testing.TB, p stratum.Pool) (*stratum.ConnForTest, *stratumtest.Rig) {
	tb.Helper()
	s, err := stratum.New(stratum.Options{Pool: p, Dialect: v1.New(), Limits: stratumtest.Limits()})
	if err != nil {
		tb.Fatal(err)
	}
	near, far := net.Pipe()
	tb.Cleanup(func() { near.Close(); far.Close() })
	c, rig := stratum.NewConnForTest(s, near), new(stratumtest.Rig)
	for _, line := range []string{`{"id":1,"method":"mining.subscribe","params":[]}`, `{"id":2,"method":"mining.authorize","params":["testa.rig"]}`} {
		for _, reply := range bytes.SplitAfter(c.Exchange([]byte(line+"\n")), []byte("\n")) {
			if len(reply) > 0 {
				if err := rig.See(string(reply)); err != nil {
					tb.Fatal(err)
				}
			}
		}
	}
	return c, rig
}

func submitLine(tb testing.TB, rig *stratumtest.Rig, n int) []byte {
	tb.Helper()
	sh, err := rig.Job.Find(rig.Extranonce1, fmt.Sprintf("%016x", n), 0, 0, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Appendf(nil, `{"id":4,"method":"mining.submit","params":["testa.rig",%q,%q,%q,%q,"00000000"]}`+"\n",
		sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
}

func allowed(tb testing.TB, what string, most float64, f func()) {
	tb.Helper()
	if got := testing.AllocsPerRun(200, f); got > most {
		tb.Errorf("%s: %v allocations, at most %v allowed", what, got, most)
	}
}

func TestSubmitAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	done := pool.NewCommit()
	done.Finish(nil)
	c, rig := opened(t, &agreeable{stratumtest.NewPool(pool.SchemePPLNS, true), done})
	line := submitLine(t, rig, 1)
	if got := string(c.Exchange(line)); got != `{"id":4,"result":true,"error":null}`+"\n" {
		t.Fatalf("got %s", got)
	}
	allowed(t, "accepted, without the engine", 0, func() { c.Exchange(line) })
	bad := bytes.Replace(line, []byte(`"testa.rig"`), []byte(`"testa.wrong"`), 1)
	allowed(t, "refused by the dialect", 0, func() { c.Exchange(bad) })

	c, rig = opened(t, stratumtest.NewPool(pool.SchemePPLNS, true))
	line = submitLine(t, rig, 1)
	c.Exchange(line)
	duplicate := func() {
		if !bytes.Contains(c.Exchange(line), []byte("[22,")) {
			t.Fatal("not a duplicate")
		}
	}
	allowed(t, "judged by the engine", 0, duplicate)
	lines := make([][]byte, 300)
	c, rig = opened(t, &unkept{stratumtest.NewPool(pool.SchemePPLNS, true), done})
	for i := range lines {
		lines[i] = submitLine(t, rig, 2+i)
	}
	next := 0
	allowed(t, "accepted by the engine", 0, func() {
		if !bytes.Contains(c.Exchange(lines[next]), []byte("true")) {
			t.Fatal("not accepted")
		}
		next++
	})
}

// BenchmarkSubmit is a share from line to reply, without engine and journal: parse, decode, look up, reply.
func BenchmarkSubmit(b *testing.B) {
	done := pool.NewCommit()
	done.Finish(nil)
	c, rig := opened(b, &agreeable{stratumtest.NewPool(pool.SchemePPLNS, true), done})
	line := submitLine(b, rig, 1)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		c.Exchange(line)
	}
}

// BenchmarkDuplicate is the same with the engine's judgement (three transactions in the block).
func BenchmarkDuplicate(b *testing.B) {
	c, rig := opened(b, stratumtest.NewPool(pool.SchemePPLNS, true))
	line := submitLine(b, rig, 1)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		c.Exchange(line)
	}
}
