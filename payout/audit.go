package payout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// fault notes something about an entry of the book that cannot be right, for Reconcile to tell.
func (f *fold) fault(e *ledger.Entry, amount pool.Amount, format string, args ...any) {
	f.faults = append(f.faults, Difference{What: fmt.Sprintf("ledger entry %d: ", e.Seq) + fmt.Sprintf(format, args...), Amount: amount})
}

// audit checks an entry about a batch: that the document is right in itself and goes on from the one before, and
// that exactly what it says is posted.
func (f *fold) audit(e *ledger.Entry, prev, d *BatchDoc) {
	if d.Kind == "" {
		if id := BatchID(d.Pool, d.Seq, d.Payees); id != d.ID {
			f.fault(e, d.Total, "payout %s pays what has the id %s: payees or amounts were changed", d.ID, id)
		}
	}
	var total pool.Amount
	for _, q := range d.Payees {
		total += q.Amount
	}
	if total != d.Total {
		f.fault(e, d.Total-total, "payout %s says %d in all, its payees have %d", d.ID, d.Total, total)
	}
	for _, v := range d.versions() {
		if d.State != StateDraft {
			f.auditVersion(e, d, v)
		}
	}
	if want := expected(prev, d); !slices.Equal(want, e.Postings) {
		posted, meant := moved(e.Postings), moved(want)
		f.fault(e, posted-meant, "payout %s became %s with postings of %d, its document says %d", d.ID, d.State, posted, meant)
	}
}

func moved(postings []ledger.Posting) (all pool.Amount) {
	for _, p := range postings {
		all += p.Amount
	}
	return all
}

// auditVersion holds a transaction of a batch against its id, its fee and, for the one that stands, its payees.
func (f *fold) auditVersion(e *ledger.Entry, d *BatchDoc, v *Version) {
	tx := build.Unsigned(coinsOf(v.Inputs), v.Outputs)
	if got := pool.Hash(tx.TxHash()); got != *v.TxID {
		f.fault(e, d.Total, "payout %s: inputs and outputs make transaction %s, not %s", d.ID, got, v.TxID)
	}
	var fee pool.Amount
	for _, in := range v.Inputs {
		fee += in.Value
	}
	outputs := make([]pool.Amount, len(v.Outputs))
	for i, o := range v.Outputs {
		fee -= o.Value
		outputs[i] = o.Value
	}
	if fee != v.Fee {
		f.fault(e, v.Fee-fee, "payout %s: the network fee of %s is %d, inputs less outputs are %d", d.ID, v.TxID, v.Fee, fee)
	}
	if v != &d.Version {
		return
	}
	for i := range d.Payees {
		q := &d.Payees[i]
		if q.Vout == nil || int(*q.Vout) >= len(outputs) || v.Outputs[*q.Vout].Kind != build.KindPayee || string(v.Outputs[*q.Vout].Script) != string(q.Script) {
			f.fault(e, q.Amount, "payout %s: account %s has no output of its own in %s", d.ID, q.Account, v.TxID)
			return
		}
		outputs[*q.Vout] -= q.Amount - q.Fee
	}
	for i, o := range v.Outputs {
		if o.Kind == build.KindPayee && outputs[i] != 0 {
			f.fault(e, outputs[i], "payout %s: output %d of %s pays %d more than its accounts are owed", d.ID, i, v.TxID, outputs[i])
		}
	}
}

// expected is what the step from prev to d posts.
func expected(prev, d *BatchDoc) []ledger.Posting {
	from := StateDraft
	if prev != nil {
		from = prev.State
	}
	switch {
	case d.State == StateFrozen && from == StateDraft && len(d.Payees) > 0:
		return move(d, ledger.Available, ledger.InPayout)
	case d.State == StateCancelled && from != StateDraft && from != StateCancelled && len(d.Payees) > 0:
		return move(d, ledger.InPayout, ledger.Available)
	case d.State == StateConflicted && from == StateConfirmed:
		return reversed(outflow(prev))
	case d.State == StateConfirmed && from == StateConfirmed:
		return append(reversed(outflow(prev)), outflow(d)...)
	case d.State == StateConfirmed && from == StateCancelled:
		postings := outflow(d)
		for i := range d.Payees {
			postings[i].Debit = ledger.MinerAvailable(d.Payees[i].Account)
		}
		return postings
	case d.State == StateConfirmed:
		return outflow(d)
	}
	return nil
}

// foreign notes an entry that is no payout's and moves what only payouts may.
func (f *fold) foreign(e *ledger.Entry) {
	if strings.HasPrefix(e.Kind, "payout.") {
		return
	}
	moves := map[pool.AccountID]pool.Amount{} // a coinbase that pays an account moves through it and leaves nothing
	for _, p := range e.Postings {
		if id, side, ok := p.Debit.Miner(); ok && side == ledger.InPayout {
			moves[id] -= p.Amount
		}
		if id, side, ok := p.Credit.Miner(); ok && side == ledger.InPayout {
			moves[id] += p.Amount
		}
	}
	for id, amount := range moves {
		if amount != 0 {
			f.fault(e, max(amount, -amount), "%s moves what account %s has in payout, which only payouts may", e.Kind, id)
		}
	}
}
