package dashboard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/bench/stratum"
)

// submit loads the pool with shares, alternately without and with live streams and slow clients on its
// dashboard, and compares.
func submit(ctx context.Context, o Options) ([]Row, error) {
	if len(o.PIDs) == 0 || len(o.Stratum.Servers) != 1 {
		return nil, errors.New("give --server-pid and --stratum")
	}
	o.Stratum.Pairs = 1
	var cpu, late [2][]float64
	for pair := range o.Pairs {
		for with := range 2 {
			r, err := crowded(ctx, o, with == 1)
			if err != nil {
				return nil, err
			}
			if r.Accepted == 0 || r.CPUPerShare == 0 {
				return nil, fmt.Errorf("no share was accepted (%d refused, %d without an answer)", r.Rejected, r.Unanswered)
			}
			cpu[with] = append(cpu[with], float64(r.CPUPerShare)/1e3)
			late[with] = append(late[with], float64(r.Answer99)/1e6)
			o.Progress("pair %d of %d, %s: %.2f µs and p99 %.1f ms a share", pair+1, o.Pairs,
				[]string{"alone", "with streams and slow clients"}[with], cpu[with][pair], late[with][pair])
		}
	}
	return []Row{
		{What: "server CPU a share alone", Value: median(cpu[0]), Unit: "µs"},
		{What: "with streams and slow clients", Value: median(cpu[1]), Unit: "µs"},
		{What: "ratio of CPU", Value: median(cpu[1]) / median(cpu[0]), Unit: "×", Aim: 1.2},
		{What: "answer p99 alone", Value: median(late[0]), Unit: "ms"},
		{What: "with streams and slow clients", Value: median(late[1]), Unit: "ms"},
		{What: "ratio of p99", Value: median(late[1]) / median(late[0]), Unit: "×", Aim: 2},
	}, nil
}

// crowded is one run of shares, with everything on the dashboard or with nothing.
func crowded(ctx context.Context, o Options, with bool) (stratum.Result, error) {
	if with {
		c := new(crowd)
		defer c.close()
		if err := c.streams(ctx, o.Address, o.Streams); err != nil {
			return stratum.Result{}, err
		}
		if err := c.slow(ctx, o.Address, o.Slow); err != nil {
			return stratum.Result{}, err
		}
	}
	if err := sleep(ctx, min(o.For, 3*time.Second)); err != nil {
		return stratum.Result{}, err
	}
	results, err := stratum.Run(ctx, o.Stratum)
	if err != nil {
		return stratum.Result{}, err
	}
	return results[0][0], nil
}
