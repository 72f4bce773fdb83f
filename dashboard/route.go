package dashboard

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/valyala/fasthttp"
)

// handle answers one request.
func (s *Server) handle(r web.Request) {
	s.meter.requests.Inc()
	web.Secure(&r.Response.Header)
	if !r.IsGet() && !r.IsHead() {
		r.Response.Header.Set("Allow", "GET, HEAD")
		r.Problem(web.Problem{Status: fasthttp.StatusMethodNotAllowed, Detail: "only GET and HEAD"})
		return
	}
	path := strings.Split(strings.Trim(string(r.Path()), "/"), "/")
	if path[0] != "assets" && path[0] != "livez" && path[0] != "readyz" && path[0] != "metrics" && !s.limiter.Allow(r, s.now()) {
		s.meter.count(fasthttp.StatusTooManyRequests)
		return
	}
	if path[0] == "api" && len(path) > 1 || len(path) == 1 && (path[0] == "readyz" || path[0] == "livez") {
		if err := s.machine(r, path); err != nil {
			f := web.AsFail(err)
			s.meter.count(f.Status)
			r.Problem(web.Problem{Status: f.Status, Detail: f.Detail})
		}
		return
	}
	if err := s.site(r, path); err != nil {
		f := web.AsFail(err)
		s.meter.count(f.Status)
		s.pages.fail(r, f)
	}
}

// refuse answers what fasthttp could not read as a request.
func (s *Server) refuse(c *fasthttp.RequestCtx, err error) {
	s.meter.count(fasthttp.StatusBadRequest)
	r := web.Request{RequestCtx: c}
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
	web.Secure(&c.Response.Header)
	r.Problem(web.Problem{Status: status, Detail: detail})
	c.SetConnectionClose()
}

// machine answers programs.
func (s *Server) machine(r web.Request, path []string) error {
	switch path[0] {
	case "livez":
		return s.livez(r)
	case "readyz":
		return s.readyz(r)
	}
	return s.api.Handle(r, path[1:])
}

// site answers pages, assets and metrics.
func (s *Server) site(r web.Request, path []string) error {
	switch path[0] {
	case "metrics":
		if len(path) == 1 {
			return s.metrics(r)
		}
	case "assets":
		return s.assets.serve(r, path[1:])
	case "favicon.ico":
		if len(path) == 1 {
			return r.RedirectTo(s.assets.path("favicon.svg"))
		}
	case "language":
		if len(path) == 1 {
			return s.pages.choose(r)
		}
	case "users", "stats": // where rigs' own pages and other pools put a miner's page
		if len(path) == 2 {
			return r.RedirectTo(userPath(path[1]))
		}
	case "app": // "/#/app/ADDRESS" is a path to the browser's script alone; it asks for this
		if len(path) == 2 {
			return r.RedirectTo(userPath(path[1]))
		}
	case "user":
		switch {
		case len(path) == 1:
			address := strings.TrimSpace(string(r.QueryArgs().Peek("address")))
			if address == "" {
				return r.RedirectTo("/")
			}
			return r.RedirectTo(userPath(address))
		case len(path) == 2:
			return s.pageUser(r, path[1])
		case len(path) == 4 && path[2] == "w":
			return s.pageWorker(r, path[1], path[3])
		case len(path) == 5 && path[2] == "credit":
			if p := s.board.Pool(path[3]); p != nil {
				return s.pageCredit(r, p, path[1], path[4])
			}
		}
	case "rejects":
		if len(path) <= 2 {
			return s.pageRejects(r, path[1:])
		}
	default:
		if len(path) == 1 {
			switch path[0] {
			case "":
				return s.pageOverview(r, s.board.Pools)
			case "start":
				return s.pageStart(r)
			case "status":
				return s.pageStatus(r)
			case "api":
				return s.pageAPI(r)
			}
		}
		if p := s.board.Pool(path[0]); p != nil {
			return s.poolPage(r, p, path[1:])
		}
	}
	return web.NotFound("There is no page at this address.")
}

func (s *Server) poolPage(r web.Request, p *view.Pool, path []string) error {
	switch {
	case len(path) == 0:
		return s.pageOverview(r, []*view.Pool{p})
	case len(path) == 1 && path[0] == "blocks":
		return s.pageBlocks(r, p)
	case len(path) == 2 && path[0] == "blocks":
		return s.pageBlock(r, p, path[1])
	case len(path) == 1 && path[0] == "payments":
		return s.pagePayments(r, p)
	case len(path) == 1 && path[0] == "leaders":
		return s.pageLeaders(r, p)
	}
	return web.NotFound("There is no page at this address.")
}

func userPath(address string) string { return "/user/" + url.PathEscape(address) }

func workerPath(address, name string) string {
	if name == "" {
		name = "~"
	}
	return userPath(address) + "/w/" + url.PathEscape(name)
}
