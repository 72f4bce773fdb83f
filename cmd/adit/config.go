package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/all"
)

// Config is the whole configuration file. adit.example.toml documents each key.
type Config struct {
	DataDir   string          `toml:"data_dir"`
	Redis     RedisConfig     `toml:"redis"`
	Edge      EdgeConfig      `toml:"edge"`
	Ledger    LedgerConfig    `toml:"ledger"`
	Pool      []PoolConfig    `toml:"pool"`
	Dashboard DashboardConfig `toml:"dashboard"`
	Payout    PayoutConfig    `toml:"payout"`
	Admin     AdminConfig     `toml:"admin"`
	Log       LogConfig       `toml:"log"`
}

// RedisConfig says where Redis is.
type RedisConfig struct {
	URL string `toml:"url"`
}

// EdgeConfig is about this host's edge.
type EdgeConfig struct {
	Name string `toml:"name"`
}

// LedgerConfig is about this host's ledger role.
type LedgerConfig struct {
	Name    string `toml:"name"`
	Copies  int    `toml:"copies"`
	Listen  string `toml:"listen"`
	Peer    string `toml:"peer"`
	KeyFile string `toml:"key_file"`
	PeerKey string `toml:"peer_key"`
}

// PoolConfig is one pool: one coin on one network.
type PoolConfig struct {
	ID             string  `toml:"id"`
	Coin           string  `toml:"coin"`
	Network        string  `toml:"network"`
	RewardAddress  string  `toml:"reward_address"`
	Scheme         string  `toml:"scheme"`
	PPLNSN         float64 `toml:"pplns_n"`
	FeePPM         uint32  `toml:"fee_ppm"`
	Tag            string  `toml:"tag"`
	CoinbasePayees int64   `toml:"coinbase_payees"`
	KeyFile        string  `toml:"key_file"`
	Descriptor     string  `toml:"descriptor"`

	EarlierKeyFiles string          `toml:"earlier_key_files"`
	BanExempt       string          `toml:"ban_exempt"`
	StratumMemory   int64           `toml:"stratum_memory_mib"`
	Node            []NodeConfig    `toml:"node"`
	Stratum         []StratumConfig `toml:"stratum"`
}

// NodeConfig is one full node of a pool.
type NodeConfig struct {
	URL          string `toml:"url"`
	User         string `toml:"user"`
	Password     Secret `toml:"password"`
	PasswordFile string `toml:"password_file"`
	CookieFile   string `toml:"cookie_file"`
}

// StratumConfig is one listener of a pool.
type StratumConfig struct {
	Listen          string  `toml:"listen"`
	StartDifficulty float64 `toml:"start_difficulty"`
	MinDifficulty   float64 `toml:"min_difficulty"`
	MaxDifficulty   float64 `toml:"max_difficulty"`
	SharesPerMinute float64 `toml:"shares_per_minute"`
	SharesPerSecond float64 `toml:"shares_per_second"`

	TLSCert          string `toml:"tls_cert"`
	TLSKey           string `toml:"tls_key"`
	TLSOnly          bool   `toml:"tls_only"`
	ProxyFrom        string `toml:"proxy_from"`
	VersionMask      string `toml:"version_mask"`
	ReconnectSeconds int64  `toml:"reconnect_seconds"`

	private bool // of --dev's own rigs: not shown to anybody
}

// DashboardConfig is the web server of pages, API and metrics.
type DashboardConfig struct {
	Listen string `toml:"listen"`
}

// LogConfig says how much is logged and in which form.
type LogConfig struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Secret is a configuration value that never prints itself.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "hidden"
}

// GoString hides the value.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value.
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }

// Defaults that a configuration file may leave out.
const (
	defaultRedis           = "redis://127.0.0.1:6379/0"
	defaultDashboard       = "127.0.0.1:8080"
	defaultPPLNSN          = 2
	defaultSharesPerMinute = 15
	defaultSharesPerSecond = 500
	defaultThreshold       = 1_000_000
	defaultTag             = "/adit/"
	defaultStratumMemory   = 1024
	defaultEdge            = "edge-1"
	defaultLedger          = "ledger-1"
)

// loadConfig reads, completes and checks a configuration file. Errors name the file, the line or the
// key, and what to write instead.
func loadConfig(path string, env []string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w (adit.example.toml is a start)", err)
	}
	cfg, err := parseConfig(string(b), env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cfg.anchor(filepath.Dir(path))
	return cfg, nil
}

// anchor makes relative paths start at the configuration file.
func (c *Config) anchor(dir string) {
	paths := []*string{&c.DataDir, &c.Payout.KeyFile, &c.Payout.DenyFile, &c.Ledger.KeyFile}
	for i := range c.Pool {
		paths = append(paths, &c.Pool[i].KeyFile)
		c.Pool[i].EarlierKeyFiles = anchorList(c.Pool[i].EarlierKeyFiles, dir)
		for j := range c.Pool[i].Node {
			n := &c.Pool[i].Node[j]
			paths = append(paths, &n.PasswordFile, &n.CookieFile)
		}
		for j := range c.Pool[i].Stratum {
			s := &c.Pool[i].Stratum[j]
			paths = append(paths, &s.TLSCert, &s.TLSKey)
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// keyFile is where the key that signs a pool's payouts is, "" for nowhere.
func (c *Config) keyFile(p *PoolConfig) string {
	if p.KeyFile != "" {
		return p.KeyFile
	}
	return c.Payout.KeyFile
}

func parseConfig(text string, env []string) (*Config, error) {
	cfg := &Config{
		DataDir:   "adit-data",
		Redis:     RedisConfig{URL: defaultRedis},
		Edge:      EdgeConfig{Name: defaultEdge},
		Ledger:    LedgerConfig{Name: defaultLedger, Copies: 1},
		Dashboard: DashboardConfig{Listen: defaultDashboard},
		Payout:    defaultPayout(),
		Log:       LogConfig{Level: "info", Format: "json"},
	}
	dec := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields()
	if err := dec.Decode(cfg); err != nil {
		return nil, tomlError(err)
	}
	if err := overrideFromEnv(cfg, env); err != nil {
		return nil, err
	}
	for i := range cfg.Pool {
		cfg.Pool[i].complete()
	}
	return cfg, cfg.check()
}

// complete fills what a pool's table leaves out.
func (p *PoolConfig) complete() {
	if p.Scheme == "" {
		p.Scheme = "pplns"
	}
	if p.PPLNSN == 0 {
		p.PPLNSN = defaultPPLNSN
	}
	if p.Tag == "" {
		p.Tag = defaultTag
	}
	if p.ID == "" {
		p.ID = p.Coin
	}
	if p.StratumMemory == 0 {
		p.StratumMemory = defaultStratumMemory
	}
	for i := range p.Stratum {
		s := &p.Stratum[i]
		if s.SharesPerMinute == 0 {
			s.SharesPerMinute = defaultSharesPerMinute
		}
		if s.SharesPerSecond == 0 {
			s.SharesPerSecond = defaultSharesPerSecond
		}
		if s.StartDifficulty == 0 {
			s.StartDifficulty = max(s.MinDifficulty, 1024)
		}
		if s.MinDifficulty == 0 {
			s.MinDifficulty = min(s.StartDifficulty, 1)
		}
		if s.MaxDifficulty == 0 {
			s.MaxDifficulty = 1e12
		}
		if s.VersionMask == "" {
			s.VersionMask = "1fffe000"
		}
	}
}

// tomlError words what the TOML decoder found, with its line.
func tomlError(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		e := strict.Errors[0]
		line, _ := e.Position()
		return fmt.Errorf("line %d: unknown key %q (adit.example.toml lists every key)", line, strings.Join(e.Key(), "."))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return fmt.Errorf("line %d, column %d: %w", line, column, bad)
	}
	return err
}

// check refuses what cannot work. One line, what and where and the fix.
func (c *Config) check() error {
	if len(c.Pool) == 0 {
		return errors.New("no [[pool]] table: at least one pool is needed")
	}
	if err := checkListen("dashboard.listen", c.Dashboard.Listen); err != nil {
		return err
	}
	for key, name := range map[string]string{"edge.name": c.Edge.Name, "ledger.name": c.Ledger.Name} {
		if !view.GoodPoolID(name) {
			return fmt.Errorf("%s %q: give 1 to 32 of a-z, 0-9 and -", key, name)
		}
	}
	if err := c.Admin.check(); err != nil {
		return err
	}
	if err := c.Ledger.check(); err != nil {
		return err
	}
	if err := c.Payout.check(); err != nil {
		return err
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log.level %q: use debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "console" {
		return fmt.Errorf("log.format %q: use json or console", c.Log.Format)
	}
	ids, listeners := map[string]bool{}, map[string]string{c.Dashboard.Listen: "dashboard.listen"}
	for i := range c.Pool {
		p := &c.Pool[i]
		at := fmt.Sprintf("pool[%d] %q: ", i, p.ID)
		if !view.GoodPoolID(p.ID) {
			return fmt.Errorf("%sid must be 1 to 32 of a-z, 0-9 and -, and not a page of the site", at)
		}
		if ids[p.ID] {
			return fmt.Errorf("%sid is used twice", at)
		}
		ids[p.ID] = true
		if err := p.check(listeners); err != nil {
			return fmt.Errorf("%s%w", at, err)
		}
	}
	return nil
}

func (p *PoolConfig) check(listeners map[string]string) error {
	chain, err := all.Find(p.Coin, p.Network)
	if err != nil {
		return err
	}
	if _, err := chain.Script(p.RewardAddress); err != nil {
		return fmt.Errorf("reward_address: %w", err)
	}
	if p.Scheme != "pplns" && p.Scheme != "solo" && p.Scheme != "prop" {
		return fmt.Errorf("scheme %q: use pplns, solo or prop", p.Scheme)
	}
	if p.CoinbasePayees < 0 || p.CoinbasePayees > pool.MaxCoinbasePayees || p.CoinbasePayees > 0 && p.Scheme == "solo" {
		return fmt.Errorf("coinbase_payees is %d: give 0 to %d, and 0 with scheme solo, whose coinbases pay the finder", p.CoinbasePayees, pool.MaxCoinbasePayees)
	}
	if !(p.PPLNSN >= 0.1 && p.PPLNSN <= 100) {
		return fmt.Errorf("pplns_n is %v: give 0.1 to 100 (2 is usual)", p.PPLNSN)
	}
	if p.FeePPM > 1_000_000 {
		return fmt.Errorf("fee_ppm is %d: at most 1000000, which is 100 %%; 10000 is 1 %%", p.FeePPM)
	}
	if _, err := prefixes("ban_exempt", p.BanExempt); err != nil {
		return err
	}
	if p.StratumMemory < 16 || p.StratumMemory > 1<<20 {
		return fmt.Errorf("stratum_memory_mib is %d: give 16 to 1048576; a rig takes some 24 KiB, with TLS 56", p.StratumMemory)
	}
	for i, n := range p.Node {
		if u, err := url.Parse(n.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("node[%d].url %q: give http://host:port", i, n.URL)
		}
		given := 0
		for _, v := range []bool{n.Password != "", n.PasswordFile != "", n.CookieFile != ""} {
			if v {
				given++
			}
		}
		if given > 1 {
			return fmt.Errorf("node[%d]: give only one of password, password_file, cookie_file", i)
		}
	}
	for i := range p.Stratum {
		s := &p.Stratum[i]
		name := fmt.Sprintf("stratum[%d].listen", i)
		if err := checkListen(name, s.Listen); err != nil {
			return err
		}
		if other, taken := listeners[s.Listen]; taken && !strings.HasSuffix(s.Listen, ":0") {
			return fmt.Errorf("%s %q is also %s", name, s.Listen, other)
		}
		listeners[s.Listen] = p.ID + " " + name
		if !(s.MinDifficulty > 0 && s.MinDifficulty <= s.StartDifficulty && s.StartDifficulty <= s.MaxDifficulty) {
			return fmt.Errorf("stratum[%d]: need 0 < min_difficulty <= start_difficulty <= max_difficulty, have %v, %v, %v",
				i, s.MinDifficulty, s.StartDifficulty, s.MaxDifficulty)
		}
		if err := s.checkListener(); err != nil {
			return fmt.Errorf("stratum[%d]: %w", i, err)
		}
		if !(s.SharesPerMinute > 0 && s.SharesPerMinute <= 6000) {
			return fmt.Errorf("stratum[%d].shares_per_minute is %v: give 1 to 6000", i, s.SharesPerMinute)
		}
	}
	return nil
}

func checkListen(key, addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%s %q: give host:port, such as 0.0.0.0:3333", key, addr)
	}
	return nil
}

// limits are the listener's difficulty rules as the pool uses them.
func (s *StratumConfig) limits() pool.Limits {
	return pool.Limits{
		Start: pool.Difficulty(s.StartDifficulty).Quantise(), Min: pool.Difficulty(s.MinDifficulty).Quantise(),
		Max: pool.Difficulty(s.MaxDifficulty).Quantise(), SharesPerMinute: s.SharesPerMinute,
	}
}
