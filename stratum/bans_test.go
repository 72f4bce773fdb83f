package stratum_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

func openBans(t *testing.T, o stratum.BanOptions) *stratum.Bans {
	t.Helper()
	b, err := stratum.OpenBans(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// misbehave sends lines that cannot be read until the connection is ended.
func misbehave(t *testing.T, s *stratumtest.Running, c *stratumtest.Client) {
	t.Helper()
	c.Send(strings.Repeat("x\n", 15) + "x")
	c.Closed()
	await(t, func() bool { return s.Stats().Connections == 0 }, func() string { return "connection not ended" })
}

// P11: one bad rig behind a farm's address is kept away alone. Its connection is ended, then its account
// from there; the address stays open for the others, and the account from elsewhere.
func TestBanSparesTheFarm(t *testing.T) {
	bans := openBans(t, stratum.BanOptions{Offences: 2})
	s, _ := serve(t, fromProxies, func(o *stratum.Options) { o.Bans = bans })
	for range 2 {
		c := behind(t, s.Addr, "198.51.100.7")
		c.Open("testbad.rig")
		misbehave(t, s, c)
	}
	c := behind(t, s.Addr, "198.51.100.7")
	subscribe(c, "")
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testbad.other"]}`, `{"id":2,"result":false,"error":[24,"banned until <text> (malformed)",null]}`)
	authorize(c, "testgood", "x", authorized)
	firstJob(c)
	behind(t, s.Addr, "198.51.100.9").Open("testbad.rig")
	c.Close()
	for range 5 { // from an address with accounts even a stranger's lines ban nobody else
		c := behind(t, s.Addr, "198.51.100.7")
		c.Send(strings.Repeat("x\n", 15) + "x")
		c.Closed()
	}
	behind(t, s.Addr, "198.51.100.7").Open("testgood")
	if l := bans.List(); len(l) != 1 || l[0].Account == nil || l[0].Prefix.String() != "198.51.100.7/32" {
		t.Errorf("bans %+v", l)
	}
}

// An address that nobody was ever authorized from is banned whole, for a while; loopback and exempt ones
// never.
func TestBanOfAnAddress(t *testing.T) {
	bans := openBans(t, stratum.BanOptions{Offences: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.200/29")}})
	s, _ := serve(t, fromProxies, func(o *stratum.Options) { o.Bans = bans })
	for _, from := range []string{"198.51.100.7", "2001:db8:1:2::5", "198.51.100.201", "127.0.0.1"} {
		for range 2 {
			misbehave(t, s, behind(t, s.Addr, from))
		}
	}
	behind(t, s.Addr, "198.51.100.7").Closed()
	closed(t, s.Server, stratum.CloseBanned)
	behind(t, s.Addr, "2001:db8:1:2::77").Closed()
	behind(t, s.Addr, "2001:db8:1:3::5").Open("testa")
	behind(t, s.Addr, "198.51.100.201").Open("testa")
	behind(t, s.Addr, "127.0.0.1").Open("testa")
	if there, err := bans.Lift(netip.MustParsePrefix("198.51.100.7/32"), nil); !there || err != nil {
		t.Errorf("lifted %v, %v", there, err)
	}
	behind(t, s.Addr, "198.51.100.7").Open("testa")
}

// What an operator bans is ended soon, is there after a restart, and can be given to nftables.
func TestBanByHand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bans.json")
	bans := openBans(t, stratum.BanOptions{File: file})
	account := pool.AccountID{1, 2, 3}
	for _, b := range []struct {
		prefix  string
		account *pool.AccountID
	}{{"203.0.113.0/24", nil}, {"::ffff:198.51.100.7/128", nil}, {"2001:db8:1::/48", nil}, {"198.51.100.9/32", &account}} {
		if err := bans.Add(netip.MustParsePrefix(b.prefix), b.account, "by \x1bhand", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := bans.Add(netip.Prefix{}, nil, "", time.Hour); err == nil {
		t.Error("a ban of nobody")
	}
	if err := bans.Add(netip.MustParsePrefix("203.0.113.0/24"), nil, "", -1); err == nil {
		t.Error("a ban for no time")
	}
	bans = openBans(t, stratum.BanOptions{File: file})
	if l := bans.List(); len(l) != 4 || l[3].Prefix.String() != "2001:db8:1::/48" || l[0].Reason != "by -hand" || *l[1].Account != account {
		t.Fatalf("after a restart: %+v", l)
	}
	var out bytes.Buffer
	if err := bans.WriteNFTables(&out); err != nil {
		t.Fatal(err)
	}
	var elements []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "add element") {
			elements = append(elements, strings.TrimRight(strings.TrimSuffix(line, "s }\n"), "0123456789"))
		}
	}
	if got, want := strings.Join(elements, "|"), "add element inet adit banned4 { 198.51.100.7/32 timeout |add element inet adit banned4 { 203.0.113.0/24 timeout |"+
		"add element inet adit banned6 { 2001:db8:1::/48 timeout "; got != want {
		t.Errorf("nftables: %s", got)
	}
	s, _ := serve(t, fromProxies, func(o *stratum.Options) { o.Bans = bans })
	behind(t, s.Addr, "203.0.113.5").Closed()
	behind(t, s.Addr, "198.51.100.9").Open("testa")

	if err := os.WriteFile(file, []byte(`{"version":1,"bans":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stratum.OpenBans(stratum.BanOptions{File: file}); err == nil {
		t.Error("half a file was read")
	}
	if err := os.WriteFile(file, []byte(`{"version":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stratum.OpenBans(stratum.BanOptions{File: file}); err == nil {
		t.Error("a file of a later release was read")
	}
}

// Who only sends shares or logins that are refused is dropped in the end; an accepted share clears it, and
// what the pool's own timing brings never counts.
func TestRefusals(t *testing.T) {
	s, p := serve(t, func(o *stratum.Options) { o.Refusals = 3 })
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	sh := c.Find(&c.Rig.Job)
	accepted(c, sh)
	for range 2 {
		rejected(c, sh, pool.RejectDuplicate)
	}
	accepted(c, c.Find(&c.Rig.Job))
	old := c.Rig.Job
	p.NextBlock()
	c.Expect(stratumtest.Notify)
	for range 5 {
		rejected(c, c.Find(&old), pool.RejectStale)
	}
	sh = c.Find(&c.Rig.Job)
	accepted(c, sh)
	for range 3 {
		rejected(c, sh, pool.RejectDuplicate)
	}
	c.Closed()
	closed(t, s.Server, stratum.CloseRefused)

	c = stratumtest.Dial(t, s.Addr)
	for range 3 {
		c.Ask(`{"id":2,"method":"mining.authorize","params":["1Boat"]}`, `{"id":2,"result":false,"error":[24,"an address of this network begins with \"test\"",null]}`)
	}
	c.Closed()
	if got := s.Stats().Strikes; got["share"] != 5 || got["login"] != 3 {
		t.Errorf("strikes %v", got)
	}
}
