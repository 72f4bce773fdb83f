package ledger

import (
	"slices"

	"github.com/adit-pool/adit/pool"
)

// CreditPostings is what a block brings once it is in the active chain.
func (doc *BlockDoc) CreditPostings() []Posting {
	out := make([]Posting, 0, len(doc.Credits)+2)
	for _, c := range doc.Credits {
		out = append(out, Posting{Debit: CoinbaseImmature, Credit: MinerImmature(c.Account), Amount: c.Amount})
	}
	out = appendPosting(out, CoinbaseImmature, PoolFeeImmature, doc.Fee)
	out = appendPosting(out, CoinbaseImmature, Carry, doc.Carry)
	return doc.appendDirect(out, CoinbaseImmature)
}

// appendDirect is what the coinbase itself paid of the pool's debts: through what is in payout, so that it counts as
// paid, and out of the asset that the rest of the coinbase is.
func (doc *BlockDoc) appendDirect(out []Posting, from Account) []Posting {
	if doc.Direct == 0 {
		return out
	}
	for _, c := range doc.PaidByCoinbase {
		out = append(out, Posting{Debit: MinerAvailable(c.Account), Credit: MinerInPayout(c.Account), Amount: c.Amount},
			Posting{Debit: MinerInPayout(c.Account), Credit: from, Amount: c.Amount})
	}
	return out
}

// MaturePostings moves it to where it can be paid from.
func (doc *BlockDoc) MaturePostings() []Posting {
	out := make([]Posting, 0, len(doc.Credits)+2)
	for _, c := range doc.Credits {
		out = append(out, Posting{Debit: MinerImmature(c.Account), Credit: MinerAvailable(c.Account), Amount: c.Amount})
	}
	out = appendPosting(out, PoolFeeImmature, PoolFee, doc.Fee)
	return appendPosting(out, Wallet, CoinbaseImmature, doc.Value)
}

// LateReversal takes back credit and maturity in one.
func (doc *BlockDoc) LateReversal() []Posting {
	out := make([]Posting, 0, len(doc.Credits)+2)
	for _, c := range doc.Credits {
		out = append(out, Posting{Debit: MinerAvailable(c.Account), Credit: Wallet, Amount: c.Amount})
	}
	out = appendPosting(out, PoolFee, Wallet, doc.Fee)
	out = appendPosting(out, Carry, Wallet, doc.Carry)
	return append(out, Reversed(doc.appendDirect(nil, Wallet))...)
}

// Reversed turns every posting round.
func Reversed(postings []Posting) []Posting {
	out := slices.Clone(postings)
	for i := range out {
		out[i].Debit, out[i].Credit = out[i].Credit, out[i].Debit
	}
	return out
}

func appendPosting(out []Posting, debit, credit Account, amount pool.Amount) []Posting {
	if amount == 0 {
		return out
	}
	return append(out, Posting{Debit: debit, Credit: credit, Amount: amount})
}

// Overdrafts lists the accounts that postings would leave below zero, as the book stands now.
func (b *Book) Overdrafts(postings []Posting) []Account {
	change := make(map[Account]pool.Amount)
	for _, p := range postings {
		if p.Debit.DebitNormal() {
			change[p.Debit] += p.Amount
		} else {
			change[p.Debit] -= p.Amount
		}
		if p.Credit.DebitNormal() {
			change[p.Credit] -= p.Amount
		} else {
			change[p.Credit] += p.Amount
		}
	}
	var out []Account
	for account, by := range change {
		if by < 0 && b.Balance(account)+by < 0 {
			out = append(out, account)
		}
	}
	slices.Sort(out)
	return out
}
