package stratum_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

// Ten minutes with a new tip every 20 seconds, refreshed jobs between them and vardiff on: nothing is refused
// but shares of a tip that was replaced while they were searched for.
func TestTenMinutesOfBlocks(t *testing.T) {
	const hashrate, length = 1000.0, 10 * time.Minute
	l := pool.Limits{Start: 1e-8, Min: 1e-9, Max: 1, SharesPerMinute: 15}
	clocked(t, l, func(t *testing.T, _ *stratumtest.Running, p *stratumtest.Pool, dial func() *stratumtest.Client) {
		c := dial()
		c.Open("testa")
		begin, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			for i := 1; time.Since(begin) < length; i++ {
				time.Sleep(6 * time.Second)
				if i%3 != 0 {
					p.Refresh()
					continue
				}
				time.Sleep(-time.Since(begin.Add(time.Duration(i/3) * 20 * time.Second)))
				p.NextBlock()
			}
		}()
		luck := rand.New(rand.NewPCG(1, 2))
		answers := map[string]int{}
		for time.Since(begin) < length {
			job := c.Rig.Job // what comes while it searches counts from its next share on
			var difficulty float64
			fmt.Sscan(job.Difficulty, &difficulty)
			found := time.Now().Add(time.Duration(luck.ExpFloat64() * difficulty * hashes / hashrate * float64(time.Second)))
			for {
				if _, err := c.Next(time.Until(found)); err != nil {
					break
				}
			}
			line, id := c.SubmitLine(c.Find(&job))
			c.Send(line)
			for answer := ""; answer == ""; {
				got := c.Line()
				switch {
				case matches(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id), got):
					answer = "true"
				case matches(fmt.Sprintf(`{"id":%d,"result":null,"error":[21,"Stale share: the chain has a new tip",null]}`, id), got):
					answer = "stale"
				case !matches(stratumtest.Notify, got) && !matches(stratumtest.SetDifficulty, got):
					t.Fatalf("to %s came %s", line, got)
				}
				if answer != "" {
					answers[answer]++
				}
			}
		}
		<-done
		t.Logf("answers: %v; counted refusals: %v", answers, p.Rejects())
		if r := p.Rejects(); answers["true"] < 100 || r[pool.RejectStale] != answers["stale"] || len(r) > 1 {
			t.Errorf("answers %v, refusals %v", answers, r)
		}
	})
}
