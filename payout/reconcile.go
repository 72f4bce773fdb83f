package payout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Difference is one thing that ledger and node do not agree on.
type Difference struct {
	What   string      `json:"what"`   // in words, with the batch, block or account it is about
	Amount pool.Amount `json:"amount"` // at stake
}

// Reconciliation compares the book with itself and with the node. Amounts are base units.
type Reconciliation struct {
	Seq         uint64      `json:"seq"` // ledger entry that it was made at
	Assets      pool.Amount `json:"assets"`
	Liabilities pool.Amount `json:"liabilities"` // with suspense
	Equity      pool.Amount `json:"equity"`
	Income      pool.Amount `json:"income"`
	Expense     pool.Amount `json:"expense"`

	Wallet   pool.Amount  `json:"wallet"`    // balance of assets:wallet
	OnNode   pool.Amount  `json:"on_node"`   // the ledger's coins that the node has as unspent
	InFlight pool.Amount  `json:"in_flight"` // coins spent by a payout in the chain that is not booked yet
	Coins    int          `json:"coins"`     // counted in OnNode and InFlight
	Unequal  []Difference `json:"unequal,omitempty"`
	Warnings []Difference `json:"warnings,omitempty"` // receipts that nobody explained

	ScanFirst int64 `json:"scan_first"` // heights that were compared with the ledger now
	ScanLast  int64 `json:"scan_last"`
	Batches   int   `json:"batches"`
	Audited   bool  `json:"audited"` // shares, slices, credits and fee schedule too
}

// OK reports whether all agrees.
func (r *Reconciliation) OK() bool { return len(r.Unequal) == 0 }

// Reconcile checks that liabilities + equity + income - expense = assets, that what is in payout is what
// the open batches hold, that every entry of every batch posts what its document says and pays what its id says,
// that the coins that make up assets:wallet are unspent on the node, or spent by a payout of this ledger, that
// each coinbase to the pool's scripts and each outflow on the chain has its record, and, by [Options.Audit],
// credits, fees and slices. full compares the whole chain, else only blocks that are new since the last time.
func (p *Payouts) Reconcile(ctx context.Context, full bool) (*Reconciliation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.at("")
	p.at("reconcile: coins")
	r, err := p.reconcile(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.scan(ctx, full, r); err != nil {
		return nil, err
	}
	if p.audit != nil {
		p.at("reconcile: shares and credits")
		found, err := p.audit(ctx)
		if err != nil {
			return nil, fmt.Errorf("audit shares and credits: %w", err)
		}
		r.Unequal, r.Audited = append(r.Unequal, found...), true
	}
	return r, nil
}

// reconciled is Reconcile as a condition.
func (p *Payouts) reconciled(ctx context.Context) error {
	defer p.at("")
	r, err := p.reconcile(ctx)
	if err != nil {
		return err
	}
	if err := p.scan(ctx, false, r); err != nil {
		return err
	}
	if r.OK() {
		return nil
	}
	first := r.Unequal[0]
	if more := len(r.Unequal) - 1; more > 0 {
		return fmt.Errorf("%w: %s (and %d more)", ErrMismatch, first.What, more)
	}
	return fmt.Errorf("%w: %s", ErrMismatch, first.What)
}

// reconcile asks again when it found something while a block came in: a payout confirmed under the
// questions looks like a coin that went away.
func (p *Payouts) reconcile(ctx context.Context) (*Reconciliation, error) {
	for tries := 1; ; tries++ {
		before, err := p.node.Tip(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask the node for its tip: %w", err)
		}
		r, err := p.reconcileOnce(ctx)
		if err != nil || r.OK() || tries == 5 {
			return r, err
		}
		after, err := p.node.Tip(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask the node for its tip: %w", err)
		}
		if after == before {
			return r, nil
		}
	}
}

func (p *Payouts) reconcileOnce(ctx context.Context) (*Reconciliation, error) {
	balances, err := p.balances()
	if err != nil {
		return nil, err
	}
	r := &Reconciliation{Seq: p.fold.seq, Wallet: balances[ledger.Wallet]}
	differ := func(amount pool.Amount, format string, args ...any) {
		r.Unequal = append(r.Unequal, Difference{fmt.Sprintf(format, args...), amount})
	}

	r.Batches = len(p.fold.batches)
	r.Unequal = append(r.Unequal, p.fold.faults...)
	frozen := map[pool.AccountID]pool.Amount{}
	for _, d := range p.fold.batches {
		if d.open() && d.State != StateDraft {
			for _, q := range d.Payees {
				frozen[q.Account] += q.Amount
			}
		}
	}
	var unequal []ledger.Account
	for account, amount := range balances {
		kind, _, _ := strings.Cut(string(account), ":")
		total := map[string]*pool.Amount{
			"assets": &r.Assets, "liab": &r.Liabilities, "suspense": &r.Liabilities,
			"equity": &r.Equity, "income": &r.Income, "expense": &r.Expense,
		}[kind]
		if total == nil {
			return nil, fmt.Errorf("ledger account %s is of no known kind", account)
		}
		if *total, err = total.Add(amount); err != nil {
			return nil, fmt.Errorf("add up %s: %w", kind, err)
		}
		if id, side, ok := account.Miner(); ok && side == ledger.InPayout {
			if amount == frozen[id] {
				delete(frozen, id)
				continue
			}
			unequal = append(unequal, account)
		}
	}
	slices.Sort(unequal)
	for _, account := range unequal {
		id, _, _ := account.Miner()
		differ(balances[account]-frozen[id], "account %s has %d in payout, the open payouts hold %d", id, balances[account], frozen[id])
		delete(frozen, id)
	}
	for id, amount := range frozen {
		differ(amount, "account %s has nothing in payout, the open payouts hold %d", id, amount)
	}
	claims, err := sum(r.Liabilities, r.Equity, r.Income, -r.Expense)
	if err != nil {
		return nil, fmt.Errorf("add up the book: %w", err)
	}
	if claims != r.Assets {
		differ(r.Assets-claims, "assets are %d, liabilities, equity and income less expenses %d", r.Assets, claims)
	}

	held, err := p.fold.coins(false)
	if err != nil {
		return nil, err
	}
	all := held.rest
	if held.baton != nil {
		all = append(all, *held.baton)
	}
	flying := map[build.Outpoint]bool{}
	for _, d := range p.fold.batches {
		if !d.loose() || d.booked() {
			continue
		}
		at, _, err := p.look(ctx, d)
		if err != nil {
			return nil, err
		}
		if at != nil {
			for _, in := range at.version.Inputs {
				flying[in.Outpoint] = true
			}
		}
	}
	for i := range all {
		c := &all[i]
		out, err := p.node.TxOut(ctx, c.TxID, c.Vout, false)
		if err != nil {
			return nil, fmt.Errorf("ask the node for coin %s: %w", c.Outpoint, err)
		}
		switch {
		case out != nil && out.Value == c.Value:
			r.OnNode, err = r.OnNode.Add(c.Value)
			r.Coins++
		case out != nil:
			differ(out.Value-c.Value, "coin %s is %d in the ledger, %d on the node", c.Outpoint, c.Value, out.Value)
		case flying[c.Outpoint]:
			r.InFlight, err = r.InFlight.Add(c.Value)
			r.Coins++
		default:
			differ(-c.Value, "%s is not unspent in the node's chain, and no payout in it spends it", describe(c))
		}
		if err != nil {
			return nil, fmt.Errorf("add up coins: %w", err)
		}
	}
	for _, d := range p.fold.decided {
		if d.Standing != CoinLost {
			continue
		}
		out, err := p.node.TxOut(ctx, d.Coin.TxID, d.Coin.Vout, false)
		if err != nil {
			return nil, fmt.Errorf("ask the node for coin %s: %w", d.Coin, err)
		}
		if out != nil {
			r.Warnings = append(r.Warnings, Difference{What: fmt.Sprintf("coin %s was written off and is there again: adit payout coin %s --restore", d.Coin, d.Coin), Amount: d.Value})
		}
	}
	if coins := r.OnNode + r.InFlight; coins != r.Wallet && r.OK() {
		differ(coins-r.Wallet, "the ledger's coins are worth %d, the balance of %s is %d", coins, ledger.Wallet, r.Wallet)
	}
	return r, nil
}

// describe names a coin and where it comes from.
func describe(c *build.Coin) string {
	if c.Block != nil {
		return fmt.Sprintf("coin %s of %d from block %s", c.Outpoint, c.Value, c.Block)
	}
	return fmt.Sprintf("%s %s of %d from payout %s", c.Kind, c.Outpoint, c.Value, c.Batch)
}
