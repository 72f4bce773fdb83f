// Package litecoin holds the parameters of Litecoin's networks; package chain does the rest. Since MWEB a
// template's last transaction is the HogEx, which stays last, and a block ends with 0x01 ‖ mweb, which
// the node's answer carries as the template's extension.
package litecoin

import (
	"fmt"
	"strings"
	"time"

	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain"
)

// Coin is the name in the configuration.
const Coin = "litecoin"

// Networks lists the networks that New knows.
func Networks() []string { return []string{"mainnet", "testnet4", "regtest"} }

// New returns Litecoin on a network. Prefixes, genesis and halving are those of Litecoin Core's
// chainparams.cpp (0.21).
func New(network string) (pool.Chain, error) {
	s := chain.Spec{
		Coin: Coin, Network: network, Symbol: "LTC", ForkName: network,
		Maturity: 100, BlockTime: 150 * time.Second,
		FirstSubsidy: 50_0000_0000, HalvingInterval: 840_000,
		TemplateRules: []string{"mweb", "segwit"}, DustRate: 30_000, Kernel: scrypt.Kernel{},
	}
	switch network {
	case "mainnet":
		s.ForkName, s.Mainnet = "main", true
		s.Genesis = "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"
		s.Addresses = addresses("ltc", 0x30, []byte{0x32}, "ltc1…, L… or M…")
	case "testnet4":
		s.ForkName = "test"
		s.Genesis = "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"
		s.Addresses = addresses("tltc", 0x6f, []byte{0x3a, 0xc4}, "tltc1…, m…, n… or Q…")
	case "regtest":
		s.Genesis = "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"
		s.Addresses = addresses("rltc", 0x6f, []byte{0x3a, 0xc4}, "rltc1…, m…, n… or Q…")
		s.HalvingInterval = 150
	default:
		return nil, fmt.Errorf("litecoin has no network %q here: choose one of %s", network, strings.Join(Networks(), ", "))
	}
	return chain.New(s)
}

// addresses is the table of one network, with the others as what they are not.
func addresses(hrp string, pubKeyHash byte, scriptHash []byte, example string) chain.Addresses {
	const mweb = "an MWEB address, which a block's reward and a pool's payout cannot be sent to: give a transparent one"
	return chain.Addresses{
		PubKeyHash: []byte{pubKeyHash}, ScriptHash: scriptHash, HRP: hrp, Example: example,
		Others: []chain.Foreign{
			{Prefix: "ltcmweb1", What: mweb},
			{Prefix: "tmweb1", What: mweb},
			{Prefix: "ltc1", What: "a Litecoin mainnet address"},
			{Prefix: "tltc1", What: "a Litecoin testnet address"},
			{Prefix: "rltc1", What: "a Litecoin regtest address"},
			{Prefix: "bc1", What: "a Bitcoin address"},
			{Prefix: "tb1", What: "a Bitcoin testnet address"},
			{Prefix: "bcrt1", What: "a Bitcoin regtest address"},
		},
		OtherIDs: map[byte]string{
			0x30: "a Litecoin mainnet address", 0x32: "a Litecoin mainnet address",
			0x00: "a Bitcoin address", 0x05: "a Bitcoin address or an old spelling of a Litecoin one: write it with M",
			0x6f: "a test network address", 0x3a: "a Litecoin test network address", 0xc4: "a test network address",
			0x1e: "a Dogecoin address",
		},
	}
}
