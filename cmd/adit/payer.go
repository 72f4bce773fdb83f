package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// payer runs a pool's payouts: when asked by a command, on the configured schedule, and all the time in --dev.
type payer struct {
	payouts   *payout.Payouts
	limits    func(context.Context) ([]pool.PayoutLimit, error) // that rigs ask for
	params    *pool.Params
	schedule  payout.Schedule
	ready     func() error // why no step may be taken now
	automatic bool
	told      *tally
	log       zerolog.Logger
}

// Times between looks at sent payouts, between runs of an automatic payer, and between reconciliations.
const (
	payerCheck     = 30 * time.Second
	payerDevCheck  = 2 * time.Second
	payerDevRun    = 10 * time.Second
	payerReconcile = 24 * time.Hour
	payerLimits    = time.Hour
	payerList      = 500 * time.Millisecond // whom coinbases pay
)

// runLoop follows sent payouts and makes those that are due until ctx ends.
func (p *payer) runLoop(ctx context.Context) error {
	check, run := payerCheck, payerCheck
	if p.automatic {
		check, run = payerDevCheck, payerDevRun
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		listed := make(chan struct{})
		go func() {
			defer close(listed)
			p.payouts.WatchPayees(ctx, payerList)
		}()
		p.payouts.Watch(ctx, check, p.ready)
		<-listed
	}()
	defer func() { <-done }()
	tick := time.NewTicker(run)
	defer tick.Stop()
	begin := time.Now()
	var paid, compared, limited time.Time
	for {
		now := time.Now()
		if now.Sub(limited) > payerLimits {
			limited = now
			p.takeLimits(ctx)
		}
		last, scheduled := p.schedule.Last(now)
		// A time that passed before this start is made up for: Run pays only what is owed.
		if p.automatic || scheduled && !last.Equal(paid) && (paid.IsZero() || last.After(paid)) {
			paid = last
			err := p.ready()
			if err == nil {
				_, err = p.payouts.Run(ctx, payout.SystemAccount)
			}
			if err != nil && !errors.Is(err, payout.ErrNothing) && !errors.Is(err, payout.ErrOpen) && ctx.Err() == nil {
				p.log.Warn().Err(err).Str(pool.EventField, pool.EventPayoutWaits).Msg("payout not made now")
				if !p.automatic && ctx.Err() == nil {
					paid = time.Time{} // tried again until it is made or a person has acted
				}
			}
		}
		if !p.automatic && now.Sub(begin) > time.Minute && now.Sub(compared) > payerReconcile {
			compared = now
			p.compare(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// takeLimits makes what rigs ask for the terms of their accounts.
func (p *payer) takeLimits(ctx context.Context) {
	limits, err := p.limits(ctx)
	if err == nil {
		err = p.payouts.TakeLimits(ctx, limits)
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn().Err(err).Msg("the payout limits that rigs ask for cannot be taken over now")
	}
}

// compare reconciles once a day and tells about what it finds.
func (p *payer) compare(ctx context.Context) {
	r, err := p.payouts.Reconcile(ctx, false)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.log.Warn().Err(err).Str(pool.EventField, pool.EventReconcileFailed).Msg("ledger and node could not be compared")
	case r.OK():
		p.told.differences.Store(0)
	default:
		p.told.differences.Store(int64(len(r.Unequal)))
		p.log.Error().Str(pool.EventField, pool.EventReconcileDiffers).Int("differences", len(r.Unequal)).Str("first", r.Unequal[0].What).
			Msg("ledger and node do not agree: adit payout reconcile")
	}
}

// passphraseEnv holds the passphrase of a key file that has no identity file beside it.
const passphraseEnv = "ADIT_KEY_PASSPHRASE"

// keyLock is what a key file is locked with: the identity file beside it, else the passphrase in the
// environment.
func keyLock(path string) (sign.Lock, error) {
	identity := path + ".identity"
	if _, err := os.Stat(identity); err == nil {
		return sign.Lock{IdentityFile: identity}, nil
	}
	if phrase := os.Getenv(passphraseEnv); phrase != "" {
		return sign.Lock{Passphrase: phrase}, nil
	}
	return sign.Lock{}, fmt.Errorf("%s cannot be opened: put its age identity into %s, or its passphrase into %s", path, identity, passphraseEnv)
}

// openKeyFile decrypts the pool's signing key.
func openKeyFile(path string, params *pool.Params) (*sign.Key, error) {
	lock, err := keyLock(path)
	if err != nil {
		return nil, err
	}
	return sign.OpenKey(path, params, lock)
}
