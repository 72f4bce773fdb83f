package dashboard

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/VictoriaMetrics/metrics"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
)

// meter counts the dashboard's own work.
type meter struct {
	set      *metrics.Set     // static
	requests *metrics.Counter // static
}

func (m *meter) make() {
	m.set = metrics.NewSet()
	m.requests = m.set.NewCounter("pool_http_requests_total")
}

// count notes an answer that is an error.
func (m *meter) count(status int) {
	m.set.GetOrCreateCounter(`pool_http_errors_total{code="` + strconv.Itoa(status) + `"}`).Inc()
}

// metrics answers in the Prometheus text format. No label comes from a miner.
func (s *Server) metrics(r web.Request) error {
	var buf bytes.Buffer
	now := s.now()
	metrics.WriteGaugeUint64(&buf, fmt.Sprintf("pool_build_info{version=%q}", s.opts.Version), 1)
	metrics.WriteGaugeFloat64(&buf, "pool_uptime_seconds", now.Sub(s.started).Seconds())
	for _, p := range s.board.Pools {
		snap := p.Snapshot()
		live, known := p.State(snap)
		label := "pool=" + strconv.Quote(p.Info.ID)
		gauge := func(name, more string, v float64) {
			metrics.WriteGaugeFloat64(&buf, name+"{"+label+more+"}", view.Finite(v))
		}
		flag := func(name, more string, ok bool) {
			v := 0.0
			if ok {
				v = 1
			}
			gauge(name, more, v)
		}
		v := &snap.View
		gauge("pool_hashrate_hashes_per_second", `,window="10m"`, v.Hashrate)
		gauge("pool_miners", "", float64(v.Miners))
		gauge("pool_workers", "", float64(v.Workers))
		gauge("pool_sessions", "", float64(live.Sessions))
		gauge("pool_height", "", float64(v.Height))
		gauge("pool_network_difficulty", "", v.NetworkDifficulty)
		gauge("pool_network_work_hashes", "", view.ExpectedHashes(v))
		gauge("pool_shares_last_day", `,result="accepted",reason=""`, float64(v.Accepted))
		for _, reason := range reasons(v.Rejected) {
			gauge("pool_shares_last_day", `,result="rejected",reason=`+strconv.Quote(reason.Reason), float64(reason.Count))
		}
		gauge("pool_journal_backlog_shares", "", float64(live.Backlog))
		flag("pool_journal_up", "", known && live.JournalError == "")
		flag("pool_store_up", "", snap.Err == nil)
		if !snap.At.IsZero() {
			gauge("pool_store_age_seconds", "", now.Sub(snap.At).Seconds())
		}
		if !live.Job.IsZero() {
			gauge("pool_job_age_seconds", "", now.Sub(live.Job).Seconds())
		}
		for _, n := range live.Nodes {
			flag("pool_node_up", ",node="+strconv.Quote(n.Name), n.Up)
			gauge("pool_node_height", ",node="+strconv.Quote(n.Name), float64(n.Height))
			lag := func(name string, ms int64) { // NaN while it is not known
				seconds := math.NaN()
				if ms >= 0 {
					seconds = float64(ms) / 1000
				}
				metrics.WriteGaugeFloat64(&buf, name+"{"+label+",node="+strconv.Quote(n.Name)+"}", seconds)
			}
			lag("pool_node_lag_seconds", n.Lag)
			lag("pool_node_longpoll_lag_seconds", n.LongPoll)
		}
		for _, e := range v.Edges {
			flag("pool_edge_up", ",edge="+strconv.Quote(e.Name), !e.Silent && e.JournalError == "")
			gauge("pool_edge_sessions", ",edge="+strconv.Quote(e.Name), float64(e.Sessions))
		}
		for _, l := range v.Ledgers {
			name := ",ledger=" + strconv.Quote(l.Name)
			for _, state := range pool.LedgerStates {
				flag("pool_ledger_state", name+",state="+strconv.Quote(state), l.State == state)
			}
			for _, disks := range pool.LedgerDisks {
				flag("pool_ledger_disks", name+",disks="+strconv.Quote(disks), l.Disks == disks)
			}
		}
		gauge("pool_blocks", "", float64(snap.Blocks.Total))
		gauge("pool_payouts", "", float64(snap.Payouts.Total))
		gauge("pool_ledger_sequence", "", float64(snap.Head.Seq))
		gauge("pool_ledger_term", "", float64(snap.Head.Term))
		flag("pool_ready", "", len(p.Failures(snap)) == 0)
	}
	metrics.WriteGaugeUint64(&buf, "pool_http_streams", uint64(s.events.Streams()))
	s.meter.set.WritePrometheus(&buf)
	metrics.WriteProcessMetrics(&buf)
	metrics.WriteFDMetrics(&buf)
	if s.opts.Metrics != nil {
		s.opts.Metrics(&buf)
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	r.SetBody(buf.Bytes())
	return nil
}
