// Package sign knows what the pool's coins are locked by and what unlocks them: output descriptors, key
// files, the keys that people approve payouts with, a node's wallet, and signatures that come back in a PSBT
// (BIP 174) from elsewhere. It knows no batches, no ledger and no balances.
//
// Only signatures of sighash ALL (taproot: DEFAULT) leave it, and only for the unsigned transaction that was
// asked for.
package sign
