package payout

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Kinds of refusal. Every one of them leaves the money where it was.
var (
	ErrNothing      = errors.New("nothing to pay: no available balance reaches the threshold")
	ErrShort        = build.ErrShort
	ErrTooLarge     = build.ErrTooLarge
	ErrFeeRate      = errors.New("the fee rate is out of bounds")
	ErrLimit        = errors.New("over a limit")
	ErrCoinGone     = errors.New("a coin of the ledger is spent or unknown on the node, and no payout spends it")
	ErrImmature     = errors.New("a coinbase is not mature on the node yet")
	ErrBaton        = errors.New("the first baton is not the configured one")
	ErrRewardScript = sign.ErrSource
	ErrSigner       = sign.ErrRefused
	ErrIncomplete   = sign.ErrIncomplete
	ErrNotTaken     = errors.New("the node has not taken the transaction")
	ErrConflicted   = errors.New("an input of this payout was spent by another transaction: a person must look")
	ErrState        = errors.New("the payout is in another state")
	ErrUnknown      = errors.New("no such payout")
	ErrNoAccount    = errors.New("no such account in the ledger")
	ErrOpen         = errors.New("an earlier payout is not confirmed yet")
	ErrNoSigner     = errors.New("there is no signer here: export the payout and import it signed")
	ErrMismatch     = errors.New("ledger and node do not agree")
	ErrApproval     = errors.New("not approved")
	ErrHalted       = errors.New("payouts are halted")
	ErrHeld         = errors.New("a payee is held")
	ErrStale        = errors.New("the payout is out of date")
	ErrDecision     = errors.New("not decided as it must be")
	ErrOrder        = errors.New("the order is not taken")
)

// Book is the ledger as a payout uses it; *ledger.Book is one.
type Book interface {
	Post(ledger.Entry) (ledger.Entry, error)
	PostAll([]ledger.Entry) ([]ledger.Entry, error)
	Balance(ledger.Account) pool.Amount
	Snapshot() (map[ledger.Account]pool.Amount, ledger.Head)
	Head() ledger.Head
	Entries(after uint64) iter.Seq2[ledger.Entry, error]
	Find(key string) (ledger.Entry, bool, error)
}

// Signer puts signatures into a PSBT. It may return the packet it was given or another one; the unsigned
// transaction must stay as it is, and signatures must be SIGHASH_ALL or SIGHASH_DEFAULT.
type Signer interface {
	Sign(ctx context.Context, unsigned *psbt.Packet) (*psbt.Packet, error)
}

// Options say how a pool pays. Amounts are base units, rates base units per 1000 virtual bytes.
type Options struct {
	Pool         string
	Chain        pool.Chain
	Book         Book
	Node         Node
	Signer       Signer        // nil: Run starts no payout, signatures come by Import
	RewardScript []byte        // the pool's own output script: coinbases, change and batons
	Sources      []sign.Source // what is spent from: RewardScript first, then reward scripts of before; nil: the signer's or RewardScript

	Threshold  pool.Amount // least balance that is paid, default 100 000
	FeeTarget  int         // blocks that a payout may take, for the node's estimate; default 6
	FeeRate    pool.Amount // used when the node has no estimate, default 2 000
	FeeCeiling pool.Amount // above it nothing is built, default 200 000
	DustRate   pool.Amount // relay rate that dust is measured by, default the chain's

	ConfirmDepth int64 // confirmations to book a payout as paid, default 6
	FinalDepth   int64 // confirmations to stop watching it, default 100, at least ConfirmDepth

	Baton *build.Outpoint // baton of the pool's first payout, when configuration pins it

	Policy     Policy // default PolicyNone
	Approvers  []Approver
	Limits     Limits
	FeeFrom    string        // FeeFromPool, the default, or FeeFromPayees
	SweepBelow pool.Amount   // at this fee rate and below small old coins are swept together
	DenyFile   string        // addresses that are never paid, one a line
	Screen     []string      // command that says who is to be held, see [Payouts.Draft]
	OrderHold  time.Duration // between an account's change of destination and its beginning, default 72 h

	CoinbasePayees int // accounts that a coinbase pays at most, see [Payouts.ListPayees]; 0: none

	// Audit checks what the ledger was made from, and says what is wrong; nil: Reconcile leaves that out.
	Audit func(ctx context.Context) ([]Difference, error)

	partWeight int64 // of a transaction's payees, default build.MaxPayeeWeight; set by tests

	Now func() time.Time // default time.Now
	Log zerolog.Logger
}

// Limits bound what is paid without asking further. Amounts are base units, 0 for no limit.
type Limits struct {
	Payee       pool.Amount // above it a payee is left out, and listed as held
	Run         pool.Amount // above it nothing is drafted
	Day         pool.Amount // likewise, with what was drafted in the 24 hours before
	UnknownHold bool        // payees that were never paid at their address are held until released
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
	sources      []sign.Source // the one of script first
	unspendable  error         // why no payout can be made from script
	threshold    pool.Amount
	feeTarget    int
	feeFallback  pool.Amount
	feeCeiling   pool.Amount
	feeFrom      string
	sweepBelow   pool.Amount
	dustRate     pool.Amount
	confirmDepth int64
	finalDepth   int64
	partWeight   int64
	pin          *build.Outpoint
	policy       Policy
	approvers    []Approver
	limits       Limits
	denyFile     string
	screen       []string
	orderHold    time.Duration
	direct       int
	audit        func(ctx context.Context) ([]Difference, error)
	now          func() time.Time
	log          zerolog.Logger

	progress atomic.Pointer[string] // what is done now

	mu      sync.Mutex              // held for the whole of a command
	fold    fold                    // guarded by mu
	scanned *ScanDoc                // guarded by mu; further than the mark in the ledger, nil at the start
	near    map[pool.Hash]nearBlock // guarded by mu
	listed  listed                  // guarded by mu
}

// New checks the options and returns the payouts of a pool. It starts nothing. A reward script that
// payouts cannot be made from is an error when there is a signer, else one of Plan, Draft and Run.
func New(o Options) (*Payouts, error) {
	var unspendable error
	if s, ok := o.Signer.(interface{ Sources() []sign.Source }); ok && len(o.Sources) == 0 {
		o.Sources = s.Sources()
	}
	if len(o.Sources) == 0 {
		var own sign.Source
		if own, unspendable = sign.SourceOf(o.RewardScript); unspendable == nil {
			o.Sources = []sign.Source{own}
		}
	}
	if unspendable != nil && o.Signer != nil {
		return nil, unspendable
	}
	p := &Payouts{
		pool: o.Pool, chain: o.Chain, book: o.Book, node: o.Node, signer: o.Signer,
		script: o.RewardScript, sources: o.Sources, unspendable: unspendable, pin: o.Baton, now: o.Now, log: o.Log,
		threshold:    orDefault(o.Threshold, 100_000),
		feeTarget:    orDefault(o.FeeTarget, 6),
		feeFallback:  orDefault(o.FeeRate, 2_000),
		feeCeiling:   orDefault(o.FeeCeiling, 200_000),
		feeFrom:      cmp.Or(o.FeeFrom, FeeFromPool),
		sweepBelow:   o.SweepBelow,
		dustRate:     orDefault(o.DustRate, o.Chain.Params().DustRate),
		confirmDepth: orDefault(o.ConfirmDepth, 6),
		finalDepth:   orDefault(o.FinalDepth, 100),
		partWeight:   orDefault(o.partWeight, build.MaxPayeeWeight),
		policy:       cmp.Or(o.Policy, PolicyNone),
		approvers:    o.Approvers, limits: o.Limits, denyFile: o.DenyFile, screen: o.Screen,
		direct: o.CoinbasePayees, near: map[pool.Hash]nearBlock{},
		orderHold: cmp.Or(o.OrderHold, 72*time.Hour), audit: o.Audit,
		fold: fold{
			byID:     map[string]*BatchDoc{},
			spenders: map[pool.Hash]map[string]*BatchDoc{},
			blocks:   map[pool.Hash]*ledger.BlockDoc{},
			accounts: map[pool.AccountID]*ledger.AccountDoc{},
			payees:   map[pool.AccountID]*PayeeDoc{},
			privacy:  map[pool.AccountID]*ledger.PrivacyDoc{},
			named:    map[pool.AccountID]int64{},
			receipts: map[build.Outpoint]*ReceiptDoc{},
			decided:  map[build.Outpoint]*CoinDoc{},
		},
	}
	if p.now == nil {
		p.now = time.Now
	}
	if _, err := sign.SourceOf(o.RewardScript); err != nil && len(o.Sources) > 0 && o.Sources[0].Witness == nil {
		return nil, err
	}
	if len(p.sources) > 0 && !bytes.Equal(p.sources[0].Script, p.script) {
		return nil, fmt.Errorf("the key or descriptor is for %s, but the reward address is %s: use that of the reward address",
			p.address(p.sources[0].Script), p.address(p.script))
	}
	if !p.enoughPeople() {
		return nil, fmt.Errorf("payout options: policy %s needs %d approvers, and no name or key may be there twice", p.policy, p.policy.needs())
	}
	for _, v := range []struct {
		name string
		bad  bool
	}{
		{"threshold", p.threshold < 1}, {"fee target", p.feeTarget < 1}, {"fee rate", p.feeFallback < build.MinFeeRate},
		{"fee ceiling below the fee rate", p.feeCeiling < p.feeFallback}, {"dust rate", p.dustRate < 1 || p.dustRate > 1_000_000},
		{"confirm depth", p.confirmDepth < 1}, {"final depth", p.finalDepth < p.confirmDepth},
		{"policy", p.policy != PolicyNone && p.policy.needs() == 0}, {"fee from", p.feeFrom != FeeFromPool && p.feeFrom != FeeFromPayees},
		{"coinbase payees", p.direct < 0 || p.direct > pool.MaxCoinbasePayees},
		{"limits", min(p.limits.Payee, p.limits.Run, p.limits.Day, p.sweepBelow) < 0}, {"hold of orders", p.orderHold < 0},
	} {
		if v.bad {
			return nil, fmt.Errorf("payout options: %s out of range", v.name)
		}
	}
	return p, nil
}

// enoughPeople reports whether the policy can be met: as many approvers as it needs, no name and no key twice.
func (p *Payouts) enoughPeople() bool {
	names, keys := map[string]bool{}, map[string]bool{}
	for _, a := range p.approvers {
		names[strings.ToLower(a.Name)], keys[string(a.Key)] = true, true
	}
	return len(names) == len(p.approvers) && len(keys) == len(p.approvers) && len(keys) >= p.policy.needs()
}

func orDefault[T int | int64 | pool.Amount](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Progress says what is done now, "" when nothing is that takes long. It never waits.
func (p *Payouts) Progress() string {
	if s := p.progress.Load(); s != nil {
		return *s
	}
	return ""
}

// at notes what is done now.
func (p *Payouts) at(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	p.progress.Store(&s)
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

// Show returns the batches of a run, the one named by its id or the first six digits of it or more at place at.
func (p *Payouts) Show(id string) (docs []*BatchDoc, at int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.find(id)
	if err != nil {
		return nil, 0, err
	}
	docs = p.fold.runOf(d)
	return docs, slices.Index(docs, d), nil
}

// post writes one step of a batch to the ledger. When it returns without error the step is durable and
// may be acted on. The document is given over to post.
func (p *Payouts) post(d *BatchDoc, state State, note string, postings []ledger.Posting) (*BatchDoc, error) {
	return p.postOverdraft(d, state, note, postings, nil)
}

// postOverdraft is post for an entry that may leave some accounts below zero.
func (p *Payouts) postOverdraft(d *BatchDoc, state State, note string, postings []ledger.Posting, overdraft []ledger.Account) (*BatchDoc, error) {
	e, err := p.entry(d, state, note, postings)
	if err != nil {
		return nil, err
	}
	e.Overdraft = overdraft
	if err := p.write([]ledger.Entry{e}, []*BatchDoc{d}, state); err != nil {
		return nil, err
	}
	return p.fold.byID[d.ID], nil
}

// postAll writes the same step of several batches with one fsync, and puts what they are then in their place. After
// a crash the first few of them may be there.
func (p *Payouts) postAll(docs []*BatchDoc, state State, note string, postings func(*BatchDoc) []ledger.Posting) error {
	entries := make([]ledger.Entry, len(docs))
	for i, d := range docs {
		var err error
		if entries[i], err = p.entry(d, state, note, postings(d)); err != nil {
			return err
		}
	}
	if len(docs) == 0 {
		return nil
	}
	if err := p.write(entries, docs, state); err != nil {
		return err
	}
	for i, d := range docs {
		docs[i] = p.fold.byID[d.ID]
	}
	return nil
}

// entry is one step of a batch.
func (p *Payouts) entry(d *BatchDoc, state State, note string, postings []ledger.Posting) (ledger.Entry, error) {
	now := p.now().UnixMilli()
	d.State = state
	d.Steps = append(d.Steps, Step{state, now, note})
	body, err := json.Marshal(d)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("write payout %s: %w", d.ID, err)
	}
	return ledger.Entry{
		Time: now, Kind: "payout." + string(state), Key: fmt.Sprintf("payout:%s:%d:%s", d.ID, len(d.Steps), state),
		Subject:  &ledger.Subject{Set: SetPayouts, ID: d.ID, Rank: int64(d.Seq)},
		Postings: postings, Body: body,
	}, nil
}

// write posts entries with one fsync and takes them in with their documents, which are not changed any more.
func (p *Payouts) write(entries []ledger.Entry, docs []*BatchDoc, state State) error {
	posted, err := p.book.PostAll(entries)
	if err != nil {
		return fmt.Errorf("book payout %s as %s: %w", docs[0].ID, state, err)
	}
	p.log.Info().Str("pool", p.pool).Str("payout", docs[0].ID).Str("state", string(state)).Int("batches", len(entries)).Msg("payout")
	return p.adopt(posted, docs)
}

// address spells a script for people.
func (p *Payouts) address(script []byte) string {
	if a, err := p.chain.Address(script); err == nil {
		return a
	}
	return fmt.Sprintf("script %x", script)
}
