package dashboard

import (
	"context"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/redis"
)

// FillOptions say what to put into a Redis.
type FillOptions struct {
	Chain    pool.Chain
	Pool     string // id
	Accounts int
	Workers  int           // of each account
	For      time.Duration // statistics are told for so long, a report each ten seconds; 0: once
	Redis    *redis.Redis
	Progress func(string, ...any)
}

// reportSize is how many workers an edge reports at most.
const reportSize = 20_000

// Fill reports workers of accounts that nobody owns, as an edge would, and returns the addresses.
func Fill(ctx context.Context, o FillOptions) ([]string, error) {
	if o.Chain.Params().Network == "mainnet" {
		return nil, fmt.Errorf("%s is a main network: statistics of nobody have no place there", o.Pool)
	}
	store, err := o.Redis.Pool(ctx, o.Pool, "")
	if err != nil {
		return nil, err
	}
	var addresses []string
	var all []pool.WorkerReport
	for i := range o.Accounts {
		script := append([]byte{0, 20}, make([]byte, 20)...)
		script[2], script[3], script[4] = byte(i), byte(i>>8), byte(i>>16)
		address, err := o.Chain.Address(script)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
		for w := range o.Workers {
			all = append(all, pool.WorkerReport{
				Account: pool.AccountOf(o.Pool, script), Address: address, Worker: fmt.Sprintf("hall%d.rig%d", w/50, w), Agent: "bench/1",
				Accepted: 3, Rejected: map[string]uint64{"stale": 1}, Work: 1e12, Difficulty: 1024, BestShare: 5000 + float64(w), Sessions: 1,
			})
		}
	}
	end := time.Now().Add(o.For)
	for {
		now := time.Now()
		for part := 0; part*reportSize < len(all); part++ {
			workers := all[part*reportSize : min((part+1)*reportSize, len(all))]
			for i := range workers {
				workers[i].LastShare = now.UnixMilli()
			}
			r := pool.Report{Edge: fmt.Sprintf("bench-%d", part), Time: now.UnixMilli(), Interval: 10_000, Sessions: len(workers), JournalOK: true, Workers: workers}
			if err := store.Report(ctx, r); err != nil {
				return nil, err
			}
		}
		o.Progress("reported %d workers of %d accounts in %s", len(all), o.Accounts, time.Since(now).Round(time.Millisecond))
		if !now.Before(end) {
			return addresses, nil
		}
		if err := sleep(ctx, time.Until(now.Add(10*time.Second))); err != nil {
			return addresses, nil // asked to end
		}
	}
}
