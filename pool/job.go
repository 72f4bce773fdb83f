package pool

import (
	"encoding/binary"
	"time"
)

// Sizes of what stands in the coinbase script between the epoch and the rest: salt ‖ extranonce1 ‖
// extranonce2. The salt names the issue of a job to a session, so that a header belongs to exactly one
// issued difficulty; on the wire it is the end of coinb1.
const (
	SaltSize        = 4
	Extranonce1Size = 4
	Extranonce2Size = 8
	ExtranonceSize  = SaltSize + Extranonce1Size + Extranonce2Size
)

// LeastMaxCoinbase is the shortest of the coinbases that some kind of miner takes no more than, in bytes
// without witness. Every coinbase with one payee and a fee is shorter.
const LeastMaxCoinbase = 500

// Job is work made from a template, shared by all sessions; it is not changed after it was made.
type Job struct {
	ID                uint64 // counts up within an epoch
	Template          *Template
	Scheme            SchemeID
	Payee             AccountID // SOLO: the account that the coinbase pays, else zero
	Prefix            []byte    // coinbase, non-witness, up to the salt
	Suffix            []byte    // coinbase after extranonce2
	Branch            []Hash    // merkle path of the coinbase, deepest first
	NetworkTarget     Target
	NetworkWork       Work // expected hashes per block: from the job's own nBits
	NetworkDifficulty Difficulty
	Created           time.Time
	Clean             bool // first job on a new tip
}

// CoinbaseSize is the length of the non-witness coinbase in bytes.
func (j *Job) CoinbaseSize() int { return len(j.Prefix) + ExtranonceSize + len(j.Suffix) }

// AppendCoinbase appends the non-witness coinbase.
func (j *Job) AppendCoinbase(dst []byte, salt, extranonce1 uint32, extranonce2 *[8]byte) []byte {
	dst = append(dst, j.Prefix...)
	dst = binary.BigEndian.AppendUint32(dst, salt)
	dst = binary.BigEndian.AppendUint32(dst, extranonce1)
	dst = append(dst, extranonce2[:]...)
	return append(dst, j.Suffix...)
}

// MerkleBranch returns the siblings of the coinbase from the leaves up, for the txids that follow it.
// An odd last node is paired with itself.
func MerkleBranch(txids []Hash) []Hash {
	if len(txids) == 0 {
		return nil
	}
	level := append(make([]Hash, 0, len(txids)+1), Hash{}) // place 0 stands for the coinbase side
	level = append(level, txids...)
	var branch []Hash
	var pair [64]byte
	for len(level) > 1 {
		branch = append(branch, level[1])
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		next := level[:1] // in place: a parent is written below the pair it was read from
		for i := 2; i < len(level); i += 2 {
			copy(pair[:32], level[i][:])
			copy(pair[32:], level[i+1][:])
			next = append(next, DoubleSHA256(pair[:]))
		}
		level = next
	}
	return branch
}

// MerkleRoot folds the coinbase's txid with its branch.
func MerkleRoot(coinbase Hash, branch []Hash) Hash {
	var pair [64]byte
	root := coinbase
	for i := range branch {
		copy(pair[:32], root[:])
		copy(pair[32:], branch[i][:])
		root = DoubleSHA256(pair[:])
	}
	return root
}

// PutHeader writes the 80-byte block header: version, previous block, merkle root, time, bits, nonce,
// integers little-endian.
func PutHeader(h *[80]byte, version uint32, prev, root Hash, ntime, bits, nonce uint32) {
	binary.LittleEndian.PutUint32(h[0:], version)
	copy(h[4:36], prev[:])
	copy(h[36:68], root[:])
	binary.LittleEndian.PutUint32(h[68:], ntime)
	binary.LittleEndian.PutUint32(h[72:], bits)
	binary.LittleEndian.PutUint32(h[76:], nonce)
}
