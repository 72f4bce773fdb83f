package dashboard

import (
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/valyala/fasthttp"
)

// livez says that the process answers.
func (s *Server) livez(r web.Request) error {
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetContentType(web.TypeText)
	r.SetBodyString("ok\n")
	return nil
}

// readyz says whether every pool can serve miners and book their shares, and if not, why.
func (s *Server) readyz(r web.Request) error {
	var failed []view.Failure
	for _, p := range s.board.Pools {
		failed = append(failed, p.Failures(p.Snapshot())...)
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	if len(failed) == 0 {
		r.SetContentType(web.TypeJSON)
		r.SetBodyString("{\"ready\":true}\n")
		return nil
	}
	detail := ""
	for _, f := range failed {
		if detail != "" {
			detail += "; "
		}
		detail += f.Pool + ": " + f.Part + ": " + f.Error
	}
	r.Problem(web.Problem{Status: fasthttp.StatusServiceUnavailable, Detail: detail, Failed: failed})
	return nil
}
