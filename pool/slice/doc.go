// Package slice is the order of a pool's shares as it lies on disk: a chain of slices, each the sums of a
// stretch of shares. It writes, reads and checks them, adds up windows and proves what is in one. What
// goes into a slice, and when one ends, is for package settle.
//
// # The record
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
// an odd last one goes up as it is. Without weights the root is zero. A second tree stands over all slices;
// its leaf is SHA-256(0x00 ‖ number ‖ hash of the record ‖ Merkle-sum root), its node SHA-256(0x01 ‖ left ‖ right).
package slice
