package dashboard

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/adit-pool/adit/dashboard/locale"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
)

//go:embed pages
var pageFiles embed.FS

// languageCookie keeps a reader's choice for a year.
const languageCookie = "lang"

// pages are the parsed templates, each with the layout and the parts, in every language.
type pages struct {
	server  *Server    // static
	locales locale.All // static
	byName  map[string]map[string]func() (*template.Template, error)
	words   map[string]string // static; what scripts say, as JSON, by language
	making  chan struct{}     // static; a token for each page being made: half of the processors stay with miners
}

// page is what every template is given.
type page struct {
	Title   string
	Version string
	Pools   []*view.PoolInfo
	Lang    *locale.Locale
	Langs   locale.All
	Words   string // what scripts say in the reader's language, as JSON
	Path    string // of this page
	Address string // in the search field
	Notices []string
	Notes   []string // said more quietly
	JSON    string   // the same values in the API
	Live    bool     // values on it change by themselves
	Body    any
}

// scriptWords are what the scripts say.
var scriptWords = []string{
	"just now", "%s s ago", "%s min ago", "%s h ago", "%s d ago", "under %s", "1 in %s", "%s s", "%s min", "%s h", "%s h %d min", "%s d",
	"%s d %d h", "over 100 years", "Copied", "Select it by hand", "Day", "Week", "Month", "Two years", "%s workers", "Left and right arrow keys read the values.", "chart",
	"rejected %s",
}

func loadPages(s *Server) (*pages, error) {
	p := &pages{server: s, byName: make(map[string]map[string]func() (*template.Template, error)), words: make(map[string]string), making: make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1))}
	var err error
	if p.locales, err = locale.Load(); err != nil {
		return nil, err
	}
	base, err := template.New("layout.html").Funcs(p.funcs(p.locales[0])).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := template.Must(base.Clone()).ParseFS(pageFiles, file)
		if err != nil {
			return nil, err
		}
		p.byName[name] = make(map[string]func() (*template.Template, error))
		for _, l := range p.locales {
			p.byName[name][l.Tag] = sync.OnceValues(func() (*template.Template, error) {
				own, err := t.Clone()
				if err != nil {
					return nil, err
				}
				return own.Funcs(p.funcs(l)), nil
			})
		}
	}
	for _, l := range p.locales {
		words := make(map[string]string)
		for _, w := range scriptWords {
			words[w] = l.T(w)
		}
		b, err := json.Marshal(words)
		if err != nil {
			return nil, err
		}
		p.words[l.Tag] = string(b)
	}
	return p, nil
}

// funcs are what templates may call. Instants are Unix milliseconds.
func (p *pages) funcs(l *locale.Locale) template.FuncMap {
	return template.FuncMap{
		"t":          func(text any, values ...any) string { return l.T(fmt.Sprint(text), values...) },
		"asset":      p.server.assets.path,
		"amount":     func(i *view.PoolInfo, a pool.Amount) string { return l.Amount(a.Format(i.Decimals)) },
		"hashrate":   l.Hashrate,
		"difficulty": l.Difficulty,
		"count":      func(n any) string { return l.Count(unsigned(n)) },
		"percent":    l.Percent,
		"odds":       l.Odds,
		"number":     l.Number,
		"seconds":    l.Seconds,
		"fee":        func(ppm uint32) string { return l.Amount(feeText(ppm)) + " %" },
		"reasons":    reasons,
		"short":      shortened,
		"upper":      strings.ToUpper,
		"user":       userPath,
		"worker":     workerPath,
		"why":        func(address, id, block string) string { return userPath(address) + "/credit/" + id + "/" + block },
		"rank":       func(n int) int { return n + 1 },
		"bandat":     func(v float64) string { return fmt.Sprintf("%.1f", min(max(view.Finite(v), 0), 3)*100) },
		"bandwide": func(low, high float64) string {
			return fmt.Sprintf("%.1f", (min(max(view.Finite(high), 0), 3)-min(max(view.Finite(low), 0), 3))*100)
		},
		"width": func(v float64) string { return fmt.Sprintf("%.2f", min(max(view.Finite(v), 0), 1)*100) },
		"iso":   func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) },
		"date":  func(ms int64) string { return l.Date(time.UnixMilli(ms)) },
		"ago":   func(ms int64) string { return l.Ago(p.server.now().Sub(time.UnixMilli(ms))) },
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

// language is the reader's: by cookie, else by what the browser asks for.
func (p *pages) language(r web.Request) *locale.Locale {
	if l := p.locales.Find(string(r.Request.Header.Cookie(languageCookie))); l != nil {
		return l
	}
	return p.locales.Accepted(string(r.Request.Header.Peek("Accept-Language")))
}

// choose keeps the language that a reader wants and goes back to the page.
func (p *pages) choose(r web.Request) error {
	l := p.locales.Find(string(r.QueryArgs().Peek("set")))
	if l == nil {
		return web.BadRequest("There is no such language here.")
	}
	to := string(r.QueryArgs().Peek("to"))
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") || u.Host != "" {
		to = "/"
	}
	r.Response.Header.Set("Set-Cookie", languageCookie+"="+l.Tag+"; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly")
	return r.RedirectTo(to)
}

// render answers with a page.
func (p *pages) render(r web.Request, name string, status int, v page) error {
	l := p.language(r)
	v.Version, v.Lang, v.Langs, v.Words, v.Path = p.server.opts.Version, l, p.locales, p.words[l.Tag], string(r.RequestURI())
	for _, s := range p.server.board.Pools {
		v.Pools = append(v.Pools, s.Info)
	}
	if p.server.opts.Embedded && (name == "overview" || name == "user") {
		v.Notes = append(v.Notes, l.T("Statistics are kept in memory and began with this process, %s. Blocks, balances and payouts are complete.",
			l.Ago(p.server.now().Sub(p.server.started))))
	}
	p.making <- struct{}{} // nobody who holds one waits for anything but the processor
	defer func() { <-p.making }()
	var buf bytes.Buffer
	t, err := p.byName[name][l.Tag]()
	if err == nil {
		err = t.ExecuteTemplate(&buf, "layout.html", v)
	}
	if err != nil {
		p.server.log.Error().Err(err).Str(pool.EventField, pool.EventPageFailed).Str("page", name).Msg("a page template failed")
		return web.Fail{Status: 500, Detail: "the page could not be made"}
	}
	r.Response.Header.Set("Content-Language", l.Tag)
	r.Response.Header.Set("Vary", "Accept-Language, Cookie")
	if err := r.Body(web.TypeHTML, buf.Bytes()); err != nil {
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
func (p *pages) fail(r web.Request, f web.Fail) {
	r.Request.Header.Del("If-None-Match") // an error is no page that the client has
	l := p.language(r)
	title := map[int]string{400: l.T("Bad request"), 404: l.T("Not found"), 503: l.T("Not available now")}[f.Status]
	if title == "" {
		title = l.T("Something failed")
	}
	if p.render(r, "fail", f.Status, page{Title: title, Body: l.T(f.Detail)}) != nil {
		r.Problem(web.Problem{Status: f.Status, Detail: f.Detail})
	}
}

// notice tells that values are old, or nothing.
func notice(l *locale.Locale, p *view.Pool, snap *view.Snapshot) []string {
	switch {
	case snap.Err == nil:
		return nil
	case snap.At.IsZero():
		return []string{p.Info.ID + ": " + l.T("the statistics store does not answer, and nothing was read from it yet. Miners are not affected.")}
	}
	return []string{p.Info.ID + ": " + l.T("the statistics store does not answer. These are the last known values, from %s. Miners are not affected.",
		snap.At.UTC().Format("15:04:05 UTC"))}
}

// title names a pool for people.
func title(i *view.PoolInfo) string { return capital(i.Coin) + " " + i.Network }

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// feeText writes parts per million as percent without trailing zeros.
func feeText(ppm uint32) string {
	return strings.TrimRight(strings.TrimRight(pool.Amount(ppm).Format(4), "0"), ".")
}

// shortened keeps both ends of a long hash or address.
func shortened(s string, head, tail int) string {
	if len(s) <= head+tail+1 {
		return s
	}
	return s[:head] + "…" + s[len(s)-tail:]
}
