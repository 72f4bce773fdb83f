package main

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	dialects "github.com/adit-pool/adit/stratum/all"
)

// checkListener refuses what a listener cannot be beside its difficulties.
func (s *StratumConfig) checkListener() error {
	switch {
	case (s.TLSCert == "") != (s.TLSKey == ""):
		return errors.New("tls_cert and tls_key go together")
	case s.TLSOnly && s.TLSCert == "":
		return errors.New("tls_only needs tls_cert and tls_key")
	case !(s.SharesPerSecond >= 1 && s.SharesPerSecond <= 1e6):
		return fmt.Errorf("shares_per_second is %v: give 1 to 1000000", s.SharesPerSecond)
	case s.ReconnectSeconds < 0 || s.ReconnectSeconds > 3600:
		return fmt.Errorf("reconnect_seconds is %d: give 0 to 3600", s.ReconnectSeconds)
	}
	if _, err := s.versionMask(); err != nil {
		return err
	}
	_, err := prefixes("proxy_from", s.ProxyFrom)
	return err
}

// shown is the listener as pages show it to miners.
func (s *StratumConfig) shown(addr string) view.Listener {
	l := view.Listener{URL: "stratum+tcp://" + addr, TLS: s.TLSCert != "", Start: s.StartDifficulty, Minimum: s.MinDifficulty}
	if s.TLSOnly {
		l.URL = "stratum+ssl://" + addr
	}
	return l
}

// versionMask are the bits that miners may roll; 0 for none.
func (s *StratumConfig) versionMask() (uint32, error) {
	if s.VersionMask == "" {
		return pool.MaskBIP320, nil
	}
	v, err := strconv.ParseUint(s.VersionMask, 16, 32)
	if err != nil || len(s.VersionMask) != 8 || bits.OnesCount64(v&^pool.MaskBIP323) > 0 {
		return 0, fmt.Errorf("version_mask %q: give 8 hex digits within 1fffffe0: 1fffe000 (BIP320) is usual, 00000000 is none", s.VersionMask)
	}
	return uint32(v), nil
}

// prefixes reads a list of networks or addresses, separated by commas.
func prefixes(key, text string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := parsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no network such as 10.0.0.0/8", key, part)
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePrefix reads a network, or an address as the network of itself.
func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// rollable are the version bits that any of the pool's listeners lets miners roll.
func (p *PoolConfig) rollable() (mask uint32) {
	for i := range p.Stratum {
		m, _ := p.Stratum[i].versionMask() // checked with the configuration
		mask |= m
	}
	return mask
}

// openBans reads the pool's bans, which all its listeners share.
func (r *room) openBans() error {
	exempt, err := prefixes("ban_exempt", r.cfg.BanExempt)
	if err != nil {
		return err
	}
	r.bans, err = stratum.OpenBans(stratum.BanOptions{File: filepath.Join(r.dir, "bans.json"), Exempt: exempt, Log: r.log})
	if err != nil {
		return err
	}
	r.onClose(r.bans.Close)
	return nil
}

// restMemory is what all but the connections may take: Redis views, slices, templates.
const restMemory = 512 << 20

// devMemory is what all takes with --dev: a guest on somebody's desk.
const devMemory = 60 << 20

// limitMemory has the runtime collect garbage more often as the process nears what its connections may hold
// and the rest needs. GOMEMLIMIT in the environment goes before.
func limitMemory(cfg *Config, dev bool) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := int64(restMemory)
	for i := range cfg.Pool {
		limit += cfg.Pool[i].StratumMemory << 20
	}
	if dev {
		limit = devMemory
	}
	debug.SetMemoryLimit(limit)
}

func (r *room) openServers() error {
	if err := r.openBans(); err != nil {
		return err
	}
	r.memory = stratum.NewMemory(stratum.MemoryOptions{Cap: r.cfg.StratumMemory << 20})
	for i := range r.cfg.Stratum {
		server, err := r.openServer(&r.cfg.Stratum[i], r.listeners[i].Addr().String())
		if err != nil {
			return fmt.Errorf("stratum[%d]: %w", i, err)
		}
		r.servers = append(r.servers, server)
	}
	return nil
}

func (r *room) openServer(s *StratumConfig, addr string) (*stratum.Server, error) {
	dialect, err := dialects.Named("v1")
	if err != nil {
		return nil, err
	}
	o := stratum.Options{
		Pool: r.edge, Dialect: dialect, Limits: s.limits(), Bans: r.bans, Memory: r.memory, TLSOnly: s.TLSOnly,
		Rate: s.SharesPerSecond, Burst: int(s.SharesPerSecond),
		Reconnect: time.Duration(s.ReconnectSeconds) * time.Second, Log: r.log.With().Str("listener", addr).Logger(),
	}
	if o.VersionMask, err = s.versionMask(); err != nil {
		return nil, err
	}
	o.FixVersion = o.VersionMask == 0
	if o.ProxyFrom, err = prefixes("proxy_from", s.ProxyFrom); err != nil {
		return nil, err
	}
	if s.TLSCert != "" {
		cert, err := stratum.OpenCertificate(s.TLSCert, s.TLSKey, o.Log)
		if err != nil {
			return nil, err
		}
		o.TLS = cert.Config()
	}
	return stratum.New(o)
}
