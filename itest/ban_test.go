//go:build itest

package itest

import (
	"os/exec"
	"strings"
	"testing"
)

// TestBans bans by hand on a running pool, over a restart, and lifts it again.
func TestBans(t *testing.T) {
	dir := t.TempDir()
	s := startDev(t, dir, "--redis", "embedded", "--rigs=false")
	f := func(want string, args ...string) string {
		t.Helper()
		text := s.adit(append(append([]string{"ban"}, args...), "--data-dir", s.dir)...)
		if !strings.Contains(text, want) {
			t.Errorf("adit ban %s: %q is not in\n%s", strings.Join(args, " "), want, text)
		}
		return text
	}
	f("203.0.113.0/24", "add", "203.0.113.0/24", "--for", "2h", "--reason", "flood of a test")
	f("2001:db8::/48", "add", "2001:db8::/48", "--for", "2h")
	f("198.51.100.7/32", "add", "198.51.100.7", "--miner", s.state.RewardAddress, "--for", "2h")
	s.stop()

	s = startDev(t, dir, "--redis", "embedded", "--rigs=false")
	list := f("flood of a test", "list")
	for _, ban := range []string{"203.0.113.0/24", "2001:db8::/48", "198.51.100.7/32"} {
		if !strings.Contains(list, ban) {
			t.Errorf("after a restart %s is not in\n%s", ban, list)
		}
	}
	set := f("add element inet adit banned4 { 203.0.113.0/24 timeout", "nftables")
	if !strings.Contains(set, "add element inet adit banned6 { 2001:db8::/48 timeout") || strings.Contains(set, "198.51.100.7") {
		t.Errorf("the sets are\n%s", set)
	}
	if nft, err := exec.LookPath("nft"); err == nil {
		check := exec.Command(nft, "--check", "--file", "-")
		check.Stdin = strings.NewReader(set)
		if out, err := check.CombinedOutput(); err != nil && !strings.Contains(string(out), "Operation not permitted") {
			t.Errorf("nft does not read it: %v: %s", err, out)
		}
	}
	f("", "lift", "203.0.113.0/24")
	if list := f("2001:db8::/48", "list"); strings.Contains(list, "203.0.113.0") {
		t.Errorf("lifted, and still there:\n%s", list)
	}
	s.stop()
}
