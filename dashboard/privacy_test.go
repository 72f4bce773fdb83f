package dashboard

import (
	"bufio"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// hide has an owner say who sees an account; the key that opens it is the address's name and "key".
func (s *site) hide(address string, show ledger.Shown, counter uint64) pool.AccountID {
	id := pool.AccountOf("toy", boardtest.Script(address))
	lock := sha256.Sum256([]byte(address + "key"))
	doc := ledger.PrivacyDoc{V: 1, Account: id, Show: show, Lock: lock[:], Counter: counter, Time: int64(counter)}
	s.store.Add(ledger.SetPrivacy, id.String(), doc)
	return id
}

// stream reads a live stream up to its first events of miners and pools.
func (s *site) stream(path string, more ...string) string {
	s.t.Helper()
	c, err := s.dial()
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: toy\r\n" + strings.Join(more, "") + "\r\n")); err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for lines := bufio.NewReader(c); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%s: %v after %s", path, err, all.String())
		}
		all.WriteString(line)
		if strings.HasPrefix(line, "data: ") && strings.Contains(line, `"pools"`) { // it comes after the miners
			return all.String()
		}
	}
}

// Path by path: nothing of an account that its owner hides is in any answer to who has no key.
func TestPrivacy(t *testing.T) {
	s := newSite(t, nil)
	bob, alice := s.hide("toy1bob", ledger.ShowNone, 1), s.hide("toy1alice", ledger.ShowRates, 2)
	s.wait(time.Minute)
	for path, status := range s.paths() {
		a := s.get(path)
		body := strings.ToLower(a.body)
		if !strings.Contains(path, "/assets/") && (strings.Contains(body, bob.String()) || !strings.Contains(path, "toy1bob") && strings.Contains(body, "toy1bob")) {
			t.Errorf("%s tells of the hidden account", path)
		}
		own := strings.Contains(path, "toy1bob") && status == 200
		if own && a.status != 403 && a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
		if own {
			if open := s.get(path, "Authorization", "Bearer toy1bobkey"); open.status != 200 {
				t.Errorf("%s with the key: %d", path, open.status)
			}
			if open := s.get(path, "Authorization", "Bearer toy1alicekey", "Cookie", "keys=x.toy1alicekey"); open.status == 200 {
				t.Errorf("%s with another's key: %d", path, open.status)
			}
		}
		rates := strings.HasPrefix(path, "/user/toy1alice") || strings.HasPrefix(path, "/user/TOY1ALICE") || strings.Contains(path, "miners/toy1alice")
		if strings.Contains(body, alice.String()) && !rates {
			t.Errorf("%s tells the account of which only the hashrate is shown", path)
		}
		if rates && (strings.Contains(body, "garage") && a.status == 200 || strings.Contains(body, "19056002000") || strings.Contains(body, "190.56002000")) {
			t.Errorf("%s tells more than hashrates", path)
		}
	}
	for path, want := range map[string]int{"/user/toy1alice": 200, "/api/v1/pools/toy/miners/toy1alice": 200, "/api/v1/pools/toy/miners/toy1alice/history": 200,
		"/user/toy1alice/w/garage": 404, "/api/v1/pools/toy/miners/toy1alice/workers": 403, "/api/v1/pools/toy/miners/toy1alice/workers?format=csv": 403,
		"/api/v1/pools/toy/miners/toy1alice/credits": 403, "/api/v1/pools/toy/miners/toy1alice/payouts": 403, "/api/v1/pools/toy/miners/toy1alice/days?format=csv": 403,
		"/user/toy1alice/credit/toy/" + s.blockHash(9): 404, "/user/toy1carol": 200, "/user?address=toy1bob": 303} {
		if a := s.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		} else if strings.HasSuffix(path, "/history") && strings.Contains(a.body, "stale") {
			t.Errorf("%s tells rejects", path)
		}
	}
	for what, of := range map[string][]string{"rates": {"toy1alice", "toy1carol"}, "shares": {"toy1carol"}} {
		_, list, _ := strings.Cut(s.get("/api/v1/pools/toy/leaders").body, `"`+what+`":[`)
		list, _, _ = strings.Cut(list, "]")
		if n := strings.Count(list, "address"); n != 5 || strings.Contains(list, "toy1bob") || what == "shares" && strings.Contains(list, "toy1alice") {
			t.Errorf("%s: %s", what, list)
		}
		for _, address := range of {
			if !strings.Contains(list, address) {
				t.Errorf("%s without %s: %s", what, address, list)
			}
		}
	}
	watch := "/api/v1/events?miner=toy1bob&miner=toy1alice&miner=toy1carol"
	said := s.stream(watch)
	if strings.Contains(said, `"address":"toy1bob"`) || strings.Contains(said, "19056002000") || !strings.Contains(said, `"address":"toy1alice"`) || !strings.Contains(said, `"address":"toy1carol"`) {
		t.Errorf("the stream: %s", said)
	}
	if said := s.stream(watch, "Cookie: keys=toy1bobkey.toy1alicekey\r\n"); !strings.Contains(said, `"address":"toy1bob"`) || !strings.Contains(said, "19056002000") {
		t.Errorf("the stream with keys: %s", said)
	}

	// The link leaves the key in a cookie and nowhere else.
	a := s.get("/user/toy1bob?key=toy1bobkey")
	if a.status != 303 || a.get("Location") != "/user/toy1bob" || !strings.Contains(a.get("Set-Cookie"), "keys=toy1bobkey;") || !strings.Contains(a.get("Set-Cookie"), "HttpOnly") {
		t.Errorf("the link: %d %s", a.status, a.header)
	}
	if a := s.get("/user/toy1bob", "Cookie", "keys=toy1bobkey"); a.status != 200 || strings.Contains(a.body, "toy1bobkey") {
		t.Errorf("the page behind the link: %d", a.status)
	}

	// What a newer order says holds, also when the store is away or has forgotten.
	s.hide("toy1bob", ledger.ShowAll, 3)
	s.hide("toy1alice", ledger.ShowNone, 4)
	s.wait(time.Minute)
	if b, a := s.get("/user/toy1bob").status, s.get("/user/toy1alice").status; b != 200 || a != 404 {
		t.Errorf("after newer orders: %d %d", b, a)
	}
	s.store.Change(func() { s.store.Away = boardtest.ErrAway })
	s.wait(time.Minute)
	if b, a := s.get("/user/toy1bob").status, s.get("/user/toy1alice").status; b != 200 || a != 404 {
		t.Errorf("while the store is away: %d %d", b, a)
	}
	away := newSite(t, func(o *Options) { o.Pools[0].Store.(*boardtest.Store).Away = boardtest.ErrAway })
	if a := away.get("/user/toy1carol"); a.status != 503 {
		t.Errorf("before anything was read: %d", a.status)
	}
}
