package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
)

// payer runs a pool's payouts: when asked by a command, and by itself only in --dev.
type payer struct {
	payouts   *payout.Payouts
	params    *pool.Params
	automatic bool
	log       zerolog.Logger
}

// Times between looks at sent payouts, and between runs of an automatic payer.
const (
	payerCheck    = 30 * time.Second
	payerDevCheck = 2 * time.Second
	payerDevRun   = 10 * time.Second
)

// run takes one payout as far as it goes now.
func (p *payer) run(ctx context.Context) (*payout.BatchDoc, error) { return p.payouts.Run(ctx) }

// runLoop follows sent payouts until ctx ends.
func (p *payer) runLoop(ctx context.Context) error {
	if !p.automatic {
		p.payouts.Watch(ctx, payerCheck)
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.payouts.Watch(ctx, payerDevCheck)
	}()
	defer func() { <-done }()
	tick := time.NewTicker(payerDevRun)
	defer tick.Stop()
	for {
		_, err := p.run(ctx)
		if err != nil && !errors.Is(err, payout.ErrNothing) && !errors.Is(err, payout.ErrOpen) && ctx.Err() == nil {
			p.log.Warn().Err(err).Str("event", "payout.waits").Msg("payout not made now")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// passphraseEnv holds the passphrase of a key file that has no identity file beside it.
const passphraseEnv = "ADIT_KEY_PASSPHRASE"

// keyLock is what a key file is locked with: the identity file beside it, else the passphrase in the
// environment.
func keyLock(path string) (payout.Lock, error) {
	identity := path + ".identity"
	if _, err := os.Stat(identity); err == nil {
		return payout.Lock{IdentityFile: identity}, nil
	}
	if phrase := os.Getenv(passphraseEnv); phrase != "" {
		return payout.Lock{Passphrase: phrase}, nil
	}
	return payout.Lock{}, fmt.Errorf("%s cannot be opened: put its age identity into %s, or its passphrase into %s", path, identity, passphraseEnv)
}

// openKeyFile decrypts the pool's signing key.
func openKeyFile(path string, params *pool.Params) (*payout.Key, error) {
	lock, err := keyLock(path)
	if err != nil {
		return nil, err
	}
	return payout.OpenKey(path, params, lock)
}
