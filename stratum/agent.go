package stratum

import (
	"strings"

	"github.com/adit-pool/adit/pool"
)

// kind is what one kind of miner is known to need, told by what it calls itself. The sizes were tested by
// OCEAN-xyz/datum_gateway (commit 0048082c01344c08e4396013b368a82036d5ee41, src/datum_stratum.c,
// datum_stratum_fingerprint_by_UA, and datum_coinbaser.c); NerdMiner's follows from the 4096 bytes that it
// reads of a mining.notify (BitMaker-hub/NerdMiner_v2, src/stratum.cpp).
type kind struct {
	agent       string          // in lower case, how it begins
	anywhere    bool            // or where else it stands
	maxCoinbase int             // bytes
	least       pool.Difficulty // on SHA-256d chains, 0 for any
}

// otherKind is what unknown miners get: stock firmware of the Antminer S19 takes no more.
const otherKind = 730

var kinds = [...]kind{
	{agent: "nicehash/", maxCoinbase: pool.LeastMaxCoinbase, least: 524288},
	{agent: "antminer s21/", maxCoinbase: 2250},
	{agent: "bosminer", anywhere: true, maxCoinbase: 2250},
	{agent: "whatsminer/", maxCoinbase: 6500},
	{agent: "powerplay-bm/", maxCoinbase: 16 << 10}, // ePIC
	{agent: "xminer-1.", maxCoinbase: 16 << 10},     // vnish
	{agent: "bitaxe", maxCoinbase: 16 << 10},
	{agent: "nerdminer", maxCoinbase: 1400},
}

// kindOf finds what an agent's kind needs.
func kindOf(agent string) kind {
	agent = strings.ToLower(agent)
	for _, k := range kinds {
		if strings.HasPrefix(agent, k.agent) || k.anywhere && strings.Contains(agent, k.agent) {
			return k
		}
	}
	return kind{maxCoinbase: otherKind}
}

// suit fits a session to its kind of miner.
func (c *Conn) suit() {
	k := kindOf(c.session.Agent)
	c.session.MaxCoinbase, c.session.Least = k.maxCoinbase, 0
	if c.Params().Algorithm == "sha256d" {
		c.session.Least = k.least
	}
}
