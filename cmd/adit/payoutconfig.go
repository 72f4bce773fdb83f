package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/audit"
)

// PayoutConfig is how miners are paid.
type PayoutConfig struct {
	Threshold        int64            `toml:"threshold"`
	KeyFile          string           `toml:"key_file"`
	Wallet           string           `toml:"wallet"`
	Policy           string           `toml:"policy"`
	MaxPayee         int64            `toml:"max_payee"`
	MaxRun           int64            `toml:"max_run"`
	MaxDay           int64            `toml:"max_day"`
	UnknownPayees    string           `toml:"unknown_payees"`
	FeeFrom          string           `toml:"fee_from"`
	FeeTarget        int              `toml:"fee_target"`
	FeeRate          int64            `toml:"fee_rate"`
	FeeCeiling       int64            `toml:"fee_ceiling"`
	SweepBelow       int64            `toml:"sweep_below"`
	Schedule         string           `toml:"schedule"`
	DenyFile         string           `toml:"deny_file"`
	Screen           string           `toml:"screen"`
	ConfirmDepth     int64            `toml:"confirm_depth"`
	FinalDepth       int64            `toml:"final_depth"`
	Baton            string           `toml:"baton"`
	DestinationHours int64            `toml:"destination_hours"`
	Approver         []ApproverConfig `toml:"approver"`
}

// ApproverConfig is one person whose approvals count.
type ApproverConfig struct {
	Name string `toml:"name"`
	Key  string `toml:"key"`
}

// defaultPayout is what a configuration file may leave out.
func defaultPayout() PayoutConfig {
	return PayoutConfig{
		Threshold: defaultThreshold, Policy: string(payout.PolicyNone), UnknownPayees: "pay", FeeFrom: payout.FeeFromPool,
		FeeTarget: 6, FeeRate: 2_000, FeeCeiling: 200_000, ConfirmDepth: 6, FinalDepth: 100, DestinationHours: 72,
	}
}

func (c *PayoutConfig) check() error {
	if c.Threshold < 1 {
		return fmt.Errorf("payout.threshold is %d: give base units above 0", c.Threshold)
	}
	if c.UnknownPayees != "pay" && c.UnknownPayees != "hold" {
		return fmt.Errorf("payout.unknown_payees %q: use pay or hold", c.UnknownPayees)
	}
	if c.FeeFrom != payout.FeeFromPool && c.FeeFrom != payout.FeeFromPayees {
		return fmt.Errorf("payout.fee_from %q: use pool or payees", c.FeeFrom)
	}
	if p := payout.Policy(c.Policy); p != payout.PolicyNone && p != payout.PolicyOne && p != payout.PolicyTwo {
		return fmt.Errorf("payout.policy %q: use none, one or two", c.Policy)
	}
	if c.KeyFile != "" && c.Wallet != "" {
		return fmt.Errorf("payout: give key_file or wallet, not both")
	}
	if c.DestinationHours < 1 {
		return fmt.Errorf("payout.destination_hours is %d: a change of address must wait at least an hour", c.DestinationHours)
	}
	if _, err := payout.ParseSchedule(c.Schedule); err != nil {
		return fmt.Errorf("payout.%w", err)
	}
	for i, a := range c.Approver {
		if _, err := sign.ParsePublic(a.Key); err != nil || a.Name == "" {
			return fmt.Errorf("payout.approver[%d]: give name and key as `adit payout approver` printed them", i)
		}
	}
	_, err := c.baton()
	return err
}

func (c *PayoutConfig) baton() (*build.Outpoint, error) {
	if c.Baton == "" {
		return nil, nil
	}
	o, err := payout.ParseCoin(c.Baton)
	if err != nil {
		return nil, fmt.Errorf("payout.baton: %w, as `adit payout show` printed it", err)
	}
	return &o, nil
}

// sourcesOf says what a pool's rewards are locked by: the descriptor, when there is one, else the address itself.
func sourcesOf(p *PoolConfig, reward []byte) ([]sign.Source, error) {
	if p.Descriptor == "" {
		return nil, nil
	}
	s, err := sign.ParseDescriptor(p.Descriptor)
	if err != nil {
		return nil, err
	}
	if string(s.Script) != string(reward) {
		return nil, fmt.Errorf("descriptor is of another address than reward_address")
	}
	return []sign.Source{s}, nil
}

// payoutOptions turns configuration into options; the book is set when this role is active.
func (r *room) payoutOptions(cfg *Config) (payout.Options, error) {
	c := &cfg.Payout
	o := payout.Options{
		Pool: r.cfg.ID, Chain: r.chain, Node: payout.FromClient(r.clients[0]), RewardScript: r.reward,
		CoinbasePayees: int(r.cfg.CoinbasePayees), Threshold: r.threshold, FeeTarget: c.FeeTarget, FeeRate: pool.Amount(c.FeeRate),
		FeeCeiling: pool.Amount(c.FeeCeiling), ConfirmDepth: c.ConfirmDepth, FinalDepth: c.FinalDepth,
		Policy: payout.Policy(c.Policy), FeeFrom: c.FeeFrom, SweepBelow: pool.Amount(c.SweepBelow),
		Limits: payout.Limits{
			Payee: pool.Amount(c.MaxPayee), Run: pool.Amount(c.MaxRun), Day: pool.Amount(c.MaxDay), UnknownHold: c.UnknownPayees == "hold",
		},
		DenyFile: c.DenyFile, Screen: strings.Fields(c.Screen), OrderHold: time.Duration(c.DestinationHours) * time.Hour, Log: r.log,
		Audit: func(context.Context) ([]payout.Difference, error) { return auditOf(r.dir, r.cfg.ID) },
	}
	var err error
	if o.Baton, err = c.baton(); err != nil {
		return o, err
	}
	for _, a := range c.Approver {
		key, err := sign.ParsePublic(a.Key)
		if err != nil {
			return o, err
		}
		o.Approvers = append(o.Approvers, payout.Approver{Name: a.Name, Key: key})
	}
	if o.Sources, err = sourcesOf(r.cfg, r.reward); err != nil {
		return o, err
	}
	if c.Wallet != "" {
		o.Signer = sign.Wallet{Calls: r.clients[0].Wallet(c.Wallet)}
	}
	var keys sign.Keys
	for _, path := range append([]string{cfg.keyFile(r.cfg)}, r.cfg.earlierKeys()...) {
		if path == "" {
			continue
		}
		key, err := openKeyFile(path, r.chain.Params())
		if err != nil {
			return o, fmt.Errorf("key file %s: %w", path, err)
		}
		keys = append(keys, key)
	}
	if len(keys) > 0 {
		o.Signer = keys
	}
	return o, nil
}

// auditOf checks what the ledger was made from.
func auditOf(dir, id string) ([]payout.Difference, error) {
	a, err := audit.Run(audit.Options{Dir: dir, Pool: id, Schemes: splitter})
	if err != nil {
		return nil, err
	}
	var all []payout.Difference
	for _, p := range a.Problems {
		all = append(all, payout.Difference{What: p.Error()})
	}
	return all, nil
}

// earlierKeys are the key files of reward addresses of before.
func (p *PoolConfig) earlierKeys() []string {
	var all []string
	for path := range strings.SplitSeq(p.EarlierKeyFiles, ",") {
		if path = strings.TrimSpace(path); path != "" {
			all = append(all, path)
		}
	}
	return all
}

// anchorList makes the relative paths of a comma-separated list start at dir.
func anchorList(list, dir string) string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		if p = strings.TrimSpace(p); p != "" && !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		parts[i] = p
	}
	return strings.Join(parts, ",")
}

// devPayout pays small amounts soon and asks nobody: the coins of --dev are worth nothing.
func devPayout(keyFile string) PayoutConfig {
	c := defaultPayout()
	c.KeyFile = keyFile
	return c
}
