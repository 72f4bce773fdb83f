package dashboard

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/valyala/fasthttp"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, body string) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(body), "", "  "); err != nil {
		t.Fatalf("%s: %v: %s", name, err, body)
	}
	file := "testdata/" + name + ".json"
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, pretty.Bytes()) {
		t.Errorf("%s is not as agreed:\n%s", file, pretty.String())
	}
}

// TestContract holds every answer of the API to the files that others read.
func TestContract(t *testing.T) {
	s := newSite(t, nil)
	s.store.change(func() {
		s.store.view.History = s.store.view.History[:2]
		for i := range s.store.view.History {
			s.store.view.History[i].Hashrate = 1000.5
		}
		s.store.view.Hashrate = 27_500.25
		for id, a := range s.store.accounts {
			a.view.Hashrate = 13_750
			a.view.History = a.view.History[:1]
			a.view.History[0].Hashrate = 12.5
			for i := range a.view.Workers {
				a.view.Workers[i].Hashrate = 4583.5
			}
			s.store.accounts[id] = a
		}
	})
	f := func(name, path string) {
		t.Helper()
		golden(t, name, s.get("/api/v1/pools"+path).body)
	}
	f("pools", "")
	f("pool", "/toy")
	f("blocks", "/toy/blocks?limit=3&offset=3")
	f("block", "/toy/blocks/"+s.blockHash(7))
	f("block-submitted", "/toy/blocks/"+s.blockHash(0))
	f("payouts", "/toy/payouts?limit=3")
	f("payout", "/toy/payouts/"+s.payoutID(1))
	f("miner", "/toy/miners/TOY1ALICE")
	f("miner-unknown", "/toy/miners/toy1stranger")
	f("problem", "/toy/miners/nobody")
	if body := s.get("/api/v1/pools/toy/payouts/" + s.payoutID(1)).body; strings.Contains(body, "7369676e6564206279746573") {
		t.Error("signed bytes are shown")
	}
}

// TestEmpty asks a pool that has nothing: lists are there and empty.
func TestEmpty(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Pools[0].Store, o.Pools[0].Stratum = &fakeStore{}, nil })
	for path, want := range map[string]string{
		"/api/v1/pools/toy":                  `"history":[]`,
		"/api/v1/pools":                      `"stratum":[]`,
		"/api/v1/pools/toy/blocks":           `{"blocks":[],"total":0}`,
		"/api/v1/pools/toy/payouts":          `{"payouts":[],"total":0}`,
		"/api/v1/pools/toy/miners/toy1alice": `"workers":[],"history":[]`,
		"/":                                  "No block yet.",
		"/user/toy1alice":                    "has sent no share",
		"/toy/blocks":                        "No block here.",
		"/toy/payments":                      "No payout here.",
	} {
		if a := s.get(path); a.status != 200 || !strings.Contains(a.body, want) || strings.Contains(a.body, "null,null") {
			t.Errorf("%s: %d without %s", path, a.status, want)
		}
	}
}

func TestUnreadableDocument(t *testing.T) {
	s := newSite(t, nil)
	s.store.change(func() {
		s.store.docs[ledger.SetBlocks][0].body = json.RawMessage(`{"hash":7}`)
	})
	if a := s.get("/"); a.status != 200 || !strings.Contains(a.body, ">20472<") {
		t.Errorf("one bad document takes the page away: %d", a.status)
	}
	if a := s.get("/toy/blocks/" + s.blockHash(0)); a.status != 503 {
		t.Errorf("its own page: %d", a.status)
	}
}

func TestEntityTags(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/", "/api/v1/pools", "/api/v1/pools/toy", "/api/v1/pools/toy/blocks", "/api/v1/pools/toy/miners/toy1bob", s.server.assets.path("site.js")} {
		a := s.get(path)
		tag := a.get("ETag")
		if a.status != 200 || tag == "" {
			t.Fatalf("%s: %d, tag %q", path, a.status, tag)
		}
		for match, want := range map[string]int{tag: 304, `"x", ` + tag: 304, "*": 304, strings.TrimPrefix(tag, "W/"): 304, `"x"`: 200, "": 200} {
			if b := s.get(path, "If-None-Match", match); b.status != want || want == 304 && (b.body != "" || b.get("ETag") != tag) {
				t.Errorf("%s, If-None-Match %s: %d with %d bytes, want %d", path, match, b.status, len(b.body), want)
			}
		}
	}
	tag := s.get("/api/v1/pools").get("ETag")
	s.store.change(func() { s.store.view.Miners++ })
	s.wait(time.Second)
	if b := s.get("/api/v1/pools", "If-None-Match", tag); b.status != 200 {
		t.Errorf("a change gives %d", b.status)
	}
}

func TestCodings(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/", "/api/v1/pools/toy", s.server.assets.path("site.css"), s.server.assets.path("uPlot.iife.min.js")} {
		plain := s.get(path)
		for header, want := range map[string]string{"gzip": "gzip", "br;q=0, gzip;q=0.5": "gzip", "gzip;q=0": "", "identity": "", "deflate, gzip, br": "br"} {
			a := s.get(path, "Accept-Encoding", header)
			coding := a.get("Content-Encoding")
			if want == "br" && !strings.HasPrefix(path, "/assets/") {
				want = "gzip"
			}
			body := a.body
			var err error
			var b []byte
			switch coding {
			case "gzip":
				var r *gzip.Reader
				if r, err = gzip.NewReader(strings.NewReader(body)); err == nil {
					b, err = io.ReadAll(r)
				}
				body = string(b)
			case "br":
				b, err = fasthttp.AppendUnbrotliBytes(nil, []byte(body))
				body = string(b)
			}
			if coding != want || err != nil || body != plain.body || a.get("Vary") != "Accept-Encoding" {
				t.Errorf("%s, %s: coding %q (want %q), %v, %d bytes of %d", path, header, coding, want, err, len(body), len(plain.body))
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Metrics = func(w io.Writer) { io.WriteString(w, "other_total 3\n") } })
	body := s.get("/metrics").body
	for _, want := range []string{`pool_build_info{version="0.0.1"} 1`, `pool_miners{pool="toy"} 5`, `pool_node_up{pool="toy",node="btcd-a"} 1`, `pool_ready{pool="toy"} 1`,
		`pool_shares_last_day{pool="toy",result="rejected",reason="stale"} 412`, `pool_job_age_seconds{pool="toy"} 9`, "other_total 3"} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, address := range toyMiners {
		if strings.Contains(body, address) {
			t.Errorf("%s is a label", address)
		}
	}
}

// UnmarshalText reads what MarshalText writes.
func (a *amountText) UnmarshalText(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	*a = amountText(n)
	return err
}
