// Package bitcoin holds the parameters of Bitcoin's networks; package chain does the rest.
package bitcoin

import (
	"fmt"
	"strings"
	"time"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain"
)

// Coin is the name in the configuration.
const Coin = "bitcoin"

// Networks lists the networks that New knows.
func Networks() []string { return []string{"mainnet", "testnet4", "signet", "regtest", "simnet"} }

// New returns Bitcoin on a network.
func New(network string) (pool.Chain, error) {
	s := chain.Spec{
		Coin: Coin, Network: network, Symbol: "BTC", ForkName: network,
		Maturity: 100, BlockTime: 10 * time.Minute,
		FirstSubsidy: 50_0000_0000, HalvingInterval: 210_000,
		TemplateRules: []string{"segwit"}, Kernel: sha256d.Kernel{},
	}
	switch network {
	case "mainnet":
		s.ForkName, s.Mainnet = "main", true
		s.Genesis = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
		s.Addresses = addresses("bc", 0x00, 0x05, "bc1…, 1… or 3…")
	case "testnet4":
		s.Genesis = "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"
		s.Addresses = addresses("tb", 0x6f, 0xc4, "tb1…, m…, n… or 2…")
	case "signet":
		s.Genesis = "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"
		s.Addresses = addresses("tb", 0x6f, 0xc4, "tb1…, m…, n… or 2…")
		s.TemplateRules = []string{"segwit", "signet"}
	case "regtest":
		s.Genesis = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
		s.Addresses = addresses("bcrt", 0x6f, 0xc4, "bcrt1…, m…, n… or 2…")
		s.HalvingInterval = 150
	case "simnet": // btcd's private network
		s.Genesis = "683e86bd5c6d110d91b94b97137ba6bfe02dbbdb8e3dff722a669b5d69d77af6"
		s.Addresses = addresses("sb", 0x3f, 0x7b, "sb1…, S… or r…")
	default:
		return nil, fmt.Errorf("bitcoin has no network %q here: choose one of %s", network, strings.Join(Networks(), ", "))
	}
	return chain.New(s)
}

// addresses is the table of one network, with the others as what they are not.
func addresses(hrp string, pubKeyHash, scriptHash byte, example string) chain.Addresses {
	return chain.Addresses{
		PubKeyHash: []byte{pubKeyHash}, ScriptHash: []byte{scriptHash}, HRP: hrp, Example: example,
		Others: []chain.Foreign{
			{Prefix: "bc1", What: "a Bitcoin mainnet address"},
			{Prefix: "tb1", What: "a Bitcoin testnet or signet address"},
			{Prefix: "bcrt1", What: "a Bitcoin regtest address"},
			{Prefix: "sb1", What: "a Bitcoin simnet address"},
			{Prefix: "ltc1", What: "a Litecoin address"},
			{Prefix: "tltc1", What: "a Litecoin testnet address"},
			{Prefix: "bitcoincash:", What: "a Bitcoin Cash address"},
		},
		OtherIDs: map[byte]string{
			0x00: "a Bitcoin mainnet address", 0x05: "a Bitcoin mainnet address",
			0x6f: "a Bitcoin test network address", 0xc4: "a Bitcoin test network address",
			0x3f: "a Bitcoin simnet address", 0x7b: "a Bitcoin simnet address",
			0x30: "a Litecoin address", 0x32: "a Litecoin address", 0x1e: "a Dogecoin address",
		},
	}
}
