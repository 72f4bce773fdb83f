// Package payout pays what the ledger owes: it turns available balances into one transaction a run and
// follows it until it is final.
//
// A payout is a batch that walks through states:
//
//	draft → frozen → approved → built → signed → broadcast → confirmed → final
//
// with the side exits cancelled, replaced and conflicted. Each step is one ledger entry (kind
// payout.<state>, key payout:<id>:<state>) that is on disk before the step is acted on and holds all that
// the step decided. A batch's state is the body of its newest entry; nothing is kept elsewhere, so a
// process that is killed anywhere goes on from the book.
//
// Three things keep a batch from being paid twice. A batch is its inputs: all of them are segwit, so the
// transaction id is known and stored before anything is signed, and a retry can only send the same bytes
// again. Each payout spends the baton, a small output made by the payout before it, so that two
// histories of one ledger conflict on chain instead of both paying. And no batch starts while an earlier
// one is not confirmed, cancelled or resolved by a person.
//
// The package asks no wallet: it selects coins by itself from the pool's mature coinbase outputs and the
// change of earlier payouts, and signs through a [Signer]. Rewards, holds set by people, approval by
// people, fee bumps and multisig are not here.
package payout
