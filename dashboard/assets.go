package dashboard

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"path"

	"github.com/adit-pool/adit/dashboard/web"
	"github.com/valyala/fasthttp"
)

//go:embed assets
var assetFiles embed.FS

// assets are the site's own static files. They stand under /assets/{hash over all of them}/{name}, so
// that modules can import each other by relative names and every copy can be kept for ever.
type assets struct {
	version string           // static
	files   map[string]asset // static, by name
}

type asset struct {
	contentType  string
	tag          string // entity tag without the coding
	plain        []byte
	gzip, brotli []byte // nil when not smaller
}

// assetTypes are the kinds of files that are served; others (licences) are only carried.
var assetTypes = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

func loadAssets() (*assets, error) {
	a := &assets{files: make(map[string]asset)}
	entries, err := assetFiles.ReadDir("assets") // sorted
	if err != nil {
		return nil, err
	}
	all := sha256.New()
	for _, e := range entries {
		kind := assetTypes[path.Ext(e.Name())]
		if kind == "" {
			continue
		}
		b, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		fmt.Fprintf(all, "%s\x00%x\n", e.Name(), sum)
		f := asset{contentType: kind, tag: hex.EncodeToString(sum[:12]), plain: b}
		if z := web.Gzipped(b, gzip.BestCompression); len(z) < len(b) {
			f.gzip = z
		}
		if z := brotlied(b); len(z) < len(b) {
			f.brotli = z
		}
		a.files[e.Name()] = f
	}
	a.version = hex.EncodeToString(all.Sum(nil)[:6])
	return a, nil
}

// brotliLevel is a tenth of the work of the highest for two more bytes in a hundred.
const brotliLevel = 9

func brotlied(b []byte) []byte { return fasthttp.AppendBrotliBytesLevel(nil, b, brotliLevel) }

// path is where an asset is served.
func (a *assets) path(name string) string { return "/assets/" + a.version + "/" + name }

// serve answers for an asset: path is its version and name.
func (a *assets) serve(r web.Request, path []string) error {
	if len(path) != 2 || path[0] != a.version {
		return web.NotFound("There is no such file.")
	}
	f, ok := a.files[path[1]]
	if !ok {
		return web.NotFound("There is no such file.")
	}
	body, coding := f.plain, ""
	switch {
	case f.brotli != nil && web.Accepts(r.RequestCtx, "br"):
		body, coding = f.brotli, "br"
	case f.gzip != nil && web.Accepts(r.RequestCtx, "gzip"):
		body, coding = f.gzip, "gzip"
	}
	tag := `"` + f.tag + `"`
	h := &r.Response.Header
	if coding != "" {
		tag = `"` + f.tag + "-" + coding + `"`
	}
	h.Set("ETag", tag)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	if web.Matches(string(r.Request.Header.Peek("If-None-Match")), tag) {
		r.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	r.SetContentType(f.contentType)
	r.Response.SetBodyRaw(body)
	return nil
}
