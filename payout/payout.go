package payout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Kinds of refusal. Every one of them leaves the money where it was.
var (
	ErrNothing      = errors.New("nothing to pay: no available balance reaches the threshold")
	ErrShort        = errors.New("the pool's coins are not enough for this payout")
	ErrTooLarge     = errors.New("the transaction would be larger than nodes relay")
	ErrFeeRate      = errors.New("the fee rate is above the configured ceiling")
	ErrCoinGone     = errors.New("a coin of the ledger is spent or unknown on the node, and no payout spends it")
	ErrImmature     = errors.New("a coinbase is not mature on the node yet")
	ErrBaton        = errors.New("the first baton is not the configured one")
	ErrRewardScript = errors.New("payouts cannot be made from this reward address")
	ErrSigner       = errors.New("the signer's answer was refused")
	ErrNotTaken     = errors.New("the node has not taken the transaction")
	ErrConflicted   = errors.New("an input of this payout was spent by another transaction: a person must look")
	ErrState        = errors.New("the payout is in another state")
	ErrUnknown      = errors.New("no such payout")
	ErrOpen         = errors.New("an earlier payout is not confirmed yet")
	ErrNoSigner     = errors.New("no key file is configured")
	ErrMismatch     = errors.New("ledger and node do not agree")
)

// Book is the ledger as a payout uses it; *ledger.Book is one.
type Book interface {
	Post(ledger.Entry) (ledger.Entry, error)
	Balance(ledger.Account) pool.Amount
	Balances() iter.Seq2[ledger.Account, pool.Amount]
	Head() ledger.Head
	Entries(after uint64) iter.Seq2[ledger.Entry, error]
}

// Signer puts signatures into a PSBT. It may return the packet it was given or another one; the unsigned
// transaction must stay as it is, and signatures must be SIGHASH_ALL or SIGHASH_DEFAULT.
type Signer interface {
	Sign(ctx context.Context, unsigned *psbt.Packet) (*psbt.Packet, error)
}

// scripted is a signer that knows which script it signs for.
type scripted interface{ Script() []byte }

// Options say how a pool pays. Amounts are base units, rates base units per 1000 virtual bytes.
type Options struct {
	Pool         string
	Chain        pool.Chain
	Book         Book
	Node         Node
	Signer       Signer // nil: Run starts no payout, the single steps go up to built
	RewardScript []byte // the pool's own output script; payouts are made from P2WPKH and P2TR alone

	Threshold  pool.Amount // least balance that is paid, default 100 000
	FeeTarget  int         // blocks that a payout may take, for the node's estimate; default 6
	FeeRate    pool.Amount // used when the node has no estimate, default 2 000
	FeeCeiling pool.Amount // above it nothing is built, default 200 000
	DustRate   pool.Amount // relay rate that dust is measured by, default the chain's

	ConfirmDepth int64 // confirmations to book a payout as paid, default 6
	FinalDepth   int64 // confirmations to stop watching it, default 100, at least ConfirmDepth

	Baton *Outpoint // baton of the pool's first payout, when configuration pins it

	Now func() time.Time // default time.Now
	Log zerolog.Logger
}

// batonValue is what a baton holds where the dust rule asks for less.
const batonValue = 1000

// Payouts pays one pool's accounts. Its methods may be called from any goroutine; one runs at a time.
type Payouts struct {
	pool         string
	chain        pool.Chain
	book         Book
	node         Node
	signer       Signer
	script       []byte
	kind         scriptKind
	unspendable  error // why no payout can be made from script
	threshold    pool.Amount
	feeTarget    int
	feeFallback  pool.Amount
	feeCeiling   pool.Amount
	dustRate     pool.Amount
	confirmDepth int64
	finalDepth   int64
	pin          *Outpoint
	now          func() time.Time
	log          zerolog.Logger

	mu   sync.Mutex // held for the whole of a command
	fold fold       // guarded by mu
}

// New checks the options and returns the payouts of a pool. It starts nothing. A reward script that
// payouts cannot be made from is an error when there is a signer, else one of Plan, Draft and Run.
func New(o Options) (*Payouts, error) {
	kind, unspendable := spendable(o.RewardScript)
	if unspendable != nil && o.Signer != nil {
		return nil, unspendable
	}
	p := &Payouts{
		pool: o.Pool, chain: o.Chain, book: o.Book, node: o.Node, signer: o.Signer,
		script: o.RewardScript, kind: kind, unspendable: unspendable, pin: o.Baton, now: o.Now, log: o.Log,
		threshold:    orDefault(o.Threshold, 100_000),
		feeTarget:    orDefault(o.FeeTarget, 6),
		feeFallback:  orDefault(o.FeeRate, 2_000),
		feeCeiling:   orDefault(o.FeeCeiling, 200_000),
		dustRate:     orDefault(o.DustRate, o.Chain.Params().DustRate),
		confirmDepth: orDefault(o.ConfirmDepth, 6),
		finalDepth:   orDefault(o.FinalDepth, 100),
		fold: fold{
			blocks:   map[pool.Hash]*ledger.BlockDoc{},
			accounts: map[pool.AccountID]*ledger.AccountDoc{},
		},
	}
	if p.now == nil {
		p.now = time.Now
	}
	if s, ok := o.Signer.(scripted); ok && !bytes.Equal(s.Script(), p.script) {
		return nil, fmt.Errorf("the key file is for %s, but the reward address is %s: use the key of the reward address",
			p.address(s.Script()), p.address(p.script))
	}
	for _, v := range []struct {
		name string
		bad  bool
	}{
		{"threshold", p.threshold < 1}, {"fee target", p.feeTarget < 1}, {"fee rate", p.feeFallback < minFeeRate},
		{"fee ceiling below the fee rate", p.feeCeiling < p.feeFallback}, {"dust rate", p.dustRate < 1 || p.dustRate > 1_000_000},
		{"confirm depth", p.confirmDepth < 1}, {"final depth", p.finalDepth < p.confirmDepth},
	} {
		if v.bad {
			return nil, fmt.Errorf("payout options: %s out of range", v.name)
		}
	}
	return p, nil
}

func orDefault[T int | int64 | pool.Amount](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// List returns all batches, oldest first. They are not to be changed.
func (p *Payouts) List() ([]*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	return slices.Clone(p.fold.batches), nil
}

// Show returns one batch, named by its id or the first six digits of it or more.
func (p *Payouts) Show(id string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	return p.fold.find(id)
}

// SetPayouts names the documents of this package in the ledger.
const SetPayouts = "payouts"

// post writes one step of a batch to the ledger. When it returns without error the step is durable and
// may be acted on. The document is given over to post.
func (p *Payouts) post(d *BatchDoc, state State, note string, postings []ledger.Posting) (*BatchDoc, error) {
	now := p.now().UnixMilli()
	d.State = state
	d.Steps = append(d.Steps, Step{state, now, note})
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write payout %s: %w", d.ID, err)
	}
	key := fmt.Sprintf("payout:%s:%s", d.ID, state)
	if d.Turn > 0 {
		key = fmt.Sprintf("%s:%d", key, d.Turn)
	}
	_, err = p.book.Post(ledger.Entry{
		Time: now, Kind: "payout." + string(state), Key: key,
		Subject:  &ledger.Subject{Set: SetPayouts, ID: d.ID, Rank: int64(d.Seq)},
		Postings: postings, Body: body,
	})
	if err != nil {
		return nil, fmt.Errorf("book payout %s as %s: %w", d.ID, state, err)
	}
	p.log.Info().Str("pool", p.pool).Str("payout", d.ID).Str("state", string(state)).Msg("payout")
	return d, p.refresh()
}

// address spells a script for people.
func (p *Payouts) address(script []byte) string {
	if a, err := p.chain.Address(script); err == nil {
		return a
	}
	return fmt.Sprintf("script %x", script)
}
