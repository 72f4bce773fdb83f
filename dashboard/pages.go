package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool"
)

//go:embed pages
var pageFiles embed.FS

// pages are the parsed templates, each with the layout and the parts.
type pages struct {
	server *Server // static
	byName map[string]*template.Template
}

// page is what every template is given.
type page struct {
	Title   string
	Version string
	Pools   []*PoolInfo
	Address string // in the search field
	Notices []string
	Notes   []string // said more quietly
	JSON    string   // the same values in the API
	Body    any
}

func loadPages(s *Server) (*pages, error) {
	p := &pages{server: s, byName: make(map[string]*template.Template)}
	base, err := template.New("layout.html").Funcs(p.funcs()).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"overview", "user", "blocks", "block", "payments", "fail"} {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if p.byName[name], err = t.ParseFS(pageFiles, "pages/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// funcs are what templates may call. Instants are Unix milliseconds.
func (p *pages) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":      p.server.assets.path,
		"amount":     func(i *PoolInfo, a pool.Amount) string { return a.Format(i.Decimals) },
		"hashrate":   hashrateText,
		"difficulty": difficultyText,
		"count":      func(n any) string { return countText(unsigned(n)) },
		"percent":    percentText,
		"fee":        feeText,
		"reasons":    reasons,
		"short":      shortened,
		"upper":      strings.ToUpper,
		"user":       func(address string) string { return "/user/" + url.PathEscape(address) },
		"width":      func(v float64) string { return fmt.Sprintf("%.2f", finite(v)*100) },
		"iso":        func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) },
		"utc":        func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") },
		"ago":        func(ms int64) string { return agoText(p.server.now().Sub(time.UnixMilli(ms))) },
	}
}

func unsigned(n any) uint64 {
	switch n := n.(type) {
	case int:
		return uint64(max(n, 0))
	case int64:
		return uint64(max(n, 0))
	case uint64:
		return n
	}
	return 0
}

// render answers with a page.
func (p *pages) render(r request, name string, status int, v page) error {
	v.Version = p.server.opts.Version
	for _, s := range p.server.pools {
		v.Pools = append(v.Pools, s.info)
	}
	if p.server.opts.Embedded && (name == "overview" || name == "user") {
		v.Notes = append(v.Notes, "Statistics are kept in memory and began with this process, "+
			agoText(p.server.now().Sub(p.server.started))+". Blocks, balances and payouts are complete.")
	}
	var buf bytes.Buffer
	if err := p.byName[name].ExecuteTemplate(&buf, "layout.html", v); err != nil {
		p.server.log.Error().Err(err).Str("page", name).Msg("a page template failed")
		return fail{500, "the page could not be made"}
	}
	if err := r.body(typeHTML, buf.Bytes()); err != nil {
		return err
	}
	if status != 200 {
		r.SetStatusCode(status)
		r.Response.Header.Set("Cache-Control", "no-store")
		r.Response.Header.Del("ETag")
	}
	return nil
}

// fail answers with an error page.
func (p *pages) fail(r request, f fail) {
	r.Request.Header.Del("If-None-Match") // an error is no page that the client has
	title := map[int]string{400: "Bad request", 404: "Not found", 503: "Not available now"}[f.status]
	if title == "" {
		title = "Something failed"
	}
	if p.render(r, "fail", f.status, page{Title: title, Body: f.detail}) != nil {
		r.problem(problem{Status: f.status, Detail: f.detail})
	}
}

// notice tells that values are old, or nothing.
func (p *poolState) notice(snap *snapshot) []string {
	switch {
	case snap.err == nil:
		return nil
	case snap.at.IsZero():
		return []string{p.info.ID + ": the statistics store does not answer, and nothing was read from it yet. Miners are not affected."}
	}
	return []string{fmt.Sprintf("%s: the statistics store does not answer. These are the last known values, from %s. Miners are not affected.",
		p.info.ID, snap.at.UTC().Format("15:04:05 UTC"))}
}
