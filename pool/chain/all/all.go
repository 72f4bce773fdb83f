// Package all lists the coins. A new coin is one folder beside it and one line in coins.
package all

import (
	"fmt"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
	"github.com/adit-pool/adit/pool/chain/litecoin"
)

type coin struct {
	name     string
	networks []string
	open     func(network string) (pool.Chain, error)
}

func coins() []coin {
	return []coin{
		{bitcoin.Coin, bitcoin.Networks(), bitcoin.New},
		{litecoin.Coin, litecoin.Networks(), litecoin.New},
	}
}

// Supported lists every coin and network as "bitcoin mainnet".
func Supported() []string {
	var list []string
	for _, c := range coins() {
		for _, n := range c.networks {
			list = append(list, c.name+" "+n)
		}
	}
	return list
}

// Find returns the rules of a coin on a network. The error names what there is, and says of some coins
// that cannot be mined why not.
func Find(name, network string) (pool.Chain, error) {
	for _, c := range coins() {
		if c.name != name {
			continue
		}
		chain, err := c.open(network)
		if err != nil {
			return nil, fmt.Errorf("find coin: %w", err)
		}
		return chain, nil
	}
	return nil, fmt.Errorf("find coin: %s; supported are %s", whyNot(name), strings.Join(Supported(), ", "))
}

// whyNot says why a coin is not among coins.
func whyNot(name string) string {
	switch strings.ToLower(name) {
	case "":
		return "no coin is named"
	case "ethereum", "eth":
		return "ethereum has used proof of stake since 2022 and cannot be mined"
	case "cardano", "ada", "solana", "sol", "polkadot", "dot", "tron", "trx", "bnb", "avalanche", "avax", "cosmos", "atom", "tezos", "xtz", "algorand", "algo":
		return fmt.Sprintf("%s uses proof of stake: a mining pool has nothing to do there", name)
	case "ripple", "xrp", "stellar", "xlm":
		return fmt.Sprintf("%s has no mining: its units were all made at its start", name)
	case "btc", "xbt", "bitcoin":
		return fmt.Sprintf("coin %q is spelt bitcoin here", name)
	}
	return fmt.Sprintf("coin %.40q is not known here", name)
}
