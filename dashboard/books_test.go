package dashboard

import (
	"encoding/json"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

type fakeFiles map[pool.Hash]string

func (f fakeFiles) Allocation(block pool.Hash) ([]byte, error) {
	if s, ok := f[block]; ok {
		return []byte(s), nil
	}
	return nil, fs.ErrNotExist
}

func (f fakeFiles) Row(block pool.Hash, account pool.AccountID) (string, error) {
	if _, ok := f[block]; !ok {
		return "", fs.ErrNotExist
	}
	return "feed" + account.String(), nil
}

// Heads and allocation files are given byte for byte, so that signatures and checksums hold.
func TestBooks(t *testing.T) {
	key, _ := ledger.NewHeadKey()
	signed, err := key.Sign(&ledger.SignedHead{Pool: "main", ID: "20261122T000000Z", Seq: 4, Term: 1, Hash: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	hash := pool.Hash{7}
	text := `{"v":2,"pool":"main"}` + "\n"
	s := newSite(t, func(o *Options) { o.Pools[0].Files = fakeFiles{hash: text} })
	s.store.Add(ledger.SetHeads, "20261122T000000Z", json.RawMessage(signed[:len(signed)-1]))
	if r := s.get("/api/v1/pools/toy/heads/20261122T000000Z"); r.status != 200 || r.body != string(signed) {
		t.Errorf("%d %s", r.status, r.body)
	} else if _, err := ledger.ParseSignedHead([]byte(r.body)); err != nil {
		t.Error(err)
	}
	if r := s.get("/api/v1/pools/toy/heads"); r.status != 200 || !strings.Contains(r.body, string(signed[:len(signed)-1])) {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := s.get("/api/v1/pools/toy/blocks/" + hash.String() + "/allocation"); r.status != 200 || r.body != text {
		t.Errorf("%d %s", r.status, r.body)
	}
	d := loadDocument(t)
	for _, path := range []string{"heads/20261122T000000Z", "heads", "blocks/" + hash.String() + "/allocation"} {
		for _, line := range d.checkAnswer("/api/v1/pools/toy/"+path, s.get("/api/v1/pools/toy/"+path)) {
			t.Error(line)
		}
	}
	for _, path := range []string{"heads/x", "blocks/" + pool.Hash{8}.String() + "/allocation", "blocks/zz/allocation", "blocks/" + hash.String() + "/more", "heads/a/b"} {
		if r := s.get("/api/v1/pools/toy/" + path); r.status != 404 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// The fee shown is the ledger's for the pool's scheme, not the configured one.
func TestFeeOfTheLedger(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Pools[0].FeePPM = 1 })
	shown := func() (p struct {
		FeePPM uint32 `json:"fee_ppm"`
		Height int64
	}) {
		t.Helper()
		s.wait(time.Second)
		if err := json.Unmarshal([]byte(s.get("/api/v1/pools/toy").body), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if got := shown().FeePPM; got != 1 {
		t.Errorf("without a schedule: %d", got)
	}
	now := shown().Height
	account := pool.AccountID{1}
	for i, doc := range []ledger.FeeDoc{{PPM: 15_000}, {PPM: 2, Scheme: "solo"}, {PPM: 3, Account: &account}, {PPM: 4, Height: now + 1}} {
		doc.Version = i + 1
		s.store.Add(ledger.SetFees, strconv.Itoa(doc.Version), doc)
	}
	if got := shown().FeePPM; got != 15_000 {
		t.Errorf("shown %d", got)
	}
	if page := s.get("/").body; !strings.Contains(page, "fee 1.5") {
		t.Error("the page shows another fee")
	}
}

// TestTrivialChain shows a pool whose blocks take no more work than a share: luck and effort are not given.
func TestTrivialChain(t *testing.T) {
	s := newSite(t, nil)
	s.store.Change(func() { s.store.Pool.NetworkWork = "2" })
	s.wait(time.Minute)
	for path, want := range map[string]string{
		"/toy/blocks": "luck has no meaning", "/toy": "luck has no meaning", "/api/v1/pools/toy": `"effort":null`, "/api/v1/pools/toy/luck": `{"windows":[]}`,
	} {
		if a := s.get(path); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d without %s", path, a.status, want)
		}
	}
}
