package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
	goredis "github.com/redis/go-redis/v9"
)

const (
	flushLeast = 500            // series written a report at the least, when there are so many
	flushPart  = 12             // or this part of all that wait
	flushRound = 200            // chunks read and written at a time
	flushTries = 5              // when another edge writes the same chunk
	workerTTL  = 49 * time.Hour // after a worker's last share
	accountTTL = 8 * 24 * time.Hour
	yearsTTL   = 731 * 24 * time.Hour
	maxLeaders = 1000 // accounts ranked
)

// A history's owner: the pool, an account or a worker.
type owner struct {
	account pool.AccountID
	worker  string
	kind    byte // 'p', 'a', 'w'
}

// collector gathers what reports say until it is written. An edge that is killed loses what waits here,
// seconds of a small pool and up to two minutes of a large one: statistics are lossy.
type collector struct {
	mu      sync.Mutex
	waiting map[owner]*gathered // guarded by mu
}

type gathered struct {
	since int64 // Unix milliseconds of the oldest of it
	at    []point
}

// add notes p, whose bucket is the minute, of an owner.
func (c *collector) add(o owner, now int64, p point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = make(map[owner]*gathered)
	}
	g := c.waiting[o]
	if g == nil {
		g = &gathered{since: now}
		c.waiting[o] = g
	}
	if n := len(g.at); n > 0 && g.at[n-1].bucket == p.bucket {
		g.at[n-1].add(&p)
		return
	}
	g.at = append(g.at, p)
}

// take returns what has waited longest: all of a small pool, a part of a large one.
func (c *collector) take() map[owner]*gathered {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := max(flushLeast, len(c.waiting)/flushPart)
	if n >= len(c.waiting) {
		all := c.waiting
		c.waiting = nil
		return all
	}
	owners := make([]owner, 0, len(c.waiting))
	for o := range c.waiting {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, func(a, b owner) int { return int(c.waiting[a].since - c.waiting[b].since) })
	part := make(map[owner]*gathered, n)
	for _, o := range owners[:n] {
		part[o] = c.waiting[o]
		delete(c.waiting, o)
	}
	return part
}

// gather notes a report's history. Presence counts workers that have a connection.
func (p *Pool) gather(r *pool.Report) {
	minute := r.Time / minuteMs
	var all point
	all.bucket = minute
	seconds := float64(r.Interval) / 1000
	accounts := make(map[pool.AccountID]*point)
	for i := range r.Workers {
		w := &r.Workers[i]
		q := point{bucket: minute, work: w.Work, accepted: w.Accepted}
		if w.Sessions > 0 {
			q.presence = seconds
		}
		for reason, n := range w.Rejected {
			if q.rejected == nil {
				q.rejected = make(map[uint8]uint64)
			}
			q.rejected[reasonNumber(reason)] += n
		}
		all.add(&q)
		if w.Account == (pool.AccountID{}) || q.work == 0 && q.accepted == 0 && q.presence == 0 && len(q.rejected) == 0 {
			continue
		}
		a := accounts[w.Account]
		if a == nil {
			a = &point{bucket: minute}
			accounts[w.Account] = a
		}
		a.add(&q)
		p.gathered.add(owner{w.Account, w.Worker, 'w'}, r.Time, q)
	}
	for id, a := range accounts {
		p.gathered.add(owner{account: id, kind: 'a'}, r.Time, *a)
	}
	p.gathered.add(owner{kind: 'p'}, r.Time, all)
}

// chunkWrite is one chunk to be changed.
type chunkWrite struct {
	key, field string
	series     *series
	points     []point
	ttl        time.Duration
	owner      owner
}

// flush writes what has waited longest; now is that of the report, in Unix milliseconds.
func (p *Pool) flush(ctx context.Context, now int64) error {
	var writes []chunkWrite
	for o, g := range p.gathered.take() {
		key, kinds, ttl := p.k.historyPool(), poolSeries, yearsTTL
		switch o.kind {
		case 'a':
			key, kinds, ttl = p.k.historyAccount(o.account), accountKinds, yearsTTL
		case 'w':
			key, kinds, ttl = p.k.historyWorker(o.account, o.worker), workerKinds, workerTTL
		}
		for _, s := range kinds {
			for _, w := range s.writes(key, ttl, g.at) {
				w.owner = o
				writes = append(writes, w)
			}
		}
	}
	for round := range slices.Chunk(writes, flushRound) {
		if err := p.writeChunks(ctx, round, now); err != nil {
			return fmt.Errorf("write histories: %w", err)
		}
	}
	return nil
}

// writes sorts points of minutes into chunks.
func (s *series) writes(key string, ttl time.Duration, minutes []point) (out []chunkWrite) {
	per := int64(s.step / time.Minute)
	for _, m := range minutes {
		m.bucket /= per
		number := m.bucket / s.points
		if n := len(out); n > 0 && out[n-1].points[0].bucket/s.points == number {
			last := &out[n-1]
			if tail := &last.points[len(last.points)-1]; tail.bucket == m.bucket {
				tail.add(&m)
			} else {
				last.points = append(last.points, m)
			}
			continue
		}
		own := point{bucket: m.bucket} // m's map is shared between series
		own.add(&m)
		out = append(out, chunkWrite{key: key, field: s.field(number), series: s, points: []point{own}, ttl: ttl})
	}
	return out
}

// field is where a chunk stands in its hash.
func (s *series) field(number int64) string {
	return s.name + ":" + strconv.FormatInt(number%s.chunks, 10)
}

// writeChunks adds points to chunks by compare-and-set, again where another edge was faster.
func (p *Pool) writeChunks(ctx context.Context, writes []chunkWrite, now int64) error {
	for try := 0; len(writes) > 0 && try < flushTries; try++ {
		var names []string
		number := make(map[string]int)
		wanted := make([]any, 0, 2*len(writes))
		for _, w := range writes {
			if number[w.key] == 0 {
				names = append(names, w.key)
				number[w.key] = len(names) + 1 // KEYS[1] is the guard's
			}
			wanted = append(wanted, number[w.key], w.field)
		}
		old, err := p.answer(ctx, chunksLua, names, wanted...)
		if err != nil {
			return err
		}
		var rates []goredis.Z
		usual := changes{p: p}
		args := make([]any, 0, 5*len(writes))
		for i, w := range writes {
			was := text(old, i)
			merged := w.series.merge([]byte(was), w.points)
			args = append(args, number[w.key], w.field, was, merged, w.ttl.Milliseconds())
			switch w.series {
			case &accountTens:
				rates = append(rates, goredis.Z{Score: w.series.lastHour(now, merged), Member: w.owner.account.String()})
			case &workerTens:
				if rate, ok := w.series.usual(now, merged); ok {
					usual.add(p.k.worker(w.owner.account, w.owner.worker), "set", "usual", formatFloat(rate), "")
				}
			}
		}
		v, err := p.run(ctx, historyLua, names, args...)
		if err != nil {
			return err
		}
		lost, _ := v.([]any)
		if err := usual.flush(ctx); err != nil {
			return err
		}
		if err := p.rankRates(ctx, rates); err != nil {
			return err
		}
		var again []chunkWrite
		for i := range lost {
			n, ok := lost[i].(int64)
			if ok && n >= 1 && int(n) <= len(writes) {
				again = append(again, writes[n-1])
			}
		}
		writes = again
	}
	return nil // what another edge was faster with every time is lost, as statistics may be
}

// PoolHistory is the history of the pool in steps of a minute, ten minutes or an hour, oldest point first.
func (p *Pool) PoolHistory(ctx context.Context, step time.Duration) ([]pool.HistoryPoint, error) {
	return p.history(ctx, p.k.historyPool(), poolSeries, step)
}

// AccountHistory is the history of an account in steps of ten minutes or a day, oldest point first.
func (p *Pool) AccountHistory(ctx context.Context, id pool.AccountID, step time.Duration) ([]pool.HistoryPoint, error) {
	return p.history(ctx, p.k.historyAccount(id), accountKinds, step)
}

// WorkerHistory is the history of a worker in steps of ten minutes, oldest point first.
func (p *Pool) WorkerHistory(ctx context.Context, id pool.AccountID, name string) ([]pool.HistoryPoint, error) {
	return p.history(ctx, p.k.historyWorker(id, name), workerKinds, workerTens.step)
}

func (p *Pool) history(ctx context.Context, key string, kinds []*series, step time.Duration) ([]pool.HistoryPoint, error) {
	for _, s := range kinds {
		if s.step != step {
			continue
		}
		got, err := s.read(ctx, p.r.client, key).Result()
		if err != nil {
			return nil, fmt.Errorf("read a history: %w", err)
		}
		return s.history(p.r.now().UnixMilli(), got), nil
	}
	return nil, fmt.Errorf("read a history: no series has steps of %v", step)
}

// read asks for all chunks of a series.
func (s *series) read(ctx context.Context, c goredis.Cmdable, key string) *goredis.SliceCmd {
	fields := make([]string, s.chunks)
	for i := range fields {
		fields[i] = s.field(int64(i))
	}
	return c.HMGet(ctx, key, fields...)
}

// rank notes accounts' rates of the last hour and best shares for Leaders.
func (p *Pool) rank(ctx context.Context, pipe goredis.Pipeliner, r *pool.Report) {
	best := make(map[pool.AccountID]float64)
	for i := range r.Workers {
		w := &r.Workers[i]
		if w.Account != (pool.AccountID{}) && w.BestShare > 0 {
			best[w.Account] = max(best[w.Account], w.BestShare)
		}
	}
	members := make([]goredis.Z, 0, len(best))
	for id, v := range best {
		members = append(members, goredis.Z{Score: v, Member: id.String()})
	}
	for part := range slices.Chunk(members, reportOps) {
		pipe.ZAddGT(ctx, p.k.leaders("shares"), part...)
	}
	pipe.ZRemRangeByRank(ctx, p.k.leaders("shares"), 0, -maxLeaders-1)
	pipe.PExpire(ctx, p.k.leaders("shares"), yearsTTL)
}

// rankRates notes the rates of accounts in the last hour.
func (p *Pool) rankRates(ctx context.Context, rates []goredis.Z) error {
	if len(rates) == 0 {
		return nil
	}
	key := p.k.leaders("rates")
	pipe := p.r.client.Pipeline()
	pipe.ZAdd(ctx, key, rates...)
	pipe.ZRemRangeByRank(ctx, key, 0, -maxLeaders-1)
	pipe.PExpire(ctx, key, statsTTL)
	_, err := pipe.Exec(ctx)
	return err
}

// Leaders are the accounts with the highest rates of the last hour that have sent a share in the last ten
// minutes, and those with the best shares ever.
func (p *Pool) Leaders(ctx context.Context, limit int) (rates, shares []pool.Leader, err error) {
	pipe := p.r.client.Pipeline()
	byRate := pipe.ZRevRangeWithScores(ctx, p.k.leaders("rates"), 0, int64(4*limit)-1)
	byShare := pipe.ZRevRangeWithScores(ctx, p.k.leaders("shares"), 0, int64(limit)-1)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, fmt.Errorf("read the leaders: %w", err)
	}
	pipe = p.r.client.Pipeline()
	address := make(map[string]*goredis.SliceCmd)
	last := make(map[string]*goredis.FloatCmd)
	for _, z := range slices.Concat(byRate.Val(), byShare.Val()) {
		var id pool.AccountID
		err := id.UnmarshalText([]byte(z.Member.(string)))
		if err == nil && address[id.String()] == nil {
			address[id.String()] = pipe.HMGet(ctx, p.k.account(id), "address")
			last[id.String()] = pipe.ZScore(ctx, p.k.activeAccounts(), id.String())
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, goredis.Nil) {
		return nil, nil, fmt.Errorf("read the leaders: %w", err)
	}
	leader := func(z goredis.Z) (pool.Leader, bool) {
		var id pool.AccountID
		if id.UnmarshalText([]byte(z.Member.(string))) != nil {
			return pool.Leader{}, false
		}
		return pool.Leader{Account: id, Address: text(address[id.String()].Val(), 0), Value: z.Score}, true
	}
	now := float64(p.r.now().UnixMilli())
	for _, z := range byRate.Val() {
		if l, ok := leader(z); ok && l.Value > 0 && last[l.Account.String()].Val() >= now-float64(tenMs) && len(rates) < limit {
			rates = append(rates, l)
		}
	}
	for _, z := range byShare.Val() {
		if l, ok := leader(z); ok {
			shares = append(shares, l)
		}
	}
	return rates, shares, nil
}
