package stratum_test

import (
	"fmt"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// clocked runs f with a server over pipes on synctest's clock; dial connects to it.
func clocked(t *testing.T, l pool.Limits, f func(t *testing.T, s *stratumtest.Running, p *stratumtest.Pool, dial func() *stratumtest.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := stratumtest.NewPool(pool.SchemePPLNS, true)
		ln := stratumtest.ListenPipes()
		s := stratumtest.StartOn(t, ln, stratum.Options{Pool: p, Dialect: v1.New(), Limits: l})
		defer s.Stop(t)
		f(t, s, p, func() *stratumtest.Client {
			nc, err := ln.Dial()
			if err != nil {
				t.Fatal(err)
			}
			return stratumtest.NewClient(t, nc)
		})
	})
}

// lasts checks after how long a connection ends, and why.
func lasts(t *testing.T, s *stratumtest.Running, c *stratumtest.Client, want time.Duration, reason stratum.Close) {
	t.Helper()
	from := time.Now()
	for {
		if _, err := c.Next(time.Hour); err != nil {
			break
		}
	}
	synctest.Wait()
	if got := time.Since(from); got != want || s.Stats().Closed[reason.String()] != 1 {
		t.Errorf("ended after %v, want %v; %v", got, want, s.Stats().Closed)
	}
}

// P2: who says nothing, or does not get to the end of it, is not waited for.
func TestDeadlines(t *testing.T) {
	l := stratumtest.Limits()
	l.Max = l.Min
	l.Start = l.Min
	clocked(t, l, func(t *testing.T, s *stratumtest.Running, _ *stratumtest.Pool, dial func() *stratumtest.Client) {
		lasts(t, s, dial(), 30*time.Second, stratum.CloseHandshake)
	})
	clocked(t, l, func(t *testing.T, s *stratumtest.Running, _ *stratumtest.Pool, dial func() *stratumtest.Client) {
		c := dial() // talking is not authorizing
		for range 29 {
			c.Ask(`{"id":1,"method":"mining.ping"}`, `{"id":1,"result":"pong","error":null}`)
			time.Sleep(time.Second)
		}
		lasts(t, s, c, time.Second, stratum.CloseHandshake)
	})
	clocked(t, l, func(t *testing.T, s *stratumtest.Running, _ *stratumtest.Pool, dial func() *stratumtest.Client) {
		c := dial()
		c.Open("testa")
		time.Sleep(9 * time.Minute)
		c.Ask(`{"id":1,"method":"mining.ping"}`, `{"id":1,"result":"pong","error":null}`)
		lasts(t, s, c, 10*time.Minute, stratum.CloseIdle)
	})
	clocked(t, l, func(t *testing.T, s *stratumtest.Running, _ *stratumtest.Pool, dial func() *stratumtest.Client) {
		c := dial() // a byte a second is not a line
		c.Open("testa")
		for range 29 {
			io.WriteString(c, "{")
			time.Sleep(time.Second)
		}
		lasts(t, s, c, time.Second, stratum.CloseSlowLine)
	})
}

// P3: a miner that does not read is waited for by nobody, and when it reads again it has the newest job
// and not all that there were.
func TestSlowReader(t *testing.T) {
	clocked(t, stratumtest.Limits(), func(t *testing.T, s *stratumtest.Running, p *stratumtest.Pool, dial func() *stratumtest.Client) {
		slow, quick := dial(), dial()
		slow.Open("testa")
		quick.Open("testb")
		var newest *pool.Job
		for range 50 {
			newest = p.Refresh()
			from := time.Now()
			quick.Expect(stratumtest.Notify)
			if time.Since(from) != 0 {
				t.Fatal("a job waited for a slow reader")
			}
		}
		ntime := fmt.Sprintf("%08x", newest.Template.CurTime)
		got := 0
		for slow.Rig.Job.NTime != ntime {
			slow.Expect(stratumtest.Notify)
			got++
		}
		if got > 2 {
			t.Errorf("%d jobs were kept for a slow reader", got)
		}
		p.Refresh() // and if it never reads again it is dropped, some seconds later
		quick.Expect(stratumtest.Notify)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Closed["slow-reader"] != 1 {
			t.Errorf("closed: %v", st.Closed)
		}
	})
}

// A peer that asks and does not read is read no further, and memory has a bound.
func TestUnreadReplies(t *testing.T) {
	clocked(t, stratumtest.Limits(), func(t *testing.T, s *stratumtest.Running, _ *stratumtest.Pool, dial func() *stratumtest.Client) {
		c := dial()
		const line = `{"id":1,"method":"mining.ping"}` + "\n"
		sent := 0
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		for {
			if _, err := io.WriteString(c, line); err != nil {
				break
			}
			sent++
		}
		synctest.Wait()
		if s.Stats().Closed["slow-reader"] != 1 || sent > 4000 {
			t.Errorf("%d requests taken, closed: %v", sent, s.Stats().Closed)
		}
	})
}

// hashes is the expected number for a share of difficulty 1.
const hashes = 1 << 32

// TestVardiff lets a rig of a known hashrate mine: the difficulty goes up to fit, down when the rig gets
// slower, down by a timer when it is silent; set_difficulty never comes without a job and nothing is
// rejected.
func TestVardiff(t *testing.T) {
	l := pool.Limits{Start: 1e-8, Min: 1e-9, Max: 1, SharesPerMinute: 15}
	clocked(t, l, func(t *testing.T, _ *stratumtest.Running, p *stratumtest.Pool, dial func() *stratumtest.Client) {
		c := dial()
		c.Open("testa")
		// listen reads for a while: what the server pushes by itself, and answers to shares.
		answers, id := 0, 0
		listen := func(while time.Duration) {
			for end := time.Now().Add(while); ; {
				line, err := c.Next(time.Until(end))
				if err != nil {
					return
				}
				if _, err := stratumtest.Match(stratumtest.SetDifficulty, line); err == nil {
					if next := c.Line(); !matches(stratumtest.Notify, next) {
						t.Fatalf("after set_difficulty came %s", next)
					}
				} else if matches(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id), line) {
					answers++
				} else if !matches(stratumtest.Notify, line) {
					t.Fatalf("unexpected line %s", line)
				}
			}
		}
		difficulty := func() float64 {
			var d float64
			fmt.Sscan(c.Rig.Job.Difficulty, &d)
			return d
		}
		mine := func(hashrate float64, shares int) {
			for range shares {
				for done := 0.0; ; { // hashes since the last share
					left := difficulty()*hashes - done
					if left <= 0 {
						break
					}
					step := min(left/hashrate, 1)
					listen(time.Duration(step*float64(time.Second)) + 1)
					done += step * hashrate
				}
				var line string
				line, id = c.SubmitLine(c.Find(&c.Rig.Job))
				before := answers
				c.Send(line)
				listen(time.Microsecond)
				if answers != before+1 {
					t.Fatalf("share not answered true; rejects: %v", p.Rejects())
				}
			}
		}
		fits := func(when string, hashrate float64) {
			t.Helper()
			want := hashrate * 60 / l.SharesPerMinute / hashes
			if got := difficulty(); math.Abs(math.Log(got/want)) > math.Log(2) {
				t.Errorf("%s: difficulty %g, want %g within a factor of 2", when, got, want)
			}
		}
		fast, slow := 1000.0, 50.0 // hashes a second
		mine(fast, 150)
		fits("up", fast)
		mine(slow, 60)
		fits("down", slow)
		high := difficulty()
		listen(5 * time.Minute) // silence
		if d := difficulty(); d > high/8 {
			t.Errorf("silent: difficulty %g after %g", d, high)
		}
		if r := p.Rejects(); len(r) != 0 {
			t.Errorf("rejects: %v", r)
		}
	})
}

func matches(pattern, line string) bool {
	_, err := stratumtest.Match(pattern, line)
	return err == nil
}

// slowJudge is a pool that judges no share before it is let go.
type slowJudge struct {
	*stratumtest.Pool
	letGo chan struct{}
}

func (p slowJudge) Submit(s *pool.Session, batch []pool.Judged, now time.Time) {
	<-p.letGo
	p.Pool.Submit(s, batch, now)
}

// A connection whose share waits to be judged delays no other connection's job.
func TestJobsWaitForNoJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := slowJudge{stratumtest.NewPool(pool.SchemePPLNS, true), make(chan struct{})}
		ln := stratumtest.ListenPipes()
		s := stratumtest.StartOn(t, ln, stratum.Options{Pool: p, Dialect: v1.New()})
		defer s.Stop(t)
		var clients [2]*stratumtest.Client
		for i := range clients {
			nc, err := ln.Dial()
			if err != nil {
				t.Fatal(err)
			}
			clients[i] = stratumtest.NewClient(t, nc)
			clients[i].Open("testa")
		}
		line, _ := clients[0].SubmitLine(clients[0].Find(&clients[0].Rig.Job))
		clients[0].Send(line)
		time.Sleep(25 * time.Second) // vardiff has looked at all connections meanwhile
		p.NextBlock()
		began := time.Now()
		clients[1].Expect(stratumtest.Notify)
		if waited := time.Since(began); waited > 0 {
			t.Errorf("a job waited %v", waited)
		}
		close(p.letGo)
		clients[0].Expect(`{"id":101,"result":null,"error":[21,"Stale share: the chain has a new tip",null]}`)
	})
}
