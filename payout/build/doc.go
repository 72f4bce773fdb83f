// Package build decides transactions: which coins are spent, where change goes, how a run is divided, and what
// the fee is and who bears it. It is arithmetic alone: the same order gives the same transaction. It knows no
// ledger, no node and no keys.
//
// A transaction's outputs are: what is fixed (batons first), payees by script, change. Coins that must be
// spent come first among the inputs.
package build
