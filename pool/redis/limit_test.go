package redis

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// The payout limit of an account is what the logins asked for that did most of its work, over the last days that it
// worked on. A stranger with a share or a thousand small ones changes nothing: not beside the owner's rigs, not
// while the owner is away, not after Redis was emptied.
func TestPayoutLimits(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		const day = 24 * time.Hour
		now := time.Duration(0)
		// mine is a day of the owner's rigs, most of whose work asks for limit, and of strangers.
		mine := func(limit pool.Amount, strangers ...pool.LimitReport) {
			t.Helper()
			s.clock(now)
			var workers []pool.WorkerReport
			if limit != 0 {
				workers = []pool.WorkerReport{rig(1, "x", 60, at(now)), rig(1, "y", 40, at(now))}
				strangers = append(strangers, pool.LimitReport{Account: miner(1), Limit: limit, Work: 600})
			}
			workers = append(workers, rig(2, "z", 1, at(now)))
			must(t, p.Report(ctx, pool.Report{Edge: "e", Time: at(now), Interval: 10_000, Workers: workers, Limits: strangers}))
		}
		holds := func(why string, want ...pool.PayoutLimit) {
			t.Helper()
			s.clock(now)
			got, err := p.PayoutLimits(ctx)
			must(t, err)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", why, got, want)
			}
		}
		owner := func(limit pool.Amount) pool.PayoutLimit { return pool.PayoutLimit{Account: miner(1), Limit: limit} }
		stranger := pool.LimitReport{Account: miner(1), Limit: 1_000_000, Work: 1}

		mine(0, stranger)
		holds("statistics that have only begun")
		for range 8 {
			mine(50)
			now += day
		}
		holds("rigs with most of the work", owner(50))
		mine(0, stranger)
		holds("one share of a stranger", owner(50))
		var many []pool.LimitReport
		for i := range 3 * maxLimits {
			many = append(many, pool.LimitReport{Account: miner(1), Limit: pool.Amount(1000 + i), Work: 1})
		}
		mine(70, many...)
		holds("many limits of a stranger", owner(50))
		if n := s.raw.HLen(ctx, p.k.limits(miner(1))).Val(); n > maxLimits {
			t.Errorf("%d limits are kept", n)
		}
		for range 5 {
			now += day
			mine(70)
		}
		holds("most of the work with another limit", owner(70))
		now += 30 * day
		mine(0, stranger)
		holds("a stranger while the owner is away", owner(70))
		must(t, s.raw.FlushAll(ctx).Err())
		p = s.pool(t)
		mine(0, stranger)
		now += time.Minute
		mine(0, stranger)
		holds("a stranger after Redis was emptied")
	})
}

// What cannot be read is left out, and no work is no majority.
func TestPrevailing(t *testing.T) {
	if got := parseLimits(map[string]string{"x": "1", "1 y": "1", "7 5": "oops", "": ""}); len(got) != 1 || got[0].work != 0 {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct{ said, done, want string }{
		{"", "", "none"}, {"1:5=1", "", "5"}, {"1:5=0", "", "none"}, {"1:5=1 1:6=1", "", "none"}, {"1:5=1", "1=2", "none"}, {"1:5=1.1", "1=2", "5"},
		{"1:5=100 9:6=1", "2=1 3=1 4=1 5=1 6=1 7=1 8=1", "none"}, {"1:5=1", "2=0 3=0 4=0 5=0 6=0 7=0 8=0", "5"},
	} {
		var said []saidLimit
		var history []point
		for text := range strings.FieldsSeq(c.said) {
			var x saidLimit
			if _, err := fmt.Sscanf(text, "%d:%d=%g", &x.day, &x.limit, &x.work); err != nil {
				t.Fatal(err)
			}
			said = append(said, x)
		}
		for text := range strings.FieldsSeq(c.done) {
			var q point
			if _, err := fmt.Sscanf(text, "%d=%g", &q.bucket, &q.work); err != nil {
				t.Fatal(err)
			}
			history = append(history, q)
		}
		got := "none"
		if limit, ok := prevailing(said, history); ok {
			got = fmt.Sprint(int64(limit))
		}
		if got != c.want {
			t.Errorf("said %q, done %q: %s, want %s", c.said, c.done, got, c.want)
		}
	}
}
