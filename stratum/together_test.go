package stratum_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

// Shares that come in one piece are judged together: each gets its own answer, in the order of the requests,
// whatever stands between them.
func TestSharesTogether(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	job := c.Rig.Job
	p.Hold()
	yes := func(id int) string { return fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id) }
	no := func(id int, r pool.Reject) string {
		return fmt.Sprintf(`{"id":%d,"result":null,"error":[%d,"%s",null]}`, id, r.Code(), r.Message())
	}
	var lines, before, after []string // answers that do not wait for the failed commit, and those behind it
	first, id := c.SubmitLine(c.Find(&job))
	lines, before = append(lines, first), append(before, yes(id))
	for i := range 40 { // more than are judged at a time
		line, id := c.SubmitLine(c.Find(&job))
		want := yes(id)
		switch i % 8 {
		case 1: // the first share once more, under another id
			line, want = strings.Replace(first, `"id":101,`, fmt.Sprintf(`"id":%d,`, id), 1), no(id, pool.RejectDuplicate)
		case 3:
			line, want = strings.Replace(line, `"testa"`, `"testb"`, 1), no(id, pool.RejectUnauthorized)
		case 5:
			line, want = strings.Replace(line, job.ID, "00000000", 1), no(id, pool.RejectUnknownJob)
		case 7:
			line, want = fmt.Sprintf(`{"id":%d,"method":"mining.ping"}`, id), fmt.Sprintf(`{"id":%d,"result":"pong","error":null}`, id)
		}
		lines, after = append(lines, line), append(after, want)
	}
	after[0] = no(102, pool.RejectInternal)
	c.Send(strings.Join(lines, "\n"))
	await(t, func() bool { return p.Held() == 21 }, func() string { return fmt.Sprintf("%d shares accepted", p.Held()) })
	p.Release(1, nil)
	for _, want := range before {
		c.Expect(want)
	}
	p.Release(1, errors.New("disk full"))
	p.Release(-1, nil)
	for _, want := range after {
		c.Expect(want)
	}
	if got := p.Rejects(); got[pool.RejectDuplicate] != 5 || got[pool.RejectUnauthorized] != 5 || got[pool.RejectUnknownJob] != 5 {
		t.Errorf("%v", got)
	}
}
