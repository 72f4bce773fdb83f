package pool

import "time"

// Params are the constants of one coin on one network.
type Params struct {
	Coin, Network string // "bitcoin", "simnet"
	Symbol        string // "BTC"
	Decimals      int    // of one coin in base units
	Genesis       Hash
	Maturity      int64         // confirmations before a coinbase output can be spent
	BlockTime     time.Duration // aimed at by the retarget rule
	DiffOne       Target        // target of stratum difficulty 1
	Mainnet       bool          // real money: refused by --dev
	Algorithm     string        // proof of work, as kernels are named: "sha256d", "scrypt"
	SeparatePow   bool          // the proof-of-work hash is dear and is not the block id (scrypt)
	TemplateRules []string      // rules to name in getblocktemplate
	DustRate      Amount        // relay rate that the nodes' dust rule goes by, base units per 1000 virtual bytes
	ForkName      string        // name in getblockchaininfo's "chain" ("main", "regtest"), "" when the node has none
}

// Output is one transaction output.
type Output struct {
	Script []byte
	Value  Amount
}

// CoinbaseSpec says what goes into a coinbase beside what the template dictates.
type CoinbaseSpec struct {
	Tag            string   // shown to the world in the script
	Epoch          uint64   // journal epoch, stands (big-endian) directly before the extranonce
	ExtranonceSize int      // bytes left free for salt, extranonce1 and extranonce2
	Aux            []byte   // auxiliary commitment, at most MaxAuxSize bytes
	Outputs        []Output // must add up to the template's CoinbaseValue
}

// MaxAuxSize is the room that every coinbase script keeps for a merged-mining commitment.
const MaxAuxSize = 44

// CoinbaseTx is what a block on chain says its coinbase paid.
type CoinbaseTx struct {
	TxID    Hash
	Script  []byte // input script
	Outputs []Output
}

// Chain is one coin on one network: pure rules, no I/O. It is safe for concurrent use.
type Chain interface {
	Params() *Params
	// Script returns the canonical output script of an address of this network. The error says what is
	// wrong with the address in words for its owner.
	Script(address string) ([]byte, error)
	// Address returns the usual spelling of a standard output script.
	Address(script []byte) (string, error)
	// Subsidy is what a block at height may create, without fees.
	Subsidy(height int64) Amount
	// Coinbase builds the coinbase transaction in non-witness form around ExtranonceSize free bytes:
	// prefix ‖ extranonce ‖ suffix. It fails when the input script would not have 2..100 bytes or the
	// outputs do not add up.
	Coinbase(t *Template, spec *CoinbaseSpec) (prefix, suffix []byte, err error)
	// Block appends the complete block for submitblock: header, coinbase (given in non-witness form, sent
	// in witness form where the template has a commitment), transactions, extension.
	Block(dst []byte, t *Template, header *[80]byte, coinbase []byte) ([]byte, error)
	// ParseCoinbase reads the coinbase of a serialised block.
	ParseCoinbase(block []byte) (CoinbaseTx, error)
	// PowHash is the proof-of-work hash of a header; its number must not exceed the target.
	PowHash(header *[80]byte) Hash
	// PowHashes sets out[i] to the proof-of-work hash of headers[i]. Where it is dear, many at a time
	// cost less a piece.
	PowHashes(headers [][80]byte, out []Hash)
	// BlockID is the hash by which the network names a header.
	BlockID(header *[80]byte) Hash
	// MerkleRoots sets roots[i] to coinbases[i], in non-witness form, folded with the branch: [MerkleRoot] of
	// its id. Several of one job cost less a piece.
	MerkleRoots(coinbases [][]byte, branch []Hash, roots []Hash)
}
