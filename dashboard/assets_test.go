package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
)

// TestVendored holds uPlot 1.6.32 to the bytes that its authors published.
func TestVendored(t *testing.T) {
	for name, want := range map[string]string{
		"uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"uPlot.min.css":     "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
		"uPlot.LICENSE":     "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
	} {
		b, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has hash %x", name, sum)
		}
	}
}

func TestAssets(t *testing.T) {
	s := newSite(t, nil)
	a := s.get(s.server.assets.path("site.css"))
	if got := a.get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("cache control %q", got)
	}
	if tag := a.get("ETag"); !strings.HasPrefix(tag, `"`) {
		t.Errorf("tag %s is weak", tag)
	}
	if z := s.get(s.server.assets.path("site.css"), "Accept-Encoding", "br"); z.get("ETag") == a.get("ETag") || z.get("Last-Modified") != "" {
		t.Errorf("headers of the compressed form: %s", z.header)
	}

	link := regexp.MustCompile(`(?:src|href)="(/[^"#]*)`)
	first := 0
	for _, page := range []string{"/", "/user/toy1bob", "/toy/blocks", "/toy/payments", "/toy/leaders", "/start", "/status", "/api", "/rejects", "/user/toy1bob/w/rig1", "/toy/blocks/" + s.blockHash(3), "/toy/blocks/none"} {
		for _, m := range link.FindAllStringSubmatch(s.get(page).body, -1) {
			if a := s.get(html.UnescapeString(m[1]), "Accept-Encoding", "br, gzip"); a.status != 200 && a.status != 303 {
				t.Errorf("%s links to %s: %d", page, m[1], a.status)
			}
		}
	}
	imported := regexp.MustCompile(`from "\./([^"]+)"`)
	for name, f := range s.server.assets.files {
		first += len(s.get(s.server.assets.path(name), "Accept-Encoding", "br").body)
		for _, m := range imported.FindAllSubmatch(f.plain, -1) {
			if _, ok := s.server.assets.files[string(m[1])]; !ok {
				t.Errorf("%s imports %s", name, m[1])
			}
		}
		if regexp.MustCompile(`\beval\(|new Function|https?://[a-z]+\.(?:com|net|org|io)`).Match(f.plain) && !strings.HasPrefix(name, "uPlot") && name != "favicon.svg" {
			t.Errorf("%s makes code or reaches out", name)
		}
	}
	if first += len(s.get("/", "Accept-Encoding", "gzip").body); first > 100_000 {
		t.Errorf("a first visit loads %d bytes", first)
	}
}

func TestChart(t *testing.T) {
	var points []pool.HistoryPoint
	for i := range 1440 {
		points = append(points, pool.HistoryPoint{Time: int64(i) * 60, Hashrate: float64(100 * (1 + i/720)), Workers: i % 7})
	}
	c := chartOf(points, 60, "", "", "")
	if len(c.Hours) != 24 || c.Hours[0].Time.Hour() != 23 || c.Hours[0].Hashrate != 200 || c.Hours[23].Hashrate != 100 || c.Hours[0].Workers != 6 || c.Peak != 200 {
		t.Errorf("%d hours, peak %v, %+v", len(c.Hours), c.Peak, c.Hours[0])
	}
	if !strings.HasPrefix(c.Line, "M0 141.8L") || !strings.HasSuffix(c.Area, "V260H0Z") || strings.Contains(c.Line, "NaN") {
		t.Errorf("line %.60s", c.Line)
	}
	if c := chartOf(nil, 60, "", "", ""); c.Line != "" || c.Hours != nil {
		t.Errorf("%+v", c)
	}
	if c := chartOf([]pool.HistoryPoint{{Time: 60}}, 60, "", "", ""); strings.Contains(c.Line, "NaN") || c.Line == "" {
		t.Errorf("a zero hashrate: %s", c.Line)
	}
}
