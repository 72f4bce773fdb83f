package redis

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/adit-pool/adit/pool"
)

const (
	dayMs     = 24 * hourMs
	limitsTTL = 90 * 24 * time.Hour
	maxLimits = 64 // days and limits kept an account: those with the most work
)

// reportLimits adds up the work of logins that asked for payout limits.
func (p *Pool) reportLimits(ctx context.Context, r *pool.Report) error {
	if len(r.Limits) == 0 {
		return nil
	}
	b := changes{p: p}
	lives := strconv.FormatInt(limitsTTL.Milliseconds(), 10)
	accounts := make(map[pool.AccountID]bool)
	for _, l := range r.Limits {
		key := p.k.limits(l.Account)
		b.add(key, "sum", fmt.Sprintf("%d %d", r.Time/dayMs, l.Limit), formatFloat(l.Work), "")
		if !accounts[l.Account] {
			accounts[l.Account] = true
			b.add(key, "expire", lives, "", "")
			b.add(p.k.limited(), "zadd", strconv.FormatInt(r.Time, 10), l.Account.String(), "")
		}
	}
	b.add(p.k.limited(), "zcut", "("+strconv.FormatInt(r.Time-limitsTTL.Milliseconds(), 10), "", "")
	b.add(p.k.limited(), "expire", lives, "", "")
	if err := b.flush(ctx); err != nil {
		return err
	}
	for id := range accounts {
		if err := p.cutLimits(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// cutLimits bounds what is kept of one account: the newest days, and of those what has the most work, so that
// whoever says many limits pushes out none with more work.
func (p *Pool) cutLimits(ctx context.Context, id pool.AccountID) error {
	n, err := p.r.client.HLen(ctx, p.k.limits(id)).Result()
	if err != nil || n <= maxLimits {
		return err
	}
	all, err := p.r.client.HGetAll(ctx, p.k.limits(id)).Result()
	if err != nil {
		return err
	}
	said := parseLimits(all)
	days := make(map[int64]bool)
	for i := range said {
		days[said[i].day] = true
	}
	first := firstDay(days)
	slices.SortFunc(said, func(a, b saidLimit) int {
		old := func(s *saidLimit) int { return max(cmp.Compare(first, s.day), 0) }
		return cmp.Or(old(&a)-old(&b), cmp.Compare(b.work, a.work), strings.Compare(a.field, b.field))
	})
	keep := 0
	for keep < len(said) && keep < maxLimits && said[keep].day >= first {
		keep++
	}
	var gone []string
	for _, s := range said[keep:] {
		gone = append(gone, s.field)
	}
	if len(gone) == 0 {
		return nil
	}
	return p.r.client.HDel(ctx, p.k.limits(id), gone...).Err()
}

// PayoutLimits are the payout limits that hold now: of each account the one that was asked for by the logins that
// did more than half of its work on the last [pool.LimitDays] days that it worked on. Accounts without such a one
// are left out. While the pool's statistics do not reach back so many days there are none: of a Redis that was
// emptied nobody can tell who did the work.
func (p *Pool) PayoutLimits(ctx context.Context) ([]pool.PayoutLimit, error) {
	now := p.r.now().UnixMilli()
	begun, err := poolHours.read(ctx, p.r.client, p.k.historyPool()).Result()
	if err != nil {
		return nil, fmt.Errorf("read payout limits: %w", err)
	}
	if all := poolHours.chunkPoints(begun); len(all) == 0 || all[0].bucket*hourMs > now-pool.LimitDays*dayMs {
		return nil, nil
	}
	names, err := p.r.client.ZRange(ctx, p.k.limited(), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read payout limits: %w", err)
	}
	var out []pool.PayoutLimit
	for part := range slices.Chunk(names, reportOps/2) {
		pipe := p.r.client.Pipeline()
		said, done := make([]*goredis.MapStringStringCmd, len(part)), make([]*goredis.SliceCmd, len(part))
		ids := make([]pool.AccountID, len(part))
		for i, name := range part {
			if err := ids[i].UnmarshalText([]byte(name)); err != nil {
				return nil, fmt.Errorf("read payout limits: %w", err)
			}
			said[i] = pipe.HGetAll(ctx, p.k.limits(ids[i]))
			done[i] = accountDays.read(ctx, pipe, p.k.historyAccount(ids[i]))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read payout limits: %w", err)
		}
		for i, id := range ids {
			if limit, ok := prevailing(parseLimits(said[i].Val()), accountDays.chunkPoints(done[i].Val())); ok {
				out = append(out, pool.PayoutLimit{Account: id, Limit: limit})
			}
		}
	}
	return out, nil
}

// saidLimit is one field of an account's limits.
type saidLimit struct {
	field string
	day   int64
	limit pool.Amount
	work  float64
}

// parseLimits leaves out what is none.
func parseLimits(fields map[string]string) []saidLimit {
	out := make([]saidLimit, 0, len(fields))
	for field, work := range fields {
		day, limit, _ := strings.Cut(field, " ")
		d, err1 := strconv.ParseInt(day, 10, 64)
		n, err2 := strconv.ParseInt(limit, 10, 64)
		if err1 == nil && err2 == nil {
			out = append(out, saidLimit{field, d, pool.Amount(n), parseFloat(work)})
		}
	}
	return out
}

// firstDay is the first of the newest pool.LimitDays days.
func firstDay(days map[int64]bool) int64 {
	all := slices.Sorted(maps.Keys(days))
	if len(all) == 0 {
		return 0
	}
	return all[max(0, len(all)-pool.LimitDays)]
}

// prevailing is the limit with more than half of the work of the last days that there was any.
func prevailing(said []saidLimit, history []point) (pool.Amount, bool) {
	done, byDay := make(map[int64]float64), make(map[int64]float64)
	days := make(map[int64]bool)
	for _, q := range history {
		if q.work > 0 {
			done[q.bucket], days[q.bucket] = q.work, true
		}
	}
	for _, s := range said {
		byDay[s.day] += s.work
		days[s.day] = true
	}
	first := firstDay(days)
	var all float64
	for day := range days {
		if day >= first {
			all += max(done[day], byDay[day]) // a history is written a little later than limits are
		}
	}
	work := make(map[pool.Amount]float64)
	for _, s := range said {
		if s.day >= first {
			work[s.limit] += s.work
		}
	}
	for limit, w := range work {
		if w > all/2 {
			return limit, true
		}
	}
	return 0, false
}
