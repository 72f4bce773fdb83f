// Package chain holds what all coins of Bitcoin's kind share: addresses and scripts, the coinbase
// transaction, and the serialisation of blocks. A coin is a [Spec]: a small set of parameters in a
// folder of its own (pool/chain/bitcoin); package all lists the coins. It is pure: it talks to no node
// and knows no accounts.
//
// The input script of a coinbase made here, with lengths in bytes:
//
//	height 1..5 | coinbaseaux | 1+tag | 1 push opcode | epoch 8 | extranonce | auxiliary commitment 0..44
//	            └ from the template, left out when it does not fit     └ prefix ends, suffix begins
//
// Lock time and sequence are set as BIP54 will require: height-1 and 0xfffffffe.
package chain

import (
	"fmt"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool"
)

// Spec is all that tells one coin of Bitcoin's kind on one network from another.
type Spec struct {
	Coin, Network, Symbol string
	ForkName              string // in getblockchaininfo, see [pool.Params]
	Genesis               string // block id, display order
	Mainnet               bool
	Maturity              int64
	BlockTime             time.Duration
	FirstSubsidy          pool.Amount // of block 0
	HalvingInterval       int64       // blocks
	DustRate              pool.Amount // see [pool.Params]; 0 is Bitcoin Core's 3 000
	TemplateRules         []string
	Kernel                kernels.Kernel // proof of work
	Addresses             Addresses
}

// Coin is one coin on one network. It implements [pool.Chain] and has no mutable state.
type Coin struct {
	params    pool.Params
	subsidy   pool.Amount
	halving   int64
	kernel    kernels.Kernel
	addresses Addresses
}

var _ pool.Chain = (*Coin)(nil)

// New returns the coin that s describes.
func New(s Spec) (*Coin, error) {
	genesis, err := pool.ParseHash(s.Genesis)
	if err != nil {
		return nil, fmt.Errorf("genesis of %s %s: %w", s.Coin, s.Network, err)
	}
	if s.HalvingInterval <= 0 || s.FirstSubsidy <= 0 || s.Kernel == nil || len(s.Addresses.PubKeyHash) == 0 || len(s.Addresses.ScriptHash) == 0 {
		return nil, fmt.Errorf("parameters of %s %s are not complete", s.Coin, s.Network)
	}
	if s.DustRate == 0 {
		s.DustRate = 3000
	}
	one, err := pool.ParseTarget(fmt.Sprintf("%x", s.Kernel.Diff1()))
	if err != nil {
		return nil, fmt.Errorf("difficulty 1 of %s: %w", s.Kernel.Name(), err)
	}
	return &Coin{
		params: pool.Params{
			Coin: s.Coin, Network: s.Network, Symbol: s.Symbol, Decimals: 8, Genesis: genesis,
			Maturity: s.Maturity, BlockTime: s.BlockTime, DiffOne: one, Mainnet: s.Mainnet,
			TemplateRules: s.TemplateRules, DustRate: s.DustRate, ForkName: s.ForkName,
			Algorithm: s.Kernel.Name(), SeparatePow: s.Kernel.Name() != "sha256d",
		},
		subsidy: s.FirstSubsidy, halving: s.HalvingInterval, kernel: s.Kernel, addresses: s.Addresses,
	}, nil
}

// Params are the coin's constants; they are not to be changed.
func (c *Coin) Params() *pool.Params { return &c.params }

// Subsidy halves the first subsidy every HalvingInterval blocks, down to 0.
func (c *Coin) Subsidy(height int64) pool.Amount {
	halvings := height / c.halving
	if height < 0 || halvings >= 64 {
		return 0
	}
	return c.subsidy >> halvings
}

// PowHash is the kernel's hash of the header.
func (c *Coin) PowHash(header *[80]byte) pool.Hash { return c.kernel.Hash(header) }

// PowHashes hashes in batches where the kernel can.
func (c *Coin) PowHashes(headers [][80]byte, out []pool.Hash) {
	many, ok := c.kernel.(kernels.Batch)
	if !ok {
		for i := range headers {
			out[i] = c.kernel.Hash(&headers[i])
		}
		return
	}
	var hashes [64][32]byte
	for len(headers) > 0 {
		n := min(len(headers), len(hashes))
		many.HashBatch(headers[:n], hashes[:n])
		for i := range n {
			out[i] = hashes[i]
		}
		headers, out = headers[n:], out[n:]
	}
}

// BlockID is SHA-256d of the header, whatever the proof of work is.
func (c *Coin) BlockID(header *[80]byte) pool.Hash { return sha256d.SumHeader(header) }

// MerkleRoots is by the kernel's SHA-256d, which is sooner done than the standard library's, and two at a
// time: it is most of what a share costs.
func (c *Coin) MerkleRoots(coinbases [][]byte, branch []pool.Hash, roots []pool.Hash) {
	for i, b := range coinbases {
		roots[i] = sha256d.Sum(b)
	}
	n := len(coinbases)
	for i := 0; i+1 < n; i += 2 {
		for k := range branch {
			sha256d.Sum64Pair((*[32]byte)(&roots[i]), (*[32]byte)(&roots[i+1]), (*[32]byte)(&branch[k]))
		}
	}
	if n%2 > 0 {
		last := (*[32]byte)(&roots[n-1])
		for k := range branch {
			sha256d.Sum64(last, last, (*[32]byte)(&branch[k]))
		}
	}
}
