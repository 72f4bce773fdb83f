// Package settle turns shares into money: it folds the edges' streams into slices, follows found blocks
// through their states, and posts what they pay to the ledger. One settler works at a time. It knows
// schemes, nodes and Redis only through interfaces.
//
// # The order
//
// Shares of many edges have no natural order. The chain of slices is the order: a slice says, for every
// (edge, epoch), which half-open range of sequences it took in, and sums scores by account. A share's
// score is floor(credit * 2^64 / Wn), Wn being the expected hashes per block of the share's own nBits. A
// slice closes when its score reaches 2^64/1024, or when a block is found: then the share that found it
// is the last in it, also when its stream has not been folded that far; it is listed as an extra and
// skipped when the fold comes to it. Early shares and SOLO shares are counted but have no score.
//
// # Files
//
//	<dir>/<first number, 20 digits>.slices  closed slices, one after another, as package slice writes them
//	<dir>/open                              checkpoint of the open slice
//	<dir>/scan                              how far the chain was searched for our coinbases
//
// Closed slices that the checkpoint or the ledger knows of are not lost: damage to them is an error.
// What comes after them is in the streams still, and is folded again.
package settle
