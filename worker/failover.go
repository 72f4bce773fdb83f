package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Pool is where a rig mines and as whom.
type Pool struct {
	URL      string // stratum+tcp://host:port, or stratum+ssl:// for TLS
	User     string // account.worker or address.worker; empty: as at the first pool
	Password string // empty: "x", or as at the first pool when User is empty
}

// choice is a pool of the list, ready for use.
type choice struct {
	endpoint
	user     string
	password string
	index    int // in the list, 0 is the most wanted
}

// returned ends a session because a better pool is back.
type returned struct {
	to int
	at time.Time
}

func (r *returned) Error() string { return "a pool higher up in the list is back" }

// mine connects again and again until ctx ends. A pool that fails at once is
// followed by the next in the list; one that was of use is tried once more first.
func (r *rig) mine(ctx context.Context) {
	pool := r.pools[0]
	at := pool.endpoint
	probe := r.timing.probe
	for failures := 0; ctx.Err() == nil; {
		settled, err := r.connect(ctx, pool, at, probe)
		if ctx.Err() != nil {
			return
		}
		var back *returned
		if errors.As(err, &back) {
			r.observe(Event{Kind: Disconnected, Text: err.Error()})
			pool, failures = r.pools[back.to], 0
			at = pool.endpoint
			// Should it not last, the next return takes longer.
			probe = min(2*probe, r.timing.probeMost)
			continue
		}
		if settled && pool.index == 0 {
			probe = r.timing.probe
		}
		var delay time.Duration
		var asked *redirect
		switch {
		case settled:
			failures = 0
			delay = r.timing.backoff(0, rand.Float64())
			failures++
		default:
			if len(r.pools) == 1 || (failures+1)%len(r.pools) == 0 {
				delay = r.timing.backoff(failures/len(r.pools), rand.Float64())
			}
			failures++
			if !errors.As(err, &asked) {
				pool = r.pools[(pool.index+1)%len(r.pools)]
			}
		}
		at = pool.endpoint
		if errors.As(err, &asked) {
			at, delay = asked.to, max(asked.wait, delay)
		}
		r.log.Warn().Err(err).Dur("retry_in", delay).Str("pool", at.address()).Msg("disconnected")
		r.stats.pool(func(p *PoolStatus) { *p = PoolStatus{Address: at.address(), Why: cleanText(err.Error())} })
		r.observe(Event{Kind: Disconnected, Text: err.Error()})
		wait(ctx, delay, nil)
	}
}

// connect serves one connection. settled tells whether it was of use. While it
// lasts, the pools before this one are probed.
func (r *rig) connect(ctx context.Context, pool choice, at endpoint, probe time.Duration) (settled bool, err error) {
	c, err := dial(ctx, at, r.timing)
	if err != nil {
		return false, err
	}
	defer c.close()
	// A write that waits for the pool must not outlast ctx.
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	s := newSession(r, c, pool, at)
	if pool.index > 0 {
		probing, stop := context.WithCancel(ctx)
		better, ended := make(chan int), make(chan struct{})
		s.better = better
		go func() {
			defer close(ended)
			r.lookForBetter(probing, pool.index, probe, better)
		}()
		defer func() { stop(); <-ended }()
	}
	r.stats.connected()
	r.stats.pool(func(p *PoolStatus) {
		*p = PoolStatus{
			Address: at.address(), User: pool.user, TLS: at.tls != nil, Index: pool.index, Since: time.Now(),
		}
	})
	r.observe(Event{Kind: Connected, Text: at.address()})
	err = s.run(ctx)
	return s.settled(), err
}

// lookForBetter tries the pools before index again and again and sends the first
// that has work.
func (r *rig) lookForBetter(ctx context.Context, index int, every time.Duration, better chan<- int) {
	for ctx.Err() == nil {
		wait(ctx, every, nil)
		for i, pool := range r.pools[:index] {
			if ctx.Err() != nil {
				return
			}
			if err := r.probe(ctx, pool); err != nil {
				r.log.Debug().Err(err).Str("pool", pool.address()).Msg("still away")
				continue
			}
			r.log.Info().Str("pool", pool.address()).Msg("is back")
			select {
			case better <- i:
			case <-ctx.Done():
			}
			return
		}
	}
}

// probe logs in to a pool and waits for a job.
func (r *rig) probe(ctx context.Context, pool choice) error {
	c, err := dial(ctx, pool.endpoint, r.timing)
	if err != nil {
		return err
	}
	defer c.close()
	const subscribe, authorize = 1, 2
	if err := c.write(request(subscribe, "mining.subscribe", r.agent)); err != nil {
		return err
	}
	late := time.NewTimer(r.timing.login)
	defer late.Stop()
	loggedIn, job := false, false
	for !loggedIn || !job {
		var m message
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("no login and job in %v", r.timing.login)
		case next, open := <-c.messages:
			if !open {
				return c.err
			}
			m = next
		}
		switch {
		case m.bad != nil:
			return m.bad
		case m.method == "mining.notify":
			job = true
		case m.method != "":
		case m.refusal != nil:
			return m.refusal
		case m.answerTo == subscribe:
			if err := c.write(request(authorize, "mining.authorize", pool.user, pool.password)); err != nil {
				return err
			}
		case m.answerTo == authorize:
			if string(m.result) != "true" {
				return errors.New("the pool refused the user")
			}
			loggedIn = true
		}
	}
	return nil
}
