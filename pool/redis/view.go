package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
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
	pipe := p.r.client.Pipeline()
	minutes := poolMinutes.read(ctx, pipe, p.k.historyPool())
	edges := pipe.HGetAll(ctx, p.k.edges())
	ledgers := pipe.HGetAll(ctx, p.k.ledgers())
	since := strconv.FormatInt(now-tenMs, 10)
	miners := pipe.ZCount(ctx, p.k.activeAccounts(), since, "+inf")
	workers := pipe.ZCount(ctx, p.k.activeWorkers(), since, "+inf")
	if _, err := pipe.Exec(ctx); err != nil {
		return pool.PoolView{}, fmt.Errorf("read the statistics of pool %s: %w", p.id, err)
	}

	v := pool.PoolView{Miners: int(miners.Val()), Workers: int(workers.Val()), Rejected: make(map[string]uint64)}
	points := poolMinutes.chunkPoints(minutes.Val())
	work := make(map[int64]float64) // by minute since the Unix epoch
	first := now/minuteMs + 1
	for _, m := range points {
		if m.bucket > now/minuteMs-dayOfMinutes {
			work[m.bucket] += m.work
			first = min(first, m.bucket)
			v.Accepted += m.accepted
			for reason, n := range m.rejected {
				v.Rejected[reasonName(reason)] += n
			}
		}
	}
	v.Hashrate = lastMinutes(10, now, first*minuteMs, func(m int64) float64 { return work[m] })
	v.History = wholeMinutes(now, first, points)
	p.addEdges(&v, now, edges.Val())
	v.Ledgers = p.ledgerReports(now, ledgers.Val())
	return v, nil
}

// dayOfMinutes is how many minutes the chart of the pool shows.
const dayOfMinutes = 24 * 60

// wholeMinutes is the chart of a day: a point for every whole minute from the first one known.
func wholeMinutes(now, first int64, points []point) []pool.HistoryPoint {
	var history []pool.HistoryPoint
	known := make(map[int64]point)
	for _, m := range points {
		known[m.bucket] = m
	}
	for m := first; m < now/minuteMs; m++ {
		k := known[m]
		history = append(history, pool.HistoryPoint{Time: m * 60, Hashrate: k.work / 60, Workers: int(math.Round(k.presence / 60)), Accepted: k.accepted})
	}
	return history
}

// lastMinutes averages work over some minutes before now, at most ten, or the time since begun when that is shorter,
// but never less than a minute.
func lastMinutes(n, now, begun int64, work func(minute int64) float64) float64 {
	minute := now / minuteMs
	sum := work(minute)
	for i := int64(1); i < n; i++ {
		sum += work(minute - i)
	}
	sum += work(minute-n) * (1 - float64(now%minuteMs)/float64(minuteMs))
	span := min(max(now-begun, minuteMs), n*minuteMs)
	return sum / (float64(span) / 1000)
}

// addEdges adds what the edges said last.
func (p *Pool) addEdges(v *pool.PoolView, now int64, edges map[string]string) {
	fresh := make(map[string]pool.Report)
	for _, name := range slices.Sorted(maps.Keys(edges)) {
		s := edges[name]
		var e pool.Report
		if err := json.Unmarshal([]byte(s), &e); err != nil {
			p.r.log.Warn().Err(err).Str("edge", name).Msg("unreadable report in redis")
			continue
		}
		if e.Time < now-edgeStale.Milliseconds() {
			continue
		}
		v.Reported = max(v.Reported, e.Time)
		v.Edges = append(v.Edges, pool.EdgeView{
			Name: name, Version: e.Version, Reported: e.Time, Silent: e.Time < now-edgeFresh.Milliseconds(), Sessions: e.Sessions,
			Height: e.Height, JobTime: e.JobTime, Backlog: e.Backlog, JournalError: e.JournalError,
		})
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
	v.Hashrate, v.FiveMinutes = ringRate(10, now, a), ringRate(5, now, a)
	for i, h := range hashes {
		if w := h.Val(); len(w) > 0 {
			v.Workers = append(v.Workers, workerView(now, names[i], w))
		}
	}
	slices.SortFunc(v.Workers, func(a, b pool.WorkerView) int { return strings.Compare(a.Name, b.Name) })
	return v, nil
}

func workerView(now int64, name string, h map[string]string) pool.WorkerView {
	w := pool.WorkerView{
		Name:       name,
		Agent:      h["agent"],
		Hashrate:   ringRate(10, now, h),
		Usual:      parseFloat(h["usual"]),
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

// ringRate is the hashrate of the last minutes from a ring of them.
func ringRate(minutes, now int64, h map[string]string) float64 {
	return lastMinutes(minutes, now, int64(parseCount(h["since"])), func(m int64) float64 {
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
