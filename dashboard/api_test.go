package dashboard

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/dashboard/api"
	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/valyala/fasthttp"
)

func loadDocument(t *testing.T) *apiDocument {
	t.Helper()
	d := new(apiDocument)
	if err := json.Unmarshal(api.Document(), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestContract holds every answer of the API to its description: with values, without any, while the
// store is away, and refusals.
func TestContract(t *testing.T) {
	d := loadDocument(t)
	seen := make(map[string]bool)
	f := func(s *site) {
		t.Helper()
		for path := range s.paths() {
			if !strings.HasPrefix(path, "/api/") || strings.Contains(path, "/events") {
				continue
			}
			a := s.get(path)
			for _, line := range d.checkAnswer(path, a) {
				t.Error(line)
			}
			if a.status == 200 {
				seen[d.find(path)] = true
			}
		}
	}
	full := newSite(t, nil)
	f(full)
	full.store.Change(func() { full.store.Away = boardtest.ErrAway })
	full.wait(time.Minute)
	f(full)
	for path := range d.Paths {
		if !seen[path] && path != "/api/v1/events" && !strings.HasSuffix(path, "/allocation") && !strings.HasSuffix(path, "/heads/{id}") { // in TestBooks
			t.Errorf("no test asks for %s", path)
		}
	}
	empty := newSite(t, func(o *Options) { o.Pools[0].Store, o.Pools[0].Stratum = &boardtest.Store{}, nil })
	for _, path := range []string{"", "/history", "/luck", "/leaders", "/blocks", "/payouts", "/miners/toy1alice", "/miners/toy1alice/workers", "/miners/toy1alice/history"} {
		path = "/api/v1/pools/toy" + path
		a := empty.get(path)
		for _, line := range d.checkAnswer(path, a) {
			t.Error(line)
		}
		if a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if body := newSite(t, nil).get("/api/v1/pools/toy/payouts/" + full.payoutID(1)).body; strings.Contains(body, "7369676e6564206279746573") {
		t.Error("signed bytes are shown")
	}
}

// TestSchemaFinds makes sure that the checker of the test above refuses what is wrong.
func TestSchemaFinds(t *testing.T) {
	d := loadDocument(t)
	s := newSite(t, nil)
	a := s.get("/api/v1/pools/toy")
	for what, edit := range map[string][2]string{
		"missing": {`"coin":"toycoin",`, ``}, "added": {`"coin":`, `"more":1,"coin":`}, "number as text": {`"maturity":100`, `"maturity":"100"`},
		"money as number": {`"payout_threshold":"100000000"`, `"payout_threshold":100000000`}, "no UTC": {`:06.000Z"`, `:06.000+01:00"`}, "null": {`"coin":"toycoin"`, `"coin":null`},
	} {
		b := a
		if b.body = strings.Replace(a.body, edit[0], edit[1], 1); b.body == a.body {
			t.Fatalf("%s: nothing changed in %s", what, a.body)
		}
		if d.checkAnswer("/api/v1/pools/toy", b) == nil {
			t.Errorf("%s is not found", what)
		}
	}
}

// TestValues compares some answers with what the store holds.
func TestValues(t *testing.T) {
	s := newSite(t, nil)
	for path, want := range map[string][]string{
		"":                               {`"payout_threshold":"100000000"`, `"stale":412`, `"ready":`[:0], `"url":"stratum+tcp://127.0.0.1:3333"`},
		"/history?step=10m":              {`"step":600`, `"accepted":1200`},
		"/miners/toy1alice":              {`"immature":"19056002000"`, `"paid":"24691356000"`, `"address":"toy1alice"`, `"share":0.5`, `"status":"ok"`},
		"/blocks?limit=1":                {`"state":"submitted"`, `"reward":"5000012345"`, `"next":"`},
		"/leaders":                       {`"rates":[{"address":"toy1alice"`},
		"/luck":                          {`"name":"24h"`},
		"/miners/toy1bob/workers/garage": {`"accepted":40211`, `"low-difficulty":4`},
	} {
		body := s.get("/api/v1/pools/toy" + path).body
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s: no %s in %.600s", path, w, body)
			}
		}
	}
}

// TestFiles reads every CSV as a spreadsheet would.
func TestFiles(t *testing.T) {
	s := newSite(t, nil)
	id := accountOfToy("toy1alice")
	hostile := []string{"=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "a\"b", "a,b", "x\ny", "\uff1d1"}
	s.store.Change(func() {
		a := s.store.Accounts[id]
		a.View.Workers = nil
		for _, h := range hostile {
			a.View.Workers = append(a.View.Workers, pool.WorkerView{Name: h, Agent: h})
		}
		s.store.Accounts[id] = a
	})
	for _, path := range []string{"/history", "/blocks", "/payouts", "/miners/toy1alice/history", "/miners/toy1alice/workers", "/miners/toy1bob/workers/rig1/history"} {
		a := s.get("/api/v1/pools/toy" + path + "?format=csv")
		rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		if err != nil || len(rows) < 2 || a.status != 200 || a.get("Content-Type") != web.TypeCSV || !strings.HasPrefix(a.get("Content-Disposition"), "attachment; filename=\"toy-") {
			t.Errorf("%s: %d, %v, %d rows", path, a.status, err, len(rows))
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+@\t\r") || strings.HasPrefix(cell, "-") && strings.Trim(cell, "-.0123456789") != "" || strings.HasPrefix(cell, "\uff1d") {
					t.Errorf("%s: %q is a formula", path, cell)
				}
			}
		}
	}
}

// TestEmpty asks a pool that has nothing: lists are there and empty.
func TestEmpty(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Pools[0].Store, o.Pools[0].Stratum = &boardtest.Store{}, nil })
	for path, want := range map[string]string{
		"/api/v1/pools/toy":                  `"stratum":[]`,
		"/api/v1/pools/toy/history":          `"points":[]`,
		"/api/v1/pools/toy/blocks":           `{"blocks":[],"total":0,"next":null}`,
		"/api/v1/pools/toy/payouts":          `{"payouts":[],"total":0,"next":null}`,
		"/api/v1/pools/toy/miners/toy1alice": `"workers":[]`,
		"/":                                  "No block yet.",
		"/user/toy1alice":                    "has sent no share",
		"/toy/blocks":                        "No block here.",
		"/toy/payments":                      "No payout here.",
		"/toy/leaders":                       "Nobody yet.",
		"/start":                             "names no host",
	} {
		if a := s.get(path); a.status != 200 || !strings.Contains(a.body, want) || strings.Contains(a.body, "null,null") {
			t.Errorf("%s: %d without %s", path, a.status, want)
		}
	}
}

func TestUnreadableDocument(t *testing.T) {
	s := newSite(t, nil)
	s.store.Change(func() {
		s.store.Set[ledger.SetBlocks][0].Body = json.RawMessage(`{"hash":7}`)
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
	s.store.Change(func() { s.store.Pool.Miners++ })
	s.wait(time.Second)
	if b := s.get("/api/v1/pools", "If-None-Match", tag); b.status != 200 {
		t.Errorf("a change gives %d", b.status)
	}
}

func TestCodings(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/", "/api/v1/pools/toy/history", s.server.assets.path("site.css"), s.server.assets.path("uPlot.iife.min.js")} {
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
			if coding != want || err != nil || body != plain.body || !strings.Contains(strings.Join(a.all("Vary"), ", "), "Accept-Encoding") {
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
	for _, address := range boardtest.Miners() {
		if strings.Contains(body, address) {
			t.Errorf("%s is a label", address)
		}
	}
}
