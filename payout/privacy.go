package payout

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/payout/claim"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// PrivacyText is the text that an account's owner signs to say who sees the account, and the key that opens it
// nevertheless; only the key's hash is in the text. The key is "" for [ledger.ShowAll].
//
//	adit privacy order 1
//	pool: POOL
//	account: ACCOUNT ID
//	counter: one more than that of the last one that was taken
//	show: public, hashrate or link
//	lock: SHA-256 of the key in hex, or none
func (p *Payouts) PrivacyText(name string, show ledger.Shown) (text, key string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return "", "", err
	}
	id, err := p.account(name)
	if err != nil {
		return "", "", err
	}
	lock := "none"
	if show != ledger.ShowAll {
		key = rand.Text()
		sum := sha256.Sum256([]byte(key))
		lock = hex.EncodeToString(sum[:])
	}
	text = fmt.Sprintf("adit privacy order 1\npool: %s\naccount: %s\ncounter: %d\nshow: %s\nlock: %s", p.pool, id, p.fold.counter(id)+1, show, lock)
	_, err = parsePrivacy(text, p.pool)
	return text, key, err
}

// parsePrivacy reads such a text strictly.
func parsePrivacy(text, poolID string) (doc ledger.PrivacyDoc, err error) {
	bad := func(format string, args ...any) (ledger.PrivacyDoc, error) {
		return ledger.PrivacyDoc{}, fmt.Errorf("%w: %s", ErrOrder, fmt.Sprintf(format, args...))
	}
	if len(text) > maxOrder {
		return bad("it has %d bytes", len(text))
	}
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	if strings.TrimRight(lines[0], "\r ") != "adit privacy order 1" {
		return bad("its first line is not %q", "adit privacy order 1")
	}
	names := []string{"pool", "account", "counter", "show", "lock"}
	if len(lines) != len(names)+1 {
		return bad("it has %d lines", len(lines))
	}
	values := map[string]string{}
	for i, name := range names {
		value, ok := strings.CutPrefix(strings.TrimRight(lines[i+1], "\r "), name+": ")
		if !ok {
			return bad("line %d does not begin with %q", i+2, name+": ")
		}
		values[name] = value
	}
	if values["pool"] != poolID {
		return bad("it is for pool %.40q", values["pool"])
	}
	if err := doc.Account.UnmarshalText([]byte(values["account"])); err != nil {
		return bad("account %.80q", values["account"])
	}
	if doc.Counter, err = strconv.ParseUint(values["counter"], 10, 64); err != nil {
		return bad("counter %.40q", values["counter"])
	}
	if doc.Show = ledger.Shown(values["show"]); !doc.Show.Known() {
		return bad("it shows %.40q instead of public, hashrate or link", values["show"])
	}
	if values["lock"] != "none" {
		lock, err := hex.DecodeString(values["lock"])
		if err != nil || len(lock) != sha256.Size {
			return bad("lock %.80q", values["lock"])
		}
		doc.Lock = lock
	}
	return doc, nil
}

// counter is that of the last privacy order of an account that was taken.
func (f *fold) counter(id pool.AccountID) uint64 {
	if d := f.privacy[id]; d != nil {
		return d.Counter
	}
	return 0
}

// Privacy takes a text of PrivacyText that the account's destination of now has signed. It holds at once.
func (p *Payouts) Privacy(text, signature string) (*ledger.PrivacyDoc, error) {
	doc, err := parsePrivacy(text, p.pool)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if p.fold.accounts[doc.Account] == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, doc.Account)
	}
	last := p.fold.counter(doc.Account)
	if doc.Counter != last+1 {
		return nil, fmt.Errorf("%w: its counter is %d, the next one is %d", ErrOrder, doc.Counter, last+1)
	}
	now := p.now().UnixMilli()
	script := p.fold.destination(p.pool, doc.Account, now)
	if err := claim.Verify(script, p.magic(), text, signature); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrOrder, p.address(script), err)
	}
	doc.V, doc.Time = settingsVersion, now
	if d := p.fold.privacy[doc.Account]; d != nil {
		doc.Time = max(doc.Time, d.Time+1) // newer documents rank higher, whatever the clock
	}
	p.log.Info().Str("pool", p.pool).Stringer("account", doc.Account).Str("show", string(doc.Show)).Msg("an owner said who sees the account")
	return &doc, p.postSetting(ledger.SetPrivacy, doc.Account.String(), "account.privacy", doc.Time, doc)
}
