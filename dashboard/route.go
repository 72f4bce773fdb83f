package dashboard

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

const (
	defaultLimit = 20
	maxLimit     = 100     // rows of one answer
	maxOffset    = 1 << 30 // rows left out before them
)

// handle answers one request.
func (s *Server) handle(r request) {
	s.meter.requests.Inc()
	secure(&r.Response.Header)
	if !r.IsGet() && !r.IsHead() {
		r.Response.Header.Set("Allow", "GET, HEAD")
		r.problem(problem{Status: fasthttp.StatusMethodNotAllowed, Detail: "only GET and HEAD"})
		return
	}
	path := strings.Split(strings.Trim(string(r.Path()), "/"), "/")
	if path[0] == "api" || len(path) == 1 && (path[0] == "readyz" || path[0] == "livez") {
		if err := s.api(r, path); err != nil {
			f := asFail(err)
			s.meter.count(f.status)
			r.problem(problem{Status: f.status, Detail: f.detail})
		}
		return
	}
	if err := s.site(r, path); err != nil {
		f := asFail(err)
		s.meter.count(f.status)
		s.pages.fail(r, f)
	}
}

// refuse answers what fasthttp could not read as a request.
func (s *Server) refuse(c *fasthttp.RequestCtx, err error) {
	s.meter.count(fasthttp.StatusBadRequest)
	r := request{RequestCtx: c}
	status, detail := fasthttp.StatusBadRequest, "not an HTTP request that can be answered"
	switch e := err.(type) {
	case *fasthttp.ErrSmallBuffer:
		status, detail = fasthttp.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("request line and headers have more than %d bytes", maxHeader)
	case interface{ Timeout() bool }:
		if e.Timeout() {
			status, detail = fasthttp.StatusRequestTimeout, "the request took too long to arrive"
		}
	}
	if err == fasthttp.ErrBodyTooLarge {
		status, detail = fasthttp.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBody)
	}
	c.Response.Reset()
	secure(&c.Response.Header)
	r.problem(problem{Status: status, Detail: detail})
	c.SetConnectionClose()
}

// api answers below /api and the health checks.
func (s *Server) api(r request, path []string) error {
	switch {
	case path[0] == "livez":
		return s.livez(r)
	case path[0] == "readyz":
		return s.readyz(r)
	case len(path) < 3 || len(path) > 7 || path[1] != "v1" || path[2] != "pools":
		return notFound("no such path; /api/v1/pools is where the API begins")
	case len(path) == 3:
		return s.apiPools(r)
	}
	p := s.byID[path[3]]
	if p == nil {
		return notFound(fmt.Sprintf("no pool %.40q", path[3]))
	}
	if len(path) == 4 {
		return s.apiPool(r, p)
	}
	what, id := path[4], ""
	if len(path) >= 6 {
		id = path[5]
	}
	if len(path) == 7 {
		if what == "blocks" && path[6] == "allocation" {
			return s.apiAllocation(r, p, id)
		}
		return notFound("no such path below " + what)
	}
	switch {
	case what == "blocks" && id == "":
		return s.apiBlocks(r, p)
	case what == "blocks":
		return s.apiBlock(r, p, id)
	case what == "payouts" && id == "":
		return s.apiPayouts(r, p)
	case what == "payouts":
		return s.apiPayout(r, p, id)
	case what == "heads" && id == "":
		return s.apiHeads(r, p)
	case what == "heads":
		return s.apiHead(r, p, id)
	case what == "miners" && id != "":
		return s.apiMiner(r, p, id)
	}
	return notFound("no such path below the pool; there are blocks, payouts, heads and miners/{address}")
}

// site answers pages, assets and metrics.
func (s *Server) site(r request, path []string) error {
	switch path[0] {
	case "":
		return s.pageOverview(r, s.pools)
	case "metrics":
		if len(path) == 1 {
			return s.metrics(r)
		}
	case "assets":
		return s.assets.serve(r, path[1:])
	case "favicon.ico":
		if len(path) == 1 {
			return r.redirect(s.assets.path("favicon.svg"))
		}
	case "user":
		switch len(path) {
		case 1:
			address := strings.TrimSpace(string(r.QueryArgs().Peek("address")))
			if address == "" {
				return r.redirect("/")
			}
			return r.redirect("/user/" + url.PathEscape(address))
		case 2:
			return s.pageUser(r, path[1])
		}
	default:
		p := s.byID[path[0]]
		switch {
		case p == nil:
		case len(path) == 1:
			return s.pageOverview(r, []*poolState{p})
		case len(path) == 2 && path[1] == "blocks":
			return s.pageBlocks(r, p)
		case len(path) == 3 && path[1] == "blocks":
			return s.pageBlock(r, p, path[2])
		case len(path) == 2 && path[1] == "payments":
			return s.pagePayments(r, p)
		}
	}
	return notFound("There is no page at this address.")
}

// redirect sends the client to a path of this site.
func (r request) redirect(path string) error {
	r.Response.Header.Set("Location", path)
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetStatusCode(fasthttp.StatusSeeOther)
	return nil
}

// page reads limit and offset of the query.
func (r request) page() (limit, offset int, err error) {
	limit = defaultLimit
	for _, v := range []struct {
		name     string
		to       *int
		min, max int
	}{{"limit", &limit, 1, maxLimit}, {"offset", &offset, 0, maxOffset}} {
		text := string(r.QueryArgs().Peek(v.name))
		if text == "" {
			continue
		}
		n, e := strconv.ParseUint(text, 10, 31)
		if e != nil || int(n) < v.min || int(n) > v.max {
			return 0, 0, fail{fasthttp.StatusBadRequest, fmt.Sprintf("%s must be a number from %d to %d", v.name, v.min, v.max)}
		}
		*v.to = int(n)
	}
	return limit, offset, nil
}
