package view

import (
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
)

// reportFresh is how long an edge's report counts as the present.
const reportFresh = time.Minute

// Failure is one thing that keeps a pool from its work.
type Failure struct {
	Pool  string `json:"pool"`
	Part  string `json:"part"` // "redis", "node", "journal", "ledger" or "job"
	Error string `json:"error"`
}

// State is what is known of a pool's edges: from this process when one runs here, else from the reports
// in the store. known is false when no edge has told anything of late.
func (p *Pool) State(snap *Snapshot) (live Live, known bool) {
	if f := p.board.opts.Live; f != nil {
		if live, ok := f(p.Info.ID); ok {
			live.Backlog = max(live.Backlog, snap.View.Backlog) // of other edges too, as long as Redis is there
			return live, true
		}
	}
	live = Live{Nodes: snap.View.Nodes, JournalError: snap.View.JournalError, Sessions: snap.View.Sessions, Backlog: snap.View.Backlog}
	if snap.View.JobTime > 0 {
		live.Job = time.UnixMilli(snap.View.JobTime)
	}
	return live, snap.View.Reported > 0 && p.board.now().Sub(time.UnixMilli(snap.View.Reported)) < reportFresh
}

// Failures lists what is wrong with a pool.
func (p *Pool) Failures(snap *Snapshot) []Failure {
	var out []Failure
	add := func(part, format string, args ...any) {
		out = append(out, Failure{Pool: p.Info.ID, Part: part, Error: fmt.Sprintf(format, args...)})
	}
	live, _ := p.State(snap)
	switch {
	case snap.Err != nil && live.Backlog > 0:
		add("redis", "%v; %d shares wait in the journal", snap.Err, live.Backlog)
	case snap.Err != nil:
		add("redis", "%v", snap.Err)
	}
	if up, why := nodesUp(live.Nodes); up == 0 {
		add("node", "%s", why)
	}
	if live.JournalError != "" {
		add("journal", "%s", live.JournalError)
	}
	if why := ledgerDown(snap.View.Ledgers); why != "" {
		add("ledger", "%s", why)
	}
	switch age := p.board.now().Sub(live.Job); {
	case live.Job.IsZero():
		add("job", "no job to give to miners")
	case age > p.board.opts.MaxJobAge:
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
