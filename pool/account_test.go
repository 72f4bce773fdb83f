package pool

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestAccountOf(t *testing.T) {
	sum := sha256.Sum256([]byte("btc\x00\x51\x52"))
	a := AccountOf("btc", []byte{0x51, 0x52})
	if a != AccountID(sum[:20]) {
		t.Errorf("account %s, want %x", a, sum[:20])
	}
	if a == AccountOf("ltc", []byte{0x51, 0x52}) {
		t.Error("one script is one account in two pools")
	}
	raw, err := json.Marshal(map[AccountID]AccountID{a: a})
	var again map[AccountID]AccountID
	if err != nil || json.Unmarshal(raw, &again) != nil || again[a] != a {
		t.Errorf("%s -> %v, %v", raw, again, err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 41), strings.Repeat("g", 40)} {
		if err := new(AccountID).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestSplitUser(t *testing.T) {
	f := func(user, address, worker string) {
		t.Helper()
		if a, w := SplitUser(user); a != address || w != worker {
			t.Errorf("%q: %q, %q; want %q, %q", user, a, w, address, worker)
		}
	}
	f("", "", "")
	f("bc1qabc", "bc1qabc", "")
	f("bc1qabc.rig1", "bc1qabc", "rig1")
	f("bc1qabc_rig1", "bc1qabc", "rig1")
	f("bc1qabc.rig_1.gpu", "bc1qabc", "rig_1.gpu")
	f("bc1qabc.", "bc1qabc", "")
	f(".rig", "", "rig")
	f("a.<script>", "a", "-script-")
	f("a.=cmd()", "a", "-cmd--")
	f("a.x:y{z}", "a", "x-y-z-")
	f("a.\n\x00é", "a", "----")
	f("a."+strings.Repeat("n", 100), "a", strings.Repeat("n", 63))
}

func TestWorkerNameIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.String().Draw(t, "user")
		_, w := SplitUser(user)
		if len(w) > 63 || !utf8.ValidString(w) || strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			t.Fatalf("%q gives %q", user, w)
		}
	})
}
