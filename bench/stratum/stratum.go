// Package stratum loads a Stratum V1 pool and measures it: how soon connections
// get their first job, how late the last one hears of a new tip, what an accepted
// share costs the server. It knows nothing of the pool but its address and,
// when told, its process, whose CPU and memory it reads apart from its own.
//
// A fair measurement needs the same jobs everywhere and shares that cost the
// client nothing: [Node] is a full node with fixed templates, for pools whose
// difficulty is pinned so low that every hash is a share.
package stratum

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Modes are what can be measured.
var modes = map[string]func(context.Context, Options, Server) (Result, error){
	"connections": connections, "notify": notify, "shares": shares, "soak": soak,
}

// Server is a pool.
type Server struct {
	Address string // host:port
	PIDs    []int  // its processes; nil: CPU and memory are not read
	Node    string // for notify: URL of its Node, told to move on
}

// Options say what to do.
type Options struct {
	Mode        string
	Servers     []Server // one, or two to compare
	Pairs       int      // runs of each server, alternated
	Connections int
	PerSecond   float64 // connections begun a second; 0: as fast as they go
	InFlight    int     // shares a connection sends ahead of their answers
	Accounts    []string
	Password    string
	For         time.Duration
	Every       time.Duration // soak: between two shares of a connection
	Tips        int           // notify: how many
	Progress    func(string, ...any)
}

// Result is one run. What was not measured is 0.
type Result struct {
	Connections int           `json:"connections"`
	Failed      int           `json:"failed"` // connections that got no job, or broke
	FirstJob50  time.Duration `json:"first_job_p50"`
	FirstJob99  time.Duration `json:"first_job_p99"`
	Accepted    uint64        `json:"accepted"`
	Rejected    uint64        `json:"rejected"`
	Unanswered  uint64        `json:"unanswered"`
	PerSecond   float64       `json:"shares_per_second"`
	PerCPU      float64       `json:"shares_per_cpu_second"` // of the server
	Answer50    time.Duration `json:"answer_p50"`
	Answer99    time.Duration `json:"answer_p99"`
	TipFirst    time.Duration `json:"tip_first"` // new tip at the node → clean job
	TipLast     time.Duration `json:"tip_last"`
	ServerCPU   time.Duration `json:"server_cpu"`
	CPUPerShare time.Duration `json:"server_cpu_per_share"`
	OwnCPU      time.Duration `json:"own_cpu"`
	Memory      int64         `json:"bytes_per_connection"` // resident, difference
	Anchor      time.Duration `json:"anchor"`               // 45 compressions by crypto/sha256, now
}

// Run measures each server and gives its runs, in the order of Servers.
func Run(ctx context.Context, o Options) ([][]Result, error) {
	mode := modes[o.Mode]
	switch {
	case mode == nil:
		return nil, fmt.Errorf("no mode %q: there are connections, notify, shares and soak", o.Mode)
	case len(o.Servers) == 0 || len(o.Servers) > 2:
		return nil, errors.New("give one server, or two to compare")
	case o.Connections < 1 || o.InFlight < 1 || o.Pairs < 1 || o.Tips < 1 || len(o.Accounts) == 0:
		return nil, errors.New("connections, shares in flight, tips, pairs and accounts must be at least one")
	}
	results := make([][]Result, len(o.Servers))
	for pair := range o.Pairs {
		for i, server := range o.Servers {
			r, err := measured(ctx, o, server, mode)
			if err != nil {
				return results, fmt.Errorf("%s: %w", server.Address, err)
			}
			results[i] = append(results[i], r)
			o.Progress("run %d of %d, %s: %s", pair+1, o.Pairs, server.Address, r.line())
		}
	}
	return results, nil
}

// measured runs a mode with the CPU of both sides beside it.
func measured(ctx context.Context, o Options, server Server, mode func(context.Context, Options, Server) (Result, error)) (Result, error) {
	anchor := compressions()
	own, err := ownCPU()
	if err != nil {
		return Result{}, err
	}
	r, err := mode(ctx, o, server)
	if err != nil {
		return r, err
	}
	r.Anchor = anchor
	after, err := ownCPU()
	r.OwnCPU = after - own
	if r.Accepted > 0 && r.ServerCPU > 0 {
		r.CPUPerShare = r.ServerCPU / time.Duration(r.Accepted)
		r.PerCPU = float64(r.Accepted) / r.ServerCPU.Seconds()
	}
	return r, err
}

// compressions is the time of 45 of SHA-256, what a share of 12 merkle steps
// costs at least; the best of some.
func compressions() time.Duration {
	block := make([]byte, 44*64) // and one of padding
	best := time.Hour
	for range 200 {
		begin := time.Now()
		sum := sha256.Sum256(block)
		best = min(best, time.Since(begin))
		block[0] = sum[0]
	}
	return best
}

// open makes all connections of a run, at most PerSecond. Those that fail are
// counted.
func open(ctx context.Context, o Options, server Server) (all []*client, waits []time.Duration, failed int, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	var first error
	slots := make(chan struct{}, 512) // dials at once
	begin := time.Now()
	for i := range o.Connections {
		if o.PerSecond > 0 {
			if wait := time.Until(begin.Add(time.Duration(float64(i) / o.PerSecond * float64(time.Second)))); wait > 0 {
				time.Sleep(wait)
			}
		} else {
			slots <- struct{}{}
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			started := time.Now()
			c, err := dial(ctx, server.Address, o.Accounts[i%len(o.Accounts)], o.Password)
			took := time.Since(started)
			if o.PerSecond == 0 {
				<-slots
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				if first == nil {
					first = err
				}
				return
			}
			all, waits = append(all, c), append(waits, took)
		})
	}
	group.Wait()
	slices.Sort(waits)
	if len(all) == 0 {
		return nil, nil, failed, errors.Join(ctx.Err(), first)
	}
	return all, waits, failed, ctx.Err()
}

func closeAll(all []*client) {
	for _, c := range all {
		_ = c.conn.Close() // nothing is waited for any more
	}
}

// quantile is of a sorted list; 0 of none.
func quantile[T any](sorted []T, q float64) (zero T) {
	if len(sorted) == 0 {
		return zero
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
