package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/keeper"
	"github.com/adit-pool/adit/pool/redis"
)

// examineTime bounds what is asked of one place.
const examineTime = 10 * time.Second

// examineReward says which script coinbases pay to.
func examineReward(p *PoolConfig, chain pool.Chain, report func(finding)) (script []byte, ok bool) {
	script, err := chain.Script(p.RewardAddress)
	if err != nil {
		report(finding{findingFail, fmt.Sprintf("pool %s: reward_address: %v", p.ID, err), "give an address of this network"})
		return nil, false
	}
	report(finding{findingOK, fmt.Sprintf("pool %s: coinbases pay to %s, an address of %s %s with the script %x", p.ID, p.RewardAddress, p.Coin, p.Network, script), ""})
	return script, true
}

// examineSigner checks that payouts can be made from where rewards go.
func examineSigner(ctx context.Context, cfg *Config, p *PoolConfig, chain pool.Chain, script []byte, report func(finding)) {
	if _, err := sourcesOf(p, script); err != nil {
		report(finding{findingFail, fmt.Sprintf("pool %s: descriptor: %v", p.ID, err), "use both lines that `adit payout address` printed"})
		return
	}
	if c := &cfg.Payout; c.Policy == "none" && c.MaxRun == 0 && c.MaxDay == 0 && (c.Schedule != "" || c.KeyFile != "") {
		report(finding{findingWarn, "payout.policy is none and there is no limit: whoever reaches this machine can have everything paid out at once", "set max_run and max_day, or policy"})
	}
	path := cfg.keyFile(p)
	switch {
	case path == "" && cfg.Payout.Wallet != "":
		examineWallet(ctx, cfg.Payout.Wallet, p, chain, report)
		return
	case path == "" && p.Descriptor != "":
		report(finding{findingOK, fmt.Sprintf("pool %s: reward_address is of the descriptor; payouts are signed elsewhere", p.ID), ""})
		return
	case path == "":
		report(finding{findingWarn, "payout.key_file is not set: payouts must be exported and signed elsewhere", "make a key: adit payout key FILE"})
		return
	}
	key, err := openKeyFile(path, chain.Params())
	switch {
	case err != nil:
		report(finding{findingFail, fmt.Sprintf("pool %s: key_file: %v", p.ID, err), "give the key's file, and its identity file or passphrase"})
	case !bytes.Equal(key.Script(), script):
		report(finding{findingFail, fmt.Sprintf("pool %s: the key file does not sign for reward_address", p.ID), "use the address that `adit payout key` printed with this key"})
	default:
		report(finding{findingOK, fmt.Sprintf("pool %s: the key file signs for reward_address (%s)", p.ID, key.Type()), ""})
	}
}

// examineWallet asks the node's wallet whether reward_address is its own.
func examineWallet(ctx context.Context, wallet string, p *PoolConfig, chain pool.Chain, report func(finding)) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	if len(p.Node) == 0 {
		return // said already
	}
	c, err := p.Node[0].dial(chain, zerolog.Nop())
	if err != nil {
		return // examineNode says it
	}
	defer c.Close()
	var about struct {
		Mine bool `json:"ismine"`
	}
	switch err := c.Wallet(wallet).Call(ctx, "getaddressinfo", &about, p.RewardAddress); {
	case err != nil:
		report(finding{findingFail, fmt.Sprintf("pool %s: wallet %q of node %s: %v", p.ID, wallet, p.Node[0].URL, err), "create or load the wallet on the first node, and let the user call it"})
	case !about.Mine:
		report(finding{findingFail, fmt.Sprintf("pool %s: wallet %q has no key of reward_address", p.ID, wallet), "give an address of that wallet"})
	default:
		report(finding{findingOK, fmt.Sprintf("pool %s: wallet %q has the key of reward_address", p.ID, wallet), ""})
	}
}

// examineEdge checks that an edge pays to where the ledger takes coinbases for the pool's, and that it holds no
// money itself.
func examineEdge(ctx context.Context, cfg *Config, p *PoolConfig, chain pool.Chain, script []byte, report func(finding)) {
	ctx, cancel := context.WithTimeout(ctx, 2*examineTime)
	defer cancel()
	if path := cfg.keyFile(p); path != "" {
		report(finding{findingWarn, fmt.Sprintf("pool %s: payout.key_file is set, and an edge signs nothing", p.ID), "keep the key on the ledger's host only"})
	}
	for j := range p.Node {
		c, err := p.Node[j].dial(chain, zerolog.Nop())
		if err != nil {
			continue // examineNode says it
		}
		has, err := c.HasWallets(ctx)
		c.Close()
		switch {
		case err != nil: // examineNode says what is wrong with the node
		case has:
			report(finding{findingFail, fmt.Sprintf("pool %s: the edge's user can call the wallets of node %s: whoever breaks into the edge has them", p.ID, p.Node[j].URL),
				"run the edge's node with disablewallet=1, or allow the edge's user only what docs/operate.md lists (rpcwhitelist)"})
		default:
			report(finding{findingOK, fmt.Sprintf("pool %s: the edge's user reaches no wallet of node %s", p.ID, p.Node[j].URL), ""})
		}
	}
	store, err := redis.Open(ctx, redis.Options{URL: cfg.Redis.URL, Log: zerolog.Nop()})
	if err != nil {
		return // examineRedis says it
	}
	ledgers, err := store.Ledgers(ctx, p.ID)
	if err := errors.Join(err, store.Close()); err != nil {
		report(finding{findingWarn, fmt.Sprintf("pool %s: %v", p.ID, err), ""})
		return
	}
	if len(ledgers) == 0 {
		report(finding{findingWarn, fmt.Sprintf("pool %s: no ledger reported to this Redis within the last hour: whether one takes this edge's coinbases for the pool's is not known", p.ID), "start the ledger first; if it runs, correct redis.url"})
	}
	for _, l := range ledgers {
		f := finding{findingOK, fmt.Sprintf("pool %s: %s takes coinbases to reward_address for the pool's", p.ID, l.Name), "give both the same reward_address: else blocks of this edge are nobody's"}
		if l.Reward != hex.EncodeToString(script) {
			f.state, f.what = findingFail, fmt.Sprintf("pool %s: %s takes coinbases with the script %s for the pool's, not those of this edge", p.ID, l.Name, l.Reward)
		}
		report(f)
	}
}

// examinePeer checks that the other ledger is where it should be, with the key that it should have.
func examinePeer(ctx context.Context, c *LedgerConfig, poolID string, report func(finding)) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	remote, err := dialLedger(c, poolID)
	if err != nil {
		report(finding{findingFail, err.Error(), "make keys with adit ledger key on both hosts"})
		return
	}
	defer remote.Close()
	switch err := remote.Greet(ctx); {
	case errors.Is(err, keeper.ErrStranger):
		report(finding{findingFail, fmt.Sprintf("pool %s: the ledger at %s: %v", poolID, c.Peer, err), "exchange the peer_key lines that adit ledger key printed, or correct ledger.peer"})
	case err != nil:
		report(finding{findingWarn, fmt.Sprintf("pool %s: the ledger at %s cannot be asked: %v", poolID, c.Peer, err), "start it, or correct ledger.peer; until then nothing is paid"})
	default:
		report(finding{findingOK, fmt.Sprintf("pool %s: the other ledger answers at %s with the configured key", poolID, c.Peer), ""})
	}
}
