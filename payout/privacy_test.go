package payout

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Only the owner's signature says who sees an account, each text once.
func TestPrivacy(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(1)
	account := pool.AccountOf(testPool, w.miners[0])
	text, key, err := w.pay.PrivacyText(account.String(), ledger.ShowNone)
	if err != nil || key == "" || strings.Contains(text, key) {
		t.Fatalf("%q, key %q: %v", text, key, err)
	}
	if _, _, err := w.pay.PrivacyText(account.String(), "friends"); !errors.Is(err, ErrOrder) {
		t.Errorf("an unknown kind: %v", err)
	}
	signature := w.signedText(20, text)
	for _, c := range []struct{ text, signature string }{
		{strings.Replace(text, "show: link", "show: public", 1), signature}, {text, w.signedText(21, text)}, {text + "\nmore: x", signature},
		{strings.Replace(text, "lock: ", "lock: x", 1), signature}, {"", ""},
	} {
		if _, err := w.pay.Privacy(c.text, c.signature); !errors.Is(err, ErrOrder) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	doc, err := w.pay.Privacy(text, signature)
	if err != nil || doc.Show != ledger.ShowNone || !doc.Opens(key) || doc.Opens(key+"x") || doc.Opens("") {
		t.Fatalf("%+v: %v", doc, err)
	}
	w.restart()
	if _, err := w.pay.Privacy(text, signature); !errors.Is(err, ErrOrder) {
		t.Errorf("the same text again: %v", err)
	}
	text, key, err = w.pay.PrivacyText(account.String(), ledger.ShowAll)
	if err != nil || key != "" || !strings.Contains(text, "counter: 2\n") {
		t.Fatalf("%q, key %q: %v", text, key, err)
	}
	if doc, err := w.pay.Privacy(text, w.signedText(20, text)); err != nil || doc.Show != ledger.ShowAll || doc.Opens("") {
		t.Errorf("%+v: %v", doc, err)
	}
}

// FuzzParsePrivacy: a text from outside is an order that can be kept, or refused.
func FuzzParsePrivacy(f *testing.F) {
	const head = "adit privacy order 1\npool: test\naccount: 0000000000000000000000000000000000000000\ncounter: 1\n"
	f.Add(head + "show: public\nlock: none")
	f.Add(head + "show: link\nlock: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := parsePrivacy(text, "test")
		if err == nil && (!doc.Show.Known() || len(doc.Lock) != 0 && len(doc.Lock) != sha256.Size) {
			t.Fatalf("%q: %+v", text, doc)
		}
	})
}
