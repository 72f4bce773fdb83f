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
//	<dir>/<first number, 20 digits>.slices  closed slices, one after another
//	<dir>/open                              checkpoint of the open slice
//	<dir>/scan                              how far the chain was searched for our coinbases
//	<dir>/owner                             name under which this disk holds the lease
//
// A slice, closed or open, is one record. Integers are little-endian, work has 16 bytes, hashes are in
// internal byte order, lists have a 4-byte count before them:
//
//	length of the whole record 4 | crc32c of all that follows 4 |
//	version 1 | reason 1 (0 open, 1 full, 2 block) | number 8 | hash of the record before 32 |
//	block id 32 (zero unless the reason is a block) |
//	earliest share time 8 | latest 8 (Unix ms; 0 without shares) |
//	shares 8 | early 8 | solo 8 | issued work 16 | issued work of solo shares 16 |
//	score 16 | Merkle-sum root 32 |
//	ranges: edge length 1, edge, epoch 8, from 8, to 8, link 32; sorted by edge and epoch
//	extras: epoch 8, sequence 8 (0: not journalled), account 20, credit 16, nBits 4, header hash 16
//	weights: account 20, score 16; sorted by account
//	scripts: account 20, length 2, script; sorted by account; of accounts in no earlier slice
//
// The hash of a record is the SHA-256 of everything behind its crc. A range's link is the hash of the
// last journal block that ends before the range does, zero when there is none: it ties the slices to the
// journals.
//
// The Merkle-sum root is over the weights in their order: a leaf is SHA-256(0x00 ‖ account ‖ score) with
// its score as sum, a node SHA-256(0x01 ‖ left ‖ right ‖ sum of both), pairs are taken from the left and
// an odd last one goes up as it is. Without weights the root is zero.
//
// Closed slices that the checkpoint or the ledger knows of are not lost: damage to them is an error.
// What comes after them is in the streams still, and is folded again.
package settle
