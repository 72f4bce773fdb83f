package payout

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

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
	s, err := parseSigned(text, "adit privacy order 1", poolID, []string{"show", "lock"})
	if err != nil {
		return doc, err
	}
	doc.Account, doc.Counter, doc.Show = s.account, s.counter, ledger.Shown(s.values["show"])
	if !doc.Show.Known() {
		return doc, badOrder("it shows %.40q instead of public, hashrate or link", s.values["show"])
	}
	if lock := s.values["lock"]; lock != "none" {
		if doc.Lock, err = hex.DecodeString(lock); err != nil || len(doc.Lock) != sha256.Size {
			return doc, badOrder("lock %.80q", lock)
		}
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
