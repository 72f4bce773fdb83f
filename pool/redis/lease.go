package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/adit-pool/adit/pool/settle"
)

// LeaseTTL is how long a lease lives without being renewed.
const LeaseTTL = 5 * time.Second

// Acquire takes the settler's lease for an owner, or returns [settle.ErrLeaseHeld]. The token is higher
// than every one given before, also when the server forgot them. What only the active ledger may write fails
// from here on when this lease is not in force.
func (p *Pool) Acquire(ctx context.Context, owner string) (token uint64, err error) {
	token, err = p.lease(ctx, "acquire", owner, 0, settle.ErrLeaseHeld)
	if err == nil {
		fence := strconv.FormatUint(token, 10) + " " + owner
		p.held.Store(&fence)
	}
	return token, err
}

// Renew keeps the lease for another LeaseTTL, or returns [settle.ErrLeaseLost].
func (p *Pool) Renew(ctx context.Context, owner string, token uint64) error {
	_, err := p.lease(ctx, "renew", owner, token, settle.ErrLeaseLost)
	return err
}

// Release gives the lease up if it is still held with this token.
func (p *Pool) Release(ctx context.Context, owner string, token uint64) error {
	_, err := p.lease(ctx, "release", owner, token, nil)
	return err
}

func (p *Pool) lease(ctx context.Context, what, owner string, token uint64, refused error) (uint64, error) {
	v, err := p.answer(ctx, leaseLua, []string{p.k.lease(), p.k.leaseToken()}, what, owner,
		strconv.FormatUint(token, 10), LeaseTTL.Milliseconds())
	if err != nil {
		return 0, fmt.Errorf("%s the settler's lease: %w", what, err)
	}
	got, err := strconv.ParseUint(text(v, 0), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s the settler's lease: script answered %q", what, text(v, 0))
	}
	if got == 0 && refused != nil {
		return 0, fmt.Errorf("%s the settler's lease: %w: owner now is %.80q", what, refused, text(v, 1))
	}
	return got, nil
}
