package stratum

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/rs/zerolog"
)

// Ban keeps an account away that comes from some addresses, or all who do.
type Ban struct {
	Prefix  netip.Prefix    `json:"prefix"`
	Account *pool.AccountID `json:"account,omitempty"` // nil: whoever comes from there
	Reason  string          `json:"reason"`
	Since   time.Time       `json:"since"`
	Until   time.Time       `json:"until"`
}

// BanOptions configure Bans. A zero field means its default.
type BanOptions struct {
	File     string         // kept there over restarts; "": in memory only
	Exempt   []netip.Prefix // never banned and without a cap of connections, beside loopback
	Offences int            // connections that must end by their own fault for a ban; default 4
	Length   time.Duration  // of a ban, and of the time that offences count; default 15 min
	Log      zerolog.Logger
}

// Bans are the bans of one process, for all its listeners. A connection that misbehaves is ended; an
// account some of whose connections from one address were is banned from that address for a while; an
// address is only when nobody was ever authorized from it: one bad rig must not take its farm away.
type Bans struct {
	opts BanOptions // static

	known    *recent[netip.Addr, acquaintance] // addresses that somebody was authorized from
	offences *recent[banKey, offences]

	saving sync.Mutex // held while the file is written, taken before mu
	saved  time.Time  // guarded by saving

	mu    sync.Mutex // guards all below; never held over I/O
	bans  map[banKey]Ban
	dirty bool
}

type banKey struct {
	prefix  netip.Prefix
	account pool.AccountID // zero: all
}

// acquaintance is what is known of an address.
type acquaintance struct {
	authorized bool
	proven     bool // a connection from there had provenShares shares accepted
}

type offences struct {
	count int
	since time.Time
}

const (
	maxBans   = 10_000
	maxKnown  = 1 << 16
	saveEvery = time.Second
)

// ErrBadBan reports a ban that cannot be.
var ErrBadBan = errors.New("a ban needs an address or a prefix and a time above zero")

// OpenBans reads the bans of an earlier run.
func OpenBans(o BanOptions) (*Bans, error) {
	defaultTo(&o.Offences, 4)
	defaultTo(&o.Length, 15*time.Minute)
	b := &Bans{
		opts: o, bans: make(map[banKey]Ban),
		known:    newRecent[netip.Addr, acquaintance](maxKnown),
		offences: newRecent[banKey, offences](maxKnown),
	}
	if o.File == "" {
		return b, nil
	}
	if err := b.load(time.Now()); err != nil {
		return nil, fmt.Errorf("read bans: %w", err)
	}
	return b, nil
}

// List returns the bans in force, by prefix and account.
func (b *Bans) List() []Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list(time.Now())
}

// list returns the bans in force and forgets the others. Caller holds mu.
func (b *Bans) list(now time.Time) []Ban {
	var list []Ban
	for k, ban := range b.bans {
		if now.Before(ban.Until) {
			list = append(list, ban)
		} else {
			delete(b.bans, k)
		}
	}
	slices.SortFunc(list, func(x, y Ban) int {
		kx, ky := keyOf(x), keyOf(y)
		return cmp.Or(x.Prefix.Addr().Compare(y.Prefix.Addr()), cmp.Compare(x.Prefix.Bits(), y.Prefix.Bits()),
			slices.Compare(kx.account[:], ky.account[:]))
	})
	return list
}

func keyOf(b Ban) banKey {
	k := banKey{prefix: b.Prefix}
	if b.Account != nil {
		k.account = *b.Account
	}
	return k
}

// Add bans by hand, and writes the file. Connections that it concerns are ended within some seconds.
func (b *Bans) Add(p netip.Prefix, account *pool.AccountID, reason string, length time.Duration) error {
	if !p.IsValid() || length <= 0 {
		return ErrBadBan
	}
	now := time.Now()
	if err := b.add(Ban{plainPrefix(p), account, printableTo([]byte(reason), maxMessage), now, now.Add(length)}, now); err != nil {
		return err
	}
	return b.save(0)
}

// plainPrefix writes IPv4 in IPv6 as IPv4 and clears what is not of the network.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// add notes a ban if there is room.
func (b *Bans) add(ban Ban, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := keyOf(ban)
	if _, there := b.bans[k]; !there && len(b.bans) >= maxBans && len(b.list(now)) >= maxBans {
		return fmt.Errorf("there are %d bans already", maxBans)
	}
	b.bans[k] = ban
	b.dirty = true
	return nil
}

// Lift takes a ban back and reports whether there was one; offences count anew.
func (b *Bans) Lift(p netip.Prefix, account *pool.AccountID) (bool, error) {
	if !p.IsValid() {
		return false, ErrBadBan
	}
	k := keyOf(Ban{Prefix: plainPrefix(p), Account: account})
	b.offences.put(k, offences{})
	b.mu.Lock()
	_, there := b.bans[k]
	delete(b.bans, k)
	b.dirty = true
	b.mu.Unlock()
	return there, b.save(0)
}

// banned finds a ban on all who come from ip, or on an account that does.
func (b *Bans) banned(ip netip.Addr, account *pool.AccountID, now time.Time) (Ban, bool) {
	if !ip.IsValid() || b.exempt(ip) {
		return Ban{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bans) == 0 {
		return Ban{}, false
	}
	for bits := ip.BitLen(); bits >= 0; bits-- {
		p, _ := ip.Prefix(bits)
		k := banKey{prefix: p}
		if ban, ok := b.bans[k]; ok && now.Before(ban.Until) {
			return ban, true
		}
		if account != nil {
			k.account = *account
			if ban, ok := b.bans[k]; ok && now.Before(ban.Until) {
				return ban, true
			}
		}
	}
	return Ban{}, false
}

// exempt reports an address that is never banned nor capped.
func (b *Bans) exempt(ip netip.Addr) bool {
	return ip.IsLoopback() || slices.ContainsFunc(b.opts.Exempt, func(p netip.Prefix) bool { return plainPrefix(p).Contains(ip) })
}

// proven reports an address whose connections are not capped.
func (b *Bans) proven(ip netip.Addr) bool { return b.exempt(ip) || b.known.get(ip).proven }

// meet notes that somebody was authorized from an address, and whether a hashrate was shown there.
func (b *Bans) meet(ip netip.Addr, proven bool) {
	if a := b.known.get(ip); ip.IsValid() && (!a.authorized || proven && !a.proven) {
		b.known.change(ip, func(a acquaintance) acquaintance { return acquaintance{true, a.proven || proven} })
	}
}

// offence counts a connection that ended by its own fault; account is nil when nobody was authorized on it.
// It may write the file.
func (b *Bans) offence(ip netip.Addr, account *pool.AccountID, reason string, now time.Time) {
	if !ip.IsValid() || b.exempt(ip) || account == nil && b.known.get(ip).authorized {
		return
	}
	p, _ := ip.Prefix(ip.BitLen())
	if ip.Is6() {
		p, _ = ip.Prefix(64) // as it is counted
	}
	k := keyOf(Ban{Prefix: p, Account: account})
	o := b.offences.change(k, func(o offences) offences {
		if now.Sub(o.since) > b.opts.Length {
			o = offences{since: now}
		}
		o.count++
		return o
	})
	if o.count < b.opts.Offences {
		return
	}
	b.offences.put(k, offences{})
	ban := Ban{p, account, reason, now, now.Add(b.opts.Length)}
	err := b.add(ban, now)
	if err == nil {
		err = b.save(saveEvery)
	}
	if err != nil {
		b.opts.Log.Warn().Err(err).Stringer("prefix", p).Msg("ban not kept")
		return
	}
	e := b.opts.Log.Info().Stringer("prefix", p).Str("reason", reason).Time("until", ban.Until)
	if account != nil {
		e = e.Stringer("account", account)
	}
	e.Msg("banned")
}
