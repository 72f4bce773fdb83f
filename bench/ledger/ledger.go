package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/redis"
)

// Options say how much is measured.
type Options struct {
	Accounts int           // miners
	Few      int           // miners of the runs that the cost per share is compared with
	Rate     int           // shares a second offered
	For      time.Duration // how long they are offered
	Shares   int           // in the stream that is folded
	Pairs    int           // of runs with few and with all accounts
	Only     string        // one part: "offer", "block" or "flat"; "" for all
	Dir      string        // for journals, ledgers and Redis; on the disk to be measured; "" for a temporary one
	Log      zerolog.Logger
	Progress io.Writer // a line for each part as it begins
}

// Defaults are the issue-sized run, some three minutes on two cores.
func Defaults() Options {
	return Options{Accounts: 100_000, Few: 1_000, Rate: 20_000, For: 15 * time.Second, Shares: 1_500_000, Pairs: 5}
}

// Report is what was measured. Durations are in nanoseconds.
type Report struct {
	Cores    int          `json:"cores"`
	Go       string       `json:"go"`
	Accounts int          `json:"accounts"`
	Offer    OfferReport  `json:"offer"`
	Fold     FoldReport   `json:"fold"`
	Block    BlockReport  `json:"block"`
	Flat     FlatReport   `json:"flat"`
	Memory   MemoryReport `json:"memory"`
}

// Run measures everything, one part after the other. The machine should have nothing else to do.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if o.Accounts < 1 || o.Few < 1 || o.Rate < 1 || o.For <= 0 || o.Shares < 1 || o.Pairs < 1 {
		return nil, errors.New("bench ledger: every number must be above zero")
	}
	if !slices.Contains([]string{"", "offer", "block", "flat"}, o.Only) {
		return nil, fmt.Errorf("bench ledger: no part %q, there are offer, block and flat", o.Only)
	}
	dir, err := os.MkdirTemp(o.Dir, "adit-bench")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := startServer(ctx, dir, o.Log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	b := &bench{o: o, dir: dir, server: s}

	r := &Report{Cores: runtime.NumCPU(), Go: runtime.Version(), Accounts: o.Accounts}
	perBlock := usualBlock
	if o.Only == "" || o.Only == "offer" {
		b.say("%d accounts, %d shares/s offered for %s", o.Accounts, o.Rate, o.For)
		if r.Offer, err = b.offer(ctx, o.Accounts, o.For); err != nil {
			return nil, fmt.Errorf("offer shares: %w", err)
		}
		perBlock = max(1, int(r.Offer.PerBlock+0.5))
	}
	if o.Only == "" || o.Only == "block" {
		b.say("folding %d shares of %d accounts, %d a journal block", o.Shares, o.Accounts, perBlock)
		if r.Fold, r.Block, r.Memory, err = b.foldAndClose(ctx, o.Accounts, perBlock); err != nil {
			return nil, fmt.Errorf("fold and close a block: %w", err)
		}
	}
	if o.Only == "" || o.Only == "flat" {
		if r.Flat, err = b.flat(ctx, perBlock); err != nil {
			return nil, fmt.Errorf("compare %d with %d accounts: %w", o.Few, o.Accounts, err)
		}
	}
	return r, nil
}

// usualBlock is how many shares a journal block has when nothing was offered before.
const usualBlock = 25

// bench is one run.
type bench struct {
	o      Options
	dir    string
	server *server
	runs   int // directories made
}

func (b *bench) say(format string, args ...any) {
	if b.o.Progress != nil {
		fmt.Fprintf(b.o.Progress, format+"\n", args...)
	}
}

// fresh empties Redis and makes a directory.
func (b *bench) fresh(ctx context.Context) (dir string, err error) {
	if err := b.server.raw.FlushAll(ctx).Err(); err != nil {
		return "", fmt.Errorf("empty redis: %w", err)
	}
	b.runs++
	dir = fmt.Sprintf("%s/%d", b.dir, b.runs)
	return dir, os.Mkdir(dir, 0o700)
}

// poolID names the pool that is measured.
const poolID = "bench"

// connect opens the pool's part of Redis, as a process of its own would.
func (b *bench) connect(ctx context.Context) (*redis.Redis, *redis.Pool, error) {
	r, err := redis.Open(ctx, redis.Options{URL: b.server.process.URL(), Log: b.o.Log})
	if err != nil {
		return nil, nil, err
	}
	p, err := r.Pool(ctx, poolID, "")
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return r, p, nil
}

// quantile is the q-th part of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
