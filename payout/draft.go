package payout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Plan says what Draft and Build would decide now, and posts nothing. The documents have no ids and no state;
// a run of several transactions has its fan first.
func (p *Payouts) Plan(ctx context.Context) ([]*BatchDoc, *Diff, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, nil, err
	}
	if d := p.fold.open(); d != nil { // its baton and change are what the next one would spend
		return nil, nil, fmt.Errorf("%w: %s is %s", ErrOpen, d.ID, d.State)
	}
	docs, _, err := p.choose(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := p.planRun(ctx, docs); err != nil {
		return nil, nil, err
	}
	diff := p.diff(docs)
	for _, d := range docs {
		d.ID, d.Run = "", ""
	}
	return docs, diff, nil
}

// Draft chooses payees and amounts and freezes the amounts, in the name of author. It is refused while another
// run is open. The first batch of the run is returned.
func (p *Payouts) Draft(ctx context.Context, author string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	d, err := p.openRun()
	if err != nil {
		return d, err
	}
	if d != nil && d.State != StateDraft && d.State != StateFrozen {
		return d, fmt.Errorf("%w: %s is %s", ErrOpen, d.ID, d.State)
	}
	return p.draftOrGoOn(ctx, author)
}

// draftOrGoOn drafts and freezes a run, or goes on with one that was not frozen to its end.
func (p *Payouts) draftOrGoOn(ctx context.Context, author string) (*BatchDoc, error) {
	if err := p.halted(); err != nil {
		return nil, err
	}
	if open := p.fold.open(); open != nil {
		docs := p.fold.runOf(open)
		if complete(docs) {
			return p.freezeRun(docs)
		}
		for _, d := range docs { // killed between two drafts of one run: nothing was moved
			if _, err := p.undo(d, "the program ended before the whole run was drafted"); err != nil {
				return d, err
			}
		}
	}
	docs, holds, err := p.choose(ctx)
	if err != nil {
		if errors.Is(err, ErrNothing) {
			for _, h := range holds {
				if err := p.postHold(h); err != nil {
					return nil, err
				}
			}
		}
		return nil, err
	}
	if err := p.reconciled(ctx); err != nil {
		return nil, err
	}
	trial := make([]*BatchDoc, len(docs))
	for i, d := range docs {
		trial[i] = d.clone()
	}
	if _, err := p.planRun(ctx, trial); err != nil { // refused now rather than with the amounts frozen
		return nil, err
	}
	for _, h := range holds {
		if err := p.postHold(h); err != nil {
			return nil, err
		}
	}
	for _, d := range docs {
		d.Author = author
	}
	if err := p.postAll(docs, StateDraft, "", func(*BatchDoc) []ledger.Posting { return nil }); err != nil {
		return nil, err
	}
	return p.freezeRun(docs)
}

// complete reports whether all batches of a run are there.
func complete(docs []*BatchDoc) bool {
	want := max(docs[0].Parts, 1)
	if want > 1 {
		want++ // the fan
	}
	return len(docs) == want
}

// choose lists what is owed and due, and the holds that it finds a reason for. Largest amounts come first; what
// does not fit into a run waits for the next one.
func (p *Payouts) choose(ctx context.Context) ([]*BatchDoc, []PayeeDoc, error) {
	balances, err := p.balances()
	if err != nil {
		return nil, nil, err
	}
	denied, err := p.denied()
	if err != nil {
		return nil, nil, err
	}
	now := p.now().UnixMilli()
	paid := p.fold.history()
	direct, err := p.paidDirectly(ctx)
	if err != nil {
		return nil, nil, err
	}
	var due, held []Payee
	var holds []PayeeDoc
	for account, amount := range balances {
		id, side, ok := account.Miner()
		if !ok || side != ledger.Available || amount < p.threshold {
			continue
		}
		doc := p.fold.payee(id)
		last, before := paid[id]
		period, _ := doc.Terms.Period.length()
		if direct[id] || amount < doc.Terms.Threshold || doc.Terms.Paused || before && period > 0 && now >= last.time && now-last.time < period.Milliseconds() {
			continue
		}
		q := Payee{Account: id, Amount: amount, Script: p.fold.destination(p.pool, id, now)}
		hold := func(source, reason string) {
			q.Reason = reason
			if doc.Cleared == reason {
				q.Reason = ""
				return
			}
			doc.Hold = &Hold{Source: source, Reason: reason, Time: now}
			holds = append(holds, doc)
		}
		switch {
		case q.Script == nil:
			q.Reason = "the ledger does not say which script this account is paid to"
		case amount < build.Dust(q.Script, p.dustRate):
			q.Reason = "nodes relay no output this small"
		case doc.Hold != nil:
			q.Reason = "held: " + doc.Hold.Reason
		case denied[string(q.Script)]:
			hold(HoldDenied, "its address is on the deny-list")
		case p.limits.UnknownHold && (!before || last.script != string(q.Script)):
			hold(HoldUnknown, "never paid to "+p.address(q.Script)+" before")
		}
		if q.Reason == "" && p.limits.Payee > 0 && amount > p.limits.Payee {
			q.Reason = fmt.Sprintf("above the limit of %d a payee", p.limits.Payee)
		}
		if q.Script != nil {
			q.Address = p.address(q.Script)
		}
		if q.Reason != "" {
			held = append(held, q)
			continue
		}
		due = append(due, q)
	}
	order := func(a, b Payee) int {
		return cmp.Or(-cmp.Compare(a.Amount, b.Amount), bytes.Compare(a.Script, b.Script), bytes.Compare(a.Account[:], b.Account[:]))
	}
	slices.SortFunc(due, order)
	due, screened, err := p.screened(ctx, due)
	if err != nil {
		return nil, nil, err
	}
	found := len(due)
	for i := range screened {
		doc := p.fold.payee(screened[i].Account)
		if doc.Cleared == screened[i].Reason {
			screened[i].Reason = ""
			due = append(due, screened[i])
			continue
		}
		doc.Hold = &Hold{Source: HoldScreen, Reason: screened[i].Reason, Time: now}
		holds = append(holds, doc)
		held = append(held, screened[i])
	}
	if len(due) > found {
		slices.SortFunc(due, order)
	}
	slices.SortFunc(held, order)
	slices.SortFunc(holds, func(a, b PayeeDoc) int { return bytes.Compare(a.Account[:], b.Account[:]) })
	if len(due) == 0 {
		return nil, holds, ErrNothing
	}
	docs, err := p.divide(due, held)
	if err != nil {
		return nil, nil, err
	}
	return docs, holds, p.withinLimits(docs, now)
}

// maxRun bounds the transactions of a run: with a fan of so many outputs all of them are of standard size.
const maxRun = 500

// divide makes the batches of a run: one, or a fan and its parts.
func (p *Payouts) divide(due, held []Payee) ([]*BatchDoc, error) {
	scripts := make([][]byte, len(due))
	for i := range due {
		scripts[i] = due[i].Script
	}
	ends := build.Split(scripts, p.partWeight)
	left := 0
	if len(ends) > maxRun {
		left = len(due) - ends[maxRun-1]
		ends = ends[:maxRun]
	}
	var docs []*BatchDoc
	var ids []string
	begin := 0
	for i, end := range ends {
		d := &BatchDoc{
			V: docVersion, Pool: p.pool, Seq: p.fold.seq, Threshold: p.threshold, FeeFrom: p.feeFrom,
			Payees: due[begin:end:end], Part: i + 1, Parts: len(ends),
		}
		begin = end
		for _, q := range d.Payees {
			var err error
			if d.Total, err = d.Total.Add(q.Amount); err != nil {
				return nil, err
			}
		}
		d.ID = BatchID(p.pool, d.Seq, d.Payees)
		docs, ids = append(docs, d), append(ids, d.ID)
	}
	run := RunID(p.pool, ids)
	if len(docs) > 1 {
		docs = slices.Insert(docs, 0, &BatchDoc{
			V: docVersion, Pool: p.pool, Kind: KindFan, Parts: len(ends), Seq: p.fold.seq, Threshold: p.threshold,
			FeeFrom: FeeFromPool, ID: helperID(KindFan, p.pool, ids[0], p.fold.seq), Payees: []Payee{},
		})
	}
	for _, d := range docs {
		d.Run = run
	}
	docs[0].Held, docs[0].Left = held, left
	return docs, nil
}

// day is the time that Limits.Day is about.
const day = 24 * time.Hour

// withinLimits holds a run against the limits of runs and days.
func (p *Payouts) withinLimits(docs []*BatchDoc, now int64) error {
	total, err := totalOf(docs)
	if err != nil {
		return err
	}
	if p.limits.Run > 0 && total > p.limits.Run {
		return fmt.Errorf("%w: this run pays %d, the limit of a run is %d", ErrLimit, total, p.limits.Run)
	}
	if p.limits.Day == 0 {
		return nil
	}
	for _, d := range p.fold.batches {
		// A clock that was set back does not open the limit: what seems to come later counts.
		if d.dead() || len(d.Steps) == 0 || d.Steps[0].Time < now-day.Milliseconds() {
			continue
		}
		if total, err = total.Add(d.Total); err != nil {
			return err
		}
	}
	if total > p.limits.Day {
		return fmt.Errorf("%w: with this run %d are paid in 24 hours, the limit is %d", ErrLimit, total, p.limits.Day)
	}
	return nil
}

func totalOf(docs []*BatchDoc) (pool.Amount, error) {
	var total pool.Amount
	for _, d := range docs {
		var err error
		if total, err = total.Add(d.Total); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// freezeRun moves the amounts of a run from available to in payout. When a balance is not there any more the
// whole run is cancelled instead.
func (p *Payouts) freezeRun(docs []*BatchDoc) (*BatchDoc, error) {
	var drafts []*BatchDoc
	for _, d := range docs {
		if d.State == StateDraft {
			drafts = append(drafts, d.clone())
		}
	}
	err := p.postAll(drafts, StateFrozen, "", func(d *BatchDoc) []ledger.Posting { return move(d, ledger.Available, ledger.InPayout) })
	if errors.Is(err, ledger.ErrOverdraft) {
		for _, d := range docs {
			if _, err := p.undo(p.fold.byID[d.ID], "a balance was smaller by the time it was to be frozen"); err != nil {
				return docs[0], err
			}
		}
		err = nil
	}
	return p.fold.byID[docs[0].ID], err
}

// move books every payee's amount from one side of its account to another.
func move(d *BatchDoc, from, to ledger.Side) []ledger.Posting {
	postings := make([]ledger.Posting, 0, len(d.Payees))
	for _, q := range d.Payees {
		postings = append(postings, ledger.Posting{Debit: ledger.Miner(q.Account, from), Credit: ledger.Miner(q.Account, to), Amount: q.Amount})
	}
	return postings
}

// undo cancels a batch of which no transaction can be in anybody's hands: its amounts are available again.
func (p *Payouts) undo(d *BatchDoc, reason string) (*BatchDoc, error) {
	var back []ledger.Posting
	switch {
	case d.dead():
		return d, nil
	case d.loose():
		return d, fmt.Errorf("%w: payout %s is signed or exported", ErrState, d.ID)
	case d.State != StateDraft:
		back = move(d, ledger.InPayout, ledger.Available)
	}
	c := d.clone()
	c.Reason, c.PSBT = reason, nil
	return p.post(c, StateCancelled, "", back)
}
