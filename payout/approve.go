package payout

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool/ledger"
)

// Policy says how many people must approve a run.
type Policy string

// The policies.
const (
	PolicyNone Policy = "none" // the system account approves, within the limits
	PolicyOne  Policy = "one"
	PolicyTwo  Policy = "two"
)

// needs is how many people's approvals a policy asks for.
func (p Policy) needs() int {
	switch p {
	case PolicyOne:
		return 1
	case PolicyTwo:
		return 2
	}
	return 0
}

// Approver is a person whose approvals count.
type Approver struct {
	Name string
	Key  ed25519.PublicKey
}

// ApprovalText is what a person signs by ed25519 to approve a thing: a run by its id, or a release or a case by
// the words that the command prints. Any change of a run gives it another id.
func ApprovalText(poolID, thing string) []byte {
	return []byte("adit payout approval 1\npool: " + poolID + "\napproves: " + thing + "\n")
}

// approvalBy checks one person's approval of a thing that author asked for and others approved before.
func (p *Payouts) approvalBy(thing, author string, before []Approval, by string, signature []byte) (Approval, error) {
	i := slices.IndexFunc(p.approvers, func(a Approver) bool { return strings.EqualFold(a.Name, by) })
	switch {
	case i < 0:
		return Approval{}, fmt.Errorf("%w: %.64q has no key on file", ErrApproval, by)
	case strings.EqualFold(strings.TrimSpace(author), by):
		return Approval{}, fmt.Errorf("%w: %s is the author, somebody else must approve", ErrApproval, by)
	case slices.ContainsFunc(before, func(a Approval) bool { return strings.EqualFold(a.By, by) }):
		return Approval{}, fmt.Errorf("%w: %s has approved already", ErrApproval, by)
	case !ed25519.Verify(p.approvers[i].Key, ApprovalText(p.pool, thing), signature):
		return Approval{}, fmt.Errorf("%w: the signature is not %s's over %s", ErrApproval, by, thing)
	}
	return Approval{By: p.approvers[i].Name, Policy: string(p.policy), Time: p.now().UnixMilli(), Signature: build.Hex(signature)}, nil
}

// Approve takes a person's approval of a frozen run. With the last one that the policy asks for the run is
// approved. An approval that is there already is left as it is.
func (p *Payouts) Approve(ctx context.Context, id, by string, signature []byte) (*BatchDoc, error) {
	return p.step(ctx, id, StateFrozen, func(_ context.Context, docs []*BatchDoc) error {
		if p.policy == PolicyNone {
			return fmt.Errorf("%w: the policy is none, nobody has to approve", ErrApproval)
		}
		if err := p.guard(docs); err != nil {
			return err
		}
		first := docs[0]
		for i := len(docs) - 1; i >= 0; i-- { // the first batch last: it tells whether all were done
			a, err := p.approvalBy(first.run(), first.Author, docs[i].Approvals, by, signature)
			if err != nil {
				if i > 0 && slices.ContainsFunc(docs[i].Approvals, func(a Approval) bool { return strings.EqualFold(a.By, by) }) {
					continue // killed between two of them
				}
				return err
			}
			if err := p.approved(docs[i], a, p.policy.needs()); err != nil {
				return err
			}
		}
		return nil
	})
}

// approved books an approval, and the state when it was the last.
func (p *Payouts) approved(d *BatchDoc, a Approval, needs int) error {
	c := d.clone()
	c.Approvals = append(c.Approvals, a)
	state := StateFrozen
	if len(c.Approvals) >= needs {
		state = StateApproved
	}
	_, err := p.post(c, state, "approved by "+a.By, nil)
	return err
}

// approveSystem approves a run in the name of the system when the policy asks no person.
func (p *Payouts) approveSystem(_ context.Context, docs []*BatchDoc) error {
	if p.policy != PolicyNone {
		return fmt.Errorf("%w: %d of %d people have approved run %s", ErrApproval, len(docs[0].Approvals), p.policy.needs(), docs[0].run())
	}
	if err := p.guard(docs); err != nil {
		return err
	}
	var frozen []*BatchDoc
	for _, d := range docs {
		if d.State == StateFrozen {
			c := d.clone()
			c.Approvals = append(c.Approvals, Approval{By: SystemAccount, Policy: string(PolicyNone), Time: p.now().UnixMilli()})
			frozen = append(frozen, c)
		}
	}
	return p.postAll(frozen, StateApproved, "approved by "+SystemAccount, func(*BatchDoc) []ledger.Posting { return nil })
}

// enough reports whether a run has the approvals that the policy of now asks for, each of them right.
func (p *Payouts) enough(d *BatchDoc) error {
	if p.policy == PolicyNone || d.V == docOldest {
		return nil
	}
	var good []Approval
	for _, a := range d.Approvals {
		if a.By == SystemAccount && len(a.Signature) == 0 {
			continue
		}
		if _, err := p.approvalBy(d.run(), d.Author, good, a.By, a.Signature); err != nil {
			return fmt.Errorf("approval of run %s: %w", d.run(), err)
		}
		good = append(good, a)
	}
	if len(good) < p.policy.needs() {
		return fmt.Errorf("%w: %d of %d people have approved run %s", ErrApproval, len(good), p.policy.needs(), d.run())
	}
	return nil
}
