package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/pool"
	goredis "github.com/redis/go-redis/v9"
)

// maxShown is how many workers an AccountView lists: those that reported last.
const maxShown = 1000

// View assembles the statistics of the pool in one round trip.
func (p *Pool) View(ctx context.Context) (pool.PoolView, error) {
	now := p.r.now().UnixMilli()
	hour := now / hourMs
	pipe := p.r.client.Pipeline()
	hours := make([]*goredis.MapStringStringCmd, 25) // the one begun and 24 before
	for i := range hours {
		hours[i] = pipe.HGetAll(ctx, p.k.hour(hour-24+int64(i)))
	}
	edges := pipe.HGetAll(ctx, p.k.edges())
	ledgers := pipe.HGetAll(ctx, p.k.ledgers())
	since := strconv.FormatInt(now-tenMs, 10)
	miners := pipe.ZCount(ctx, p.k.activeAccounts(), since, "+inf")
	workers := pipe.ZCount(ctx, p.k.activeWorkers(), since, "+inf")
	if _, err := pipe.Exec(ctx); err != nil {
		return pool.PoolView{}, fmt.Errorf("read the statistics of pool %s: %w", p.id, err)
	}

	v := pool.PoolView{Miners: int(miners.Val()), Workers: int(workers.Val()), Rejected: make(map[string]uint64)}
	work := make(map[int64]float64) // by minute since the Unix epoch
	present := make(map[int64]int)
	for i, cmd := range hours {
		first := (hour - 24 + int64(i)) * 60
		for field, s := range cmd.Val() {
			switch {
			case field == "a" && i > 0:
				v.Accepted += parseCount(s)
			case strings.HasPrefix(field, "r:") && i > 0:
				v.Rejected[field[2:]] += parseCount(s)
			case strings.HasPrefix(field, "w"):
				if m, err := strconv.ParseInt(field[1:], 10, 8); err == nil {
					work[first+m] += parseFloat(s)
				}
			case strings.HasPrefix(field, "n"):
				minute, _, _ := strings.Cut(field[1:], ":")
				if m, err := strconv.ParseInt(minute, 10, 8); err == nil {
					present[first+m] += int(parseCount(s))
				}
			}
		}
	}
	v.Hashrate, v.History = poolRates(now, work, present)
	p.addEdges(&v, now, edges.Val())
	v.Ledgers = p.ledgerReports(now, ledgers.Val())
	return v, nil
}

// poolRates returns the hashrate of the last ten minutes and the chart of a day: a point for every whole
// minute from the first one known.
func poolRates(now int64, work map[int64]float64, present map[int64]int) (float64, []pool.HistoryPoint) {
	minute := now / minuteMs
	first := minute + 1
	for _, m := range slices.Concat(slices.Collect(maps.Keys(work)), slices.Collect(maps.Keys(present))) {
		if m > minute-1440 {
			first = min(first, m)
		}
	}
	rate := lastTen(now, first*minuteMs, func(m int64) float64 { return work[m] })
	var history []pool.HistoryPoint
	for m := first; m < minute; m++ {
		history = append(history, pool.HistoryPoint{Time: m * 60, Hashrate: work[m] / 60, Workers: present[m]})
	}
	return rate, history
}

// lastTen averages work over the ten minutes before now, or the time since begun when that is shorter,
// but never less than a minute.
func lastTen(now, begun int64, work func(minute int64) float64) float64 {
	minute := now / minuteMs
	sum := work(minute)
	for i := int64(1); i < 10; i++ {
		sum += work(minute - i)
	}
	sum += work(minute-10) * (1 - float64(now%minuteMs)/float64(minuteMs))
	span := min(max(now-begun, minuteMs), tenMs)
	return sum / (float64(span) / 1000)
}

// addEdges adds what the edges said last.
func (p *Pool) addEdges(v *pool.PoolView, now int64, edges map[string]string) {
	fresh := make(map[string]pool.Report)
	for name, s := range edges {
		var e pool.Report
		if err := json.Unmarshal([]byte(s), &e); err != nil {
			p.r.log.Warn().Err(err).Str("edge", name).Msg("unreadable report in redis")
			continue
		}
		v.Reported = max(v.Reported, e.Time)
		if e.Time >= now-edgeFresh.Milliseconds() {
			fresh[name] = e
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		e := fresh[name]
		v.Sessions += e.Sessions
		v.Backlog += e.Backlog
		if !e.JournalOK && v.JournalError == "" {
			v.JournalError = name + ": " + e.JournalError
		}
		if e.Height > v.Height || e.Height == v.Height && e.JobTime > v.JobTime {
			v.Height, v.JobTime = e.Height, e.JobTime
			v.NetworkDifficulty, v.NetworkWork = e.NetworkDifficulty, e.NetworkWork
		}
		for _, n := range e.Nodes {
			if len(fresh) > 1 {
				n.Name = name + ": " + n.Name
			}
			v.Nodes = append(v.Nodes, n)
		}
	}
}

// AccountView assembles the statistics of one account in two round trips. An account that never mined
// gives an empty view.
func (p *Pool) AccountView(ctx context.Context, id pool.AccountID) (pool.AccountView, error) {
	v := pool.AccountView{Account: id}
	pipe := p.r.client.Pipeline()
	account := pipe.HGetAll(ctx, p.k.account(id))
	index := pipe.ZRevRange(ctx, p.k.workers(id), 0, maxShown-1)
	if _, err := pipe.Exec(ctx); err != nil {
		return v, fmt.Errorf("read the statistics of account %s: %w", id, err)
	}
	names := index.Val()
	hashes := make([]*goredis.MapStringStringCmd, len(names))
	if len(names) > 0 {
		pipe = p.r.client.Pipeline()
		for i, name := range names {
			hashes[i] = pipe.HGetAll(ctx, p.k.worker(id, name))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return v, fmt.Errorf("read the workers of account %s: %w", id, err)
		}
	}

	now := p.r.now().UnixMilli()
	a := account.Val()
	v.Address = a["address"]
	v.Hashrate = ringRate(now, a)
	v.History = accountHistory(now, a)
	for i, h := range hashes {
		if w := h.Val(); len(w) > 0 {
			v.Workers = append(v.Workers, workerView(now, names[i], w))
		}
	}
	slices.SortFunc(v.Workers, func(a, b pool.WorkerView) int { return strings.Compare(a.Name, b.Name) })
	return v, nil
}

// accountHistory is a point for every ten minutes from the first one known; the one begun is in it once
// a minute has passed.
func accountHistory(now int64, h map[string]string) []pool.HistoryPoint {
	ten := now / tenMs
	work := func(t int64) (float64, bool) {
		return ringValue(h["t"+strconv.FormatInt(t%dayOfTens, 10)], t)
	}
	var history []pool.HistoryPoint
	for t := ten - dayOfTens + 1; t <= ten; t++ {
		w, ok := work(t)
		if !ok && len(history) == 0 {
			continue
		}
		span := min(now-t*tenMs, tenMs)
		if span < minuteMs {
			break
		}
		history = append(history, pool.HistoryPoint{Time: t * 600, Hashrate: w / (float64(span) / 1000)})
	}
	return history
}

func workerView(now int64, name string, h map[string]string) pool.WorkerView {
	w := pool.WorkerView{
		Name:       name,
		Agent:      h["agent"],
		Hashrate:   ringRate(now, h),
		Difficulty: parseFloat(h["difficulty"]),
		LastShare:  int64(parseCount(h["last"])),
		BestShare:  parseFloat(h["best"]),
		Rejected:   make(map[string]uint64),
	}
	for hour := now/hourMs - dayOfHours + 1; hour <= now/hourMs; hour++ {
		slot := strconv.FormatInt(hour%dayOfHours, 10)
		if n, ok := ringValue(h["a"+slot], hour); ok {
			w.Accepted += uint64(n)
		}
		for field, s := range h {
			if reason, ok := strings.CutPrefix(field, "r"+slot+":"); ok {
				if n, ok := ringValue(s, hour); ok {
					w.Rejected[reason] += uint64(n)
				}
			}
		}
	}
	return w
}

// ringRate is the hashrate of the last ten minutes from a ring of minutes.
func ringRate(now int64, h map[string]string) float64 {
	return lastTen(now, int64(parseCount(h["since"])), func(m int64) float64 {
		v, _ := ringValue(h["m"+strconv.FormatInt(m%recent, 10)], m)
		return v
	})
}

// ringValue reads "stamp value" if it has the stamp that is asked for.
func ringValue(s string, stamp int64) (float64, bool) {
	at, value, _ := strings.Cut(s, " ")
	if at != strconv.FormatInt(stamp, 10) {
		return 0, false
	}
	return parseFloat(value), true
}

// parseCount and parseFloat read statistics; what is not a number counts nothing.
func parseCount(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func parseFloat(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return v
}
