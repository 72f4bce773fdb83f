package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// exposition writes metrics of one pool in the Prometheus text format.
type exposition struct {
	w    io.Writer
	pool string
}

// one writes a value; labels are names and values in turn.
func (x exposition) one(name string, value any, labels ...string) {
	fmt.Fprintf(x.w, "%s{%s} %v\n", name, x.labels(labels), value)
}

func (x exposition) labels(more []string) string {
	s := "pool=" + strconv.Quote(x.pool)
	for i := 0; i < len(more); i += 2 {
		s += "," + more[i] + "=" + strconv.Quote(more[i+1])
	}
	return s
}

// each writes a family with one label, in its order.
func (x exposition) each(name, label string, values map[string]uint64, labels ...string) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		x.one(name, values[k], append(slices.Clone(labels), label, k)...)
	}
}

// durations writes a histogram.
func (x exposition) durations(name string, d *pool.Durations, labels ...string) {
	buckets, sum := d.Buckets()
	for _, b := range buckets {
		le := "+Inf"
		if b.Seconds < 1e6 {
			le = strconv.FormatFloat(b.Seconds, 'g', -1, 64)
		}
		x.one(name+"_bucket", b.Count, append(slices.Clone(labels), "le", le)...)
	}
	x.one(name+"_sum", sum, labels...)
	x.one(name+"_count", buckets[len(buckets)-1].Count, labels...)
}

// metrics writes what this process counts of its pool: with the edge role shares and connections, with the
// ledger role blocks, payouts and money. No label comes from a miner.
func (r *room) metrics(w io.Writer) {
	x := exposition{w, r.cfg.ID}
	if r.edge != nil {
		r.edgeMetrics(x)
	}
	if r.keeper != nil {
		r.ledgerMetrics(x)
	}
}

func (r *room) edgeMetrics(x exposition) {
	t := r.edge.Totals()
	x.one("pool_shares_total", t.Accepted, "result", "accepted", "reason", "")
	x.each("pool_shares_total", "reason", t.Rejected, "result", "rejected")
	x.one("pool_share_hashes_total", t.Hashes)
	x.one("pool_blocks_submitted_total", t.Found)
	x.each("pool_blocks_answered_total", "result", t.Blocks)
	x.durations("pool_submit_duration_seconds", r.edge.SubmitTimes())
	x.one("pool_stratum_memory_bytes", r.memory.Held())
	for i, s := range r.servers {
		at := []string{"listener", r.listeners[i].Addr().String()}
		st := s.Stats()
		x.one("pool_stratum_connections", st.Connections, at...)
		x.one("pool_stratum_accepted_total", st.Accepted, at...)
		x.one("pool_stratum_messages_total", st.Messages, at...)
		x.one("pool_stratum_malformed_total", st.Malformed, at...)
		x.one("pool_stratum_throttled_total", st.Throttled, at...)
		x.one("pool_stratum_jobs_total", st.Jobs, at...)
		x.each("pool_stratum_closed_total", "reason", st.Closed, at...)
		x.durations("pool_job_broadcast_duration_seconds", s.JobTimes(), at...)
	}
}

func (r *room) ledgerMetrics(x exposition) {
	told := r.told.counts()
	for _, event := range narrated {
		x.one("pool_events_total", told[event], "event", event)
	}
	x.one("pool_reconcile_differences", r.told.differences.Load())
	owed, ok := r.books.read(r.keeper.Book)
	if !ok {
		return // another ledger role has the figures
	}
	for _, side := range []ledger.Side{ledger.Immature, ledger.Available, ledger.InPayout} {
		x.one("pool_owed_base_units", owed.sides[side], "side", string(side))
	}
	x.one("pool_wallet_base_units", owed.wallet)
}

// owedFresh is how old the sums of the book may be: they take milliseconds with a hundred thousand accounts.
const owedFresh = 30 * time.Second

// bookSums remembers what the book says that the pool owes and has.
type bookSums struct {
	mu   sync.Mutex
	at   time.Time   // guarded by mu
	head ledger.Head // guarded by mu
	last owing       // guarded by mu
}

type owing struct {
	sides  map[ledger.Side]pool.Amount // owed to all miners
	wallet pool.Amount                 // spendable outputs of the pool, by the book
}

// read sums up the book, at most every half minute; ok is false while another ledger role has it.
func (s *bookSums) read(open func() (*ledger.Book, error)) (_ owing, ok bool) {
	book, err := open()
	if err != nil {
		return owing{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head := book.Head()
	if s.last.sides != nil && (head == s.head || time.Since(s.at) < owedFresh) {
		return s.last, true
	}
	s.at, s.head, s.last = time.Now(), head, owing{sides: make(map[ledger.Side]pool.Amount)}
	for account, amount := range book.Balances() {
		if _, side, ok := account.Miner(); ok {
			s.last.sides[side] += amount
		} else if account == ledger.Wallet {
			s.last.wallet = amount
		}
	}
	return s.last, true
}
