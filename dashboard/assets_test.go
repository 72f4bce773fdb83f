package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"

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

	link := regexp.MustCompile(`(?:src|href)="(/[^"#?]*)`)
	first := 0
	for _, page := range []string{"/", "/user/toy1bob", "/toy/blocks", "/toy/payments", "/toy/blocks/" + s.blockHash(3), "/toy/blocks/none"} {
		for _, m := range link.FindAllStringSubmatch(s.get(page).body, -1) {
			if a := s.get(m[1], "Accept-Encoding", "br, gzip"); a.status != 200 {
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
	if first += len(s.get("/", "Accept-Encoding", "gzip").body); first > 60_000 {
		t.Errorf("a first visit loads %d bytes", first)
	}
}

func TestFormat(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(hashrateText(0), "0 H/s")
	f(hashrateText(0.5), "0.5 H/s")
	f(hashrateText(999), "999.0 H/s")
	f(hashrateText(999.96), "1.00 kH/s")
	f(hashrateText(1234), "1.23 kH/s")
	f(hashrateText(1.5e20), "150.0 EH/s")
	f(difficultyText(4.6566e-10), "4.66e-10")
	f(difficultyText(83.1e12), "83.1 T")
	f(difficultyText(0.0017), "0.0017")
	f(countText(0), "0")
	f(countText(1234567), "1\u202f234\u202f567")
	f(spanText(0), "under 1 s")
	f(spanText(59*time.Second), "59 s")
	f(spanText(3600*time.Second), "1 h")
	f(spanText(3700*time.Second), "1 h 1 min")
	f(spanText(50*time.Hour), "2 d 2 h")
	f(agoText(-time.Hour), "just now")
	f(agoText(99*time.Minute), "99 min ago")
	f(agoText(100*time.Minute), "1 h ago")
	f(agoText(72*time.Hour), "3 d ago")
	f(blockTimeText(7864320, 27800), "4 min")
	f(blockTimeText(1e30, 1), "over 100 years")
	f(blockTimeText(0, 1), "–")
	f(percentText(0.00001), "under 0.01 %")
	f(percentText(0.0123), "1.23 %")
	f(percentText(2.5), "250.0 %")
	f(feeText(10_000), "1 %")
	f(feeText(12_345), "1.2345 %")
	f(feeText(0), "0 %")
	f(shortened("abcdefghij", 3, 2), "abc…ij")
	f(shortened("abcdef", 3, 2), "abcdef")
}

func TestChart(t *testing.T) {
	var points []pool.HistoryPoint
	for i := range 1440 {
		points = append(points, pool.HistoryPoint{Time: int64(i) * 60, Hashrate: float64(100 * (1 + i/720)), Workers: i % 7})
	}
	c := chartOf(points, 60, "", "")
	if len(c.Hours) != 24 || c.Hours[0].Time.Hour() != 23 || c.Hours[0].Hashrate != 200 || c.Hours[23].Hashrate != 100 || c.Hours[0].Workers != 6 || c.Peak != 200 {
		t.Errorf("%d hours, peak %v, %+v", len(c.Hours), c.Peak, c.Hours[0])
	}
	if !strings.HasPrefix(c.Line, "M0 141.8L") || !strings.HasSuffix(c.Area, "V260H0Z") || strings.Contains(c.Line, "NaN") {
		t.Errorf("line %.60s", c.Line)
	}
	if c := chartOf(nil, 60, "", ""); c.Line != "" || c.Hours != nil {
		t.Errorf("%+v", c)
	}
	if c := chartOf([]pool.HistoryPoint{{Time: 60}}, 60, "", ""); strings.Contains(c.Line, "NaN") || c.Line == "" {
		t.Errorf("a zero hashrate: %s", c.Line)
	}
}
