package stratum_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
	"github.com/rs/zerolog"
)

// buggy panics on a share, on a login or on a job that a poisoned account is to get.
type buggy struct{ *stratumtest.Pool }

func (p buggy) Authorize(user, password string) (pool.Worker, error) {
	if user == "testlogin" {
		panic("bug in a login")
	}
	return p.Pool.Authorize(user, password)
}

func (p buggy) Issue(s *pool.Session, now time.Time) (pool.Issued, *pool.Job, error) {
	if s.Workers[0].User == "testissue" {
		panic("bug in a job")
	}
	return p.Pool.Issue(s, now)
}

func (p buggy) Submit(s *pool.Session, batch []pool.Judged, now time.Time) {
	if s.Workers[0].User == "testsubmit" {
		panic("bug in a share")
	}
	p.Pool.Submit(s, batch, now)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(s))
}

// A bug that one connection meets ends that connection: the reader's, the writer's. The others go on.
func TestPanicEndsItsConnection(t *testing.T) {
	p, log := stratumtest.NewPool(pool.SchemePPLNS, true), &lockedBuffer{}
	s := stratumtest.Start(t, stratum.Options{Pool: buggy{p}, Dialect: v1.New(), Log: zerolog.New(log)})
	good := stratumtest.Dial(t, s.Addr)
	good.Open("testgood")

	c := stratumtest.Dial(t, s.Addr)
	c.Open("testsubmit")
	line, _ := c.SubmitLine(c.Find(&c.Rig.Job))
	c.Send(line)
	c.Closed()
	for _, user := range []string{"testlogin", "testissue"} {
		c = stratumtest.Dial(t, s.Addr)
		subscribe(c, "")
		c.Send(`{"id":2,"method":"mining.authorize","params":["` + user + `"]}`)
		c.Closed()
	}
	await(t, func() bool { return s.Stats().Closed["crash"] == 3 && s.Stats().Connections == 1 && p.Sessions() == 1 }, func() string {
		return "not ended"
	})
	accepted(good, good.Find(&good.Rig.Job))
	p.Refresh()
	good.Expect(stratumtest.Notify)
	if n := log.count(`"level":"error"`); n != 3 || log.count("crash_test.go") < 3 {
		t.Errorf("%d errors in the log, with stacks of this file %d", n, log.count("crash_test.go"))
	}
}
