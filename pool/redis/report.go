package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/adit-pool/adit/pool"
)

// How long statistics live, and how they are cut.
const (
	minuteMs = int64(time.Minute / time.Millisecond)
	tenMs    = 10 * minuteMs
	hourMs   = 60 * minuteMs

	recent     = 11 // ring of minutes: the ten whole ones and the one begun
	dayOfHours = 24 // ring of hours: a day

	statsTTL   = 26 * time.Hour
	edgeFresh  = time.Minute // an edge without a report for this long counts no sessions
	edgeStale  = time.Hour   // and is forgotten after this long
	maxAgent   = 60          // bytes of a user agent: more would unpack the hash in Redis
	maxWorkers = 10_000      // names kept an account
	reportOps  = 1000        // operations a script call: some 3 ms of Redis' time
)

// Report stores an edge's statistics. It is lossy: a report that comes twice counts twice.
func (p *Pool) Report(ctx context.Context, r pool.Report) error {
	if err := p.reportPool(ctx, &r); err != nil {
		return fmt.Errorf("store the report of edge %s: %w", r.Edge, err)
	}
	if err := p.reportWorkers(ctx, &r); err != nil {
		return fmt.Errorf("store the report of edge %s: %w", r.Edge, err)
	}
	if err := p.reportLimits(ctx, &r); err != nil {
		return fmt.Errorf("store the report of edge %s: %w", r.Edge, err)
	}
	p.gather(&r)
	if err := p.flush(ctx, r.Time); err != nil {
		return fmt.Errorf("store the report of edge %s: %w", r.Edge, err)
	}
	return nil
}

// reportPool stores what concerns the whole pool, in one round trip.
func (p *Pool) reportPool(ctx context.Context, r *pool.Report) error {
	edge := *r
	edge.Workers, edge.Limits = nil, nil
	state, err := json.Marshal(edge)
	if err != nil {
		return err
	}

	pipe := p.r.client.Pipeline()
	pipe.HSet(ctx, p.k.edges(), r.Edge, state)
	pipe.PExpire(ctx, p.k.edges(), statsTTL)
	p.rank(ctx, pipe, r)
	all := pipe.HGetAll(ctx, p.k.edges())
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for name, s := range all.Val() {
		var e pool.Report
		if json.Unmarshal([]byte(s), &e) != nil || e.Time < r.Time-edgeStale.Milliseconds() {
			if err := p.r.client.HDel(ctx, p.k.edges(), name).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// reportWorkers stores what concerns accounts and workers: a thousand small changes a script call, since
// an edge has tens of thousands of workers.
func (p *Pool) reportWorkers(ctx context.Context, r *pool.Report) error {
	b := changes{p: p}
	begun := strconv.FormatInt(r.Time-r.Interval, 10)
	now := strconv.FormatInt(r.Time, 10)
	lives := strconv.FormatInt(statsTTL.Milliseconds(), 10)
	dayAgo := "(" + strconv.FormatInt(r.Time-24*hourMs, 10)
	most := strconv.Itoa(-maxWorkers - 1)
	minute := strconv.FormatInt(r.Time/minuteMs, 10)
	minuteField := "m" + strconv.FormatInt(r.Time/minuteMs%recent, 10)
	hour := strconv.FormatInt(r.Time/hourMs, 10)
	hourSlot := strconv.FormatInt(r.Time/hourMs%dayOfHours, 10)

	accountWork := make(map[pool.AccountID]float64)
	for i := range r.Workers {
		w := &r.Workers[i]
		if w.Account == (pool.AccountID{}) { // refused before it named an account
			continue
		}
		if _, known := accountWork[w.Account]; !known {
			key := p.k.account(w.Account)
			b.add(key, "set", "address", w.Address, "")
			b.add(key, "setnx", "since", begun, "")
			b.add(key, "expire", lives, "", "")
		}
		accountWork[w.Account] += w.Work

		key := p.k.worker(w.Account, w.Worker)
		b.add(key, "set", "name", w.Worker, "")
		b.add(key, "set", "agent", cut(w.Agent, maxAgent), "")
		b.add(key, "set", "difficulty", formatFloat(w.Difficulty), "")
		b.add(key, "setnx", "since", begun, "")
		if w.Accepted > 0 {
			b.add(key, "ring", "a"+hourSlot, hour, strconv.FormatUint(w.Accepted, 10))
		}
		if w.Work > 0 {
			b.add(key, "ring", minuteField, minute, formatFloat(w.Work))
		}
		for reason, n := range w.Rejected {
			b.add(key, "ring", "r"+hourSlot+":"+knownReason(reason), hour, strconv.FormatUint(n, 10))
		}
		if w.LastShare > 0 {
			b.add(key, "max", "last", strconv.FormatInt(w.LastShare, 10), "")
		}
		if w.BestShare > 0 {
			b.add(key, "max", "best", formatFloat(w.BestShare), "")
		}
		b.add(key, "expire", lives, "", "")
		index := p.k.workers(w.Account)
		b.add(index, "zadd", now, w.Worker, "")
		b.add(index, "zcut", dayAgo, most, "")
		b.add(index, "expire", lives, "", "")
		if w.Accepted > 0 {
			last := strconv.FormatInt(w.LastShare, 10)
			b.add(p.k.activeAccounts(), "zadd", last, w.Account.String(), "")
			b.add(p.k.activeWorkers(), "zadd", last, workerMember(w.Account, w.Worker), "")
		}
	}
	for id, work := range accountWork {
		if work > 0 {
			b.add(p.k.account(id), "ring", minuteField, minute, formatFloat(work))
		}
	}
	gone := "(" + strconv.FormatInt(r.Time-tenMs, 10)
	for _, key := range []string{p.k.activeAccounts(), p.k.activeWorkers()} {
		b.add(key, "zcut", gone, "", "")
		b.add(key, "expire", lives, "", "")
	}
	return b.flush(ctx)
}

// changes collects operations for report.lua.
type changes struct {
	p   *Pool
	ops [][5]string // key, operation and its arguments
}

func (b *changes) add(key, op, x, y, z string) { b.ops = append(b.ops, [5]string{key, op, x, y, z}) }

func (b *changes) flush(ctx context.Context) error {
	for len(b.ops) > 0 {
		n := min(len(b.ops), reportOps)
		var names []string
		number := make(map[string]int)
		args := make([]any, 0, 5*n)
		for i := range b.ops[:n] {
			op := &b.ops[i]
			if number[op[0]] == 0 {
				names = append(names, op[0])
				number[op[0]] = len(names) + 1 // KEYS[1] is the guard's
			}
			args = append(args, number[op[0]], op[1], op[2], op[3], op[4])
		}
		if _, err := b.p.run(ctx, reportLua, names, args...); err != nil {
			return err
		}
		b.ops = b.ops[n:]
	}
	return nil
}

// knownReason keeps the set of reasons bounded.
func knownReason(s string) string {
	for _, r := range pool.Rejects() {
		if r.String() == s {
			return s
		}
	}
	return "other"
}

// cut returns at most n bytes of s, not splitting a character.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', 15, 64) }
