package dashboard

import (
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/valyala/fasthttp"
)

// reportFresh is how long an edge's report counts as the present.
const reportFresh = time.Minute

// failure is one thing that keeps a pool from its work.
type failure struct {
	Pool  string `json:"pool"`
	Part  string `json:"part"` // "redis", "node", "journal", "ledger" or "job"
	Error string `json:"error"`
}

// livez says that the process answers.
func (s *Server) livez(r request) error {
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetContentType(typeText)
	r.SetBodyString("ok\n")
	return nil
}

// readyz says whether every pool can serve miners and book their shares, and if not, why.
func (s *Server) readyz(r request) error {
	var failed []failure
	for _, p := range s.pools {
		failed = append(failed, p.failures(p.snapshot(r))...)
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	if len(failed) == 0 {
		r.SetContentType(typeJSON)
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
	r.problem(problem{Status: fasthttp.StatusServiceUnavailable, Detail: detail, Failed: failed})
	return nil
}

// state is what is known of a pool's edges: from this process when one runs here, else from the reports
// in the store. known is false when no edge has told anything of late.
func (p *poolState) state(snap *snapshot) (live Live, known bool) {
	if f := p.server.opts.Live; f != nil {
		if live, ok := f(p.info.ID); ok {
			live.Backlog = max(live.Backlog, snap.view.Backlog) // of other edges too, as long as Redis is there
			return live, true
		}
	}
	live = Live{Nodes: snap.view.Nodes, JournalError: snap.view.JournalError, Sessions: snap.view.Sessions, Backlog: snap.view.Backlog}
	if snap.view.JobTime > 0 {
		live.Job = time.UnixMilli(snap.view.JobTime)
	}
	return live, snap.view.Reported > 0 && p.server.now().Sub(time.UnixMilli(snap.view.Reported)) < reportFresh
}

// failures lists what is wrong with a pool.
func (p *poolState) failures(snap *snapshot) []failure {
	var out []failure
	add := func(part, format string, args ...any) {
		out = append(out, failure{Pool: p.info.ID, Part: part, Error: fmt.Sprintf(format, args...)})
	}
	live, _ := p.state(snap)
	switch {
	case snap.err != nil && live.Backlog > 0:
		add("redis", "%v; %d shares wait in the journal", snap.err, live.Backlog)
	case snap.err != nil:
		add("redis", "%v", snap.err)
	}
	if up, why := nodesUp(live.Nodes); up == 0 {
		add("node", "%s", why)
	}
	if live.JournalError != "" {
		add("journal", "%s", live.JournalError)
	}
	if why := ledgerDown(snap.view.Ledgers); why != "" {
		add("ledger", "%s", why)
	}
	switch age := p.server.now().Sub(live.Job); {
	case live.Job.IsZero():
		add("job", "no job to give to miners")
	case age > p.server.opts.MaxJobAge:
		add("job", "the job in hand is %s old", age.Round(time.Second))
	}
	return out
}

// ledgerDown says why nothing is settled, "" when a ledger role is active or none has ever told anything.
func ledgerDown(ledgers []pool.LedgerReport) string {
	why := ""
	for _, l := range ledgers {
		if l.State == pool.LedgerActive {
			return ""
		}
		if why != "" {
			why += "; "
		}
		why += l.Name + " is " + l.State
		if l.Error != "" {
			why += ": " + l.Error
		}
	}
	return why
}

// nodesUp counts the nodes that answer; why says what is wrong when there is none.
func nodesUp(nodes []pool.NodeReport) (up int, why string) {
	why = "no full node is known"
	for i, n := range nodes {
		if n.Up {
			up++
		} else if i == 0 || why == "" {
			why = fmt.Sprintf("%s is down: %s", n.Name, n.Error)
		}
	}
	return up, why
}
