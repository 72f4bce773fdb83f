package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
)

const (
	windowFields = 2000            // accounts in one command
	windowTTL    = 5 * time.Minute // of a window that is not complete: its writer died
	windowTotal  = "total"         // field of the sum; accounts are 40 hex digits
)

// PublishWindow replaces the scores in the window that a block found now would be split over. Readers see
// the old ones until all new ones are there. Scores are decimal texts; Redis never computes with them.
func (p *Pool) PublishWindow(ctx context.Context, total pool.Work, weights []pool.Weight) error {
	next := p.k.nextWindow(randomText(8))
	pipe := p.r.client.Pipeline()
	pipe.HSet(ctx, next, windowTotal, total.String())
	pipe.PExpire(ctx, next, windowTTL)
	fields := make([]any, 0, 2*min(windowFields, len(weights)))
	for i := range weights {
		fields = append(fields, weights[i].Account.String(), weights[i].Score.String())
		if len(fields) == 2*windowFields || i == len(weights)-1 {
			pipe.HSet(ctx, next, fields...)
			if _, err := pipe.Exec(ctx); err != nil { // one command at a time: Redis serves others between
				return fmt.Errorf("publish the window: %w", err)
			}
			fields = fields[:0]
		}
	}
	if pipe.Len() > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("publish the window: %w", err)
		}
	}
	if _, err := p.runFenced(ctx, windowLua, []string{p.k.window(), next}); err != nil {
		return fmt.Errorf("publish the window: %w", err)
	}
	return nil
}

// WindowShare is an account's score in the window, and the sum over all accounts.
func (p *Pool) WindowShare(ctx context.Context, id pool.AccountID) (score, total pool.Work, err error) {
	v, err := p.r.client.HMGet(ctx, p.k.window(), id.String(), windowTotal).Result()
	if err != nil {
		return score, total, fmt.Errorf("read the window share of %s: %w", id, err)
	}
	for i, w := range []*pool.Work{&score, &total} {
		if s := text(v, i); s != "" {
			if err := w.UnmarshalText([]byte(s)); err != nil {
				return pool.Work{}, pool.Work{}, fmt.Errorf("read the window share of %s: %w", id, err)
			}
		}
	}
	return score, total, nil
}
