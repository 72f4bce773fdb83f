package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/valyala/fasthttp"
)

// Limits of live streams.
const (
	Tick        = 2 * time.Second
	maxStreams  = 6000
	maxFromOne  = 64 // streams of one client; loopback, where a proxy may speak for all, has no limit of its own
	maxWatched  = 4  // addresses of one stream
	minersATick = 100
	keptNews    = 256
	writeFor    = 10 * time.Second
)

// Events are the live streams. All of them are given the same bytes, encoded once a tick; a stream that
// cannot follow skips states, never news, and one that takes nothing for ten seconds is closed.
type Events struct {
	board   *view.Board   // static
	every   time.Duration // static
	boot    string        // static; part of ids, so that those of another process are not taken for ours
	stopped chan struct{} // closed when the streams end

	mu      sync.Mutex
	streams int                // guarded by mu
	from    map[netip.Addr]int // guarded by mu
	watched map[watch]int      // guarded by mu; streams by what they watch
	last    *frame             // guarded by mu
	news    []newsItem         // guarded by mu; the newest, oldest first
	known   map[string]string  // owned by Run; state of every block and payout that news knows
	turn    int                // owned by Run; where the next tick goes on with the watched addresses
	said    map[watch][]byte   // owned by Run; last event of everything watched
}

// watch is an address as those see it who have the same keys.
type watch struct {
	address string
	keys    string // joined by "."
}

// frame is what one tick tells. Its fields are set before the frame before it is done.
type frame struct {
	seq    uint64
	state  []byte           // the pools event
	news   []byte           // events of what changed, may be none
	miners map[watch][]byte // where something changed
	done   chan struct{}    // closed when after is set
	after  *frame
}

type newsItem struct {
	seq  uint64
	text []byte
}

// NewEvents makes the streams of a board. Run drives them.
func NewEvents(board *view.Board, every time.Duration) *Events {
	boot := strconv.FormatInt(board.Now().UnixMilli(), 36)
	return &Events{board: board, every: every, boot: boot, stopped: make(chan struct{}), from: make(map[netip.Addr]int),
		watched: make(map[watch]int), last: &frame{done: make(chan struct{})}, said: make(map[watch][]byte)}
}

// Run ticks until ctx ends, and then ends every stream.
func (e *Events) Run(ctx context.Context) {
	defer close(e.stopped)
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	for {
		e.tick()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Streams is how many there are now.
func (e *Events) Streams() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.streams
}

// Ticks is how many frames were made.
func (e *Events) Ticks() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last.seq
}

type livePool struct {
	ID                string            `json:"id"`
	Hashrate          float64           `json:"hashrate"`
	Miners            int               `json:"miners"`
	Workers           int               `json:"workers"`
	Sessions          int               `json:"sessions"`
	Height            int64             `json:"height"`
	NetworkDifficulty float64           `json:"network_difficulty"`
	NetworkWork       string            `json:"network_work"`
	JobTime           *string           `json:"job_time"`
	Effort            *float64          `json:"effort"`
	Accepted          uint64            `json:"accepted"`
	Rejected          map[string]uint64 `json:"rejected"`
	Blocks            int               `json:"blocks"`
	Payouts           int               `json:"payouts"`
	LedgerSeq         uint64            `json:"ledger_seq"`
	Failed            int               `json:"failed"` // parts that do not work
}

type liveMiner struct {
	Address   string     `json:"address"`
	Pool      string     `json:"pool"`
	Hashrate  float64    `json:"hashrate"`
	Immature  amountText `json:"immature"`
	Available amountText `json:"available"`
	InPayout  amountText `json:"in_payout"`
	Paid      amountText `json:"paid"`
	Share     *float64   `json:"share"` // of the window
	Accepted  uint64     `json:"accepted"`
	Rejected  uint64     `json:"rejected"`
	LastShare *string    `json:"last_share"`
	Workers   int        `json:"workers"` // with a share in ten minutes
}

// tick makes the next frame.
func (e *Events) tick() {
	next := &frame{done: make(chan struct{}), miners: make(map[watch][]byte)}
	state := make([]livePool, 0, len(e.board.Pools))
	var changed []byte
	first := e.known == nil
	if first {
		e.known = make(map[string]string)
	}
	note := func(event, pool, id, state string, doc any) {
		key := event + " " + pool + " " + id
		if e.known[key] != state {
			if !first {
				changed = append(changed, message(event, "", doc)...)
			}
			e.known[key] = state
		}
	}
	present := make(map[string]string)
	for _, p := range e.board.Pools {
		snap := p.Snapshot()
		state = append(state, livePoolOf(p, snap))
		for _, b := range snap.Blocks.Docs {
			note("block", p.Info.ID, b.Hash.String(), string(b.State), map[string]any{"pool": p.Info.ID, "hash": b.Hash, "height": b.Height, "state": b.State})
			present["block "+p.Info.ID+" "+b.Hash.String()] = string(b.State)
		}
		for _, d := range snap.Payouts.Docs {
			note("payout", p.Info.ID, d.ID, string(d.State), map[string]any{"pool": p.Info.ID, "id": d.ID, "state": d.State})
			present["payout "+p.Info.ID+" "+d.ID] = string(d.State)
		}
	}
	if len(e.known) > 4*len(present)+64 {
		e.known = present
	}
	for _, w := range e.turns() {
		if text := e.minerEvent(w); text != nil && !bytes.Equal(text, e.said[w]) {
			next.miners[w], e.said[w] = text, text
		}
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	next.seq = e.last.seq + 1
	id := e.boot + "-" + strconv.FormatUint(next.seq, 10)
	next.state = message("pools", id, map[string]any{"pools": state})
	next.news = changed
	if len(changed) > 0 {
		e.news = append(e.news, newsItem{next.seq, changed})
		e.news = e.news[max(len(e.news)-keptNews, 0):]
	}
	was := e.last
	was.after, e.last = next, next
	close(was.done)
}

// turns are the addresses to look at in this tick: all, or the next hundred of them.
func (e *Events) turns() []watch {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]watch, 0, len(e.watched))
	for a := range e.watched {
		all = append(all, a)
	}
	for a := range e.said {
		if e.watched[a] == 0 {
			delete(e.said, a)
		}
	}
	if len(all) <= minersATick {
		return all
	}
	e.turn = (e.turn + minersATick) % len(all) // maps are walked in random order: each comes now and then
	return append(all, all...)[e.turn : e.turn+minersATick]
}

// message is one server-sent event; id "" gives it none.
func message(event, id string, data any) []byte {
	body, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", event, body)
	return b.Bytes()
}

func livePoolOf(p *view.Pool, snap *view.Snapshot) livePool {
	v := &snap.View
	live, _ := p.State(snap)
	out := livePool{
		ID: p.Info.ID, Hashrate: view.Finite(v.Hashrate), Miners: v.Miners, Workers: v.Workers, Sessions: live.Sessions, Height: v.Height,
		NetworkDifficulty: view.Finite(v.NetworkDifficulty), NetworkWork: v.NetworkWork, JobTime: timeText(live.Job), Accepted: v.Accepted,
		Rejected: orNone(v.Rejected), Blocks: snap.Blocks.Total, Payouts: snap.Payouts.Total, LedgerSeq: snap.Head.Seq, Failed: len(p.Failures(snap)),
	}
	if snap.Measured {
		out.Effort = &snap.Effort
	}
	return out
}

// minerEvent is the event of an address in all pools where it is known, nil when nothing could be read.
// Of an account that its owner shows only in part there is no more than that for who has no key of it.
func (e *Events) minerEvent(w watch) []byte {
	address := w.address
	var keys []string
	if w.keys != "" {
		keys = strings.Split(w.keys, ".")
	}
	var out []liveMiner
	for _, p := range e.board.Pools {
		script, err := p.Info.Chain.Script(address)
		if err != nil {
			continue
		}
		id := pool.AccountOf(p.Info.ID, script)
		shown, err := p.Open(id, keys)
		if err != nil {
			continue
		}
		a, err := p.Account(id)
		if err != nil {
			continue
		}
		if shown != ledger.ShowAll {
			a = a.Rates()
		}
		m := liveMiner{Address: address, Pool: p.Info.ID, Hashrate: view.Finite(a.View.Hashrate), Immature: amountText(a.Immature),
			Available: amountText(a.Available), InPayout: amountText(a.InPayout), Paid: amountText(a.Paid)}
		if !a.Total.IsZero() {
			share := min(view.Finite(a.Score.Float64()/a.Total.Float64()), 1)
			m.Share = &share
		}
		var last int64
		now := e.board.Now()
		for i := range a.View.Workers {
			w := &a.View.Workers[i]
			m.Accepted += w.Accepted
			for _, n := range w.Rejected {
				m.Rejected += n
			}
			last = max(last, w.LastShare)
			if view.WorkerStatus(w, now) != view.WorkerOffline {
				m.Workers++
			}
		}
		m.LastShare = milliText(last)
		out = append(out, m)
	}
	if out == nil {
		return nil
	}
	return message("miner", "", map[string]any{"miners": out})
}

// Serve answers with a stream.
func (e *Events) Serve(r web.Request) error {
	var addresses []watch
	keys := strings.Join(r.Keys(), ".")
	for key, value := range r.QueryArgs().All() {
		if string(key) != "miner" {
			return web.BadRequest(fmt.Sprintf("unknown parameter %.40q; there is miner", key))
		}
		if len(addresses) == maxWatched || len(value) > 128 {
			return web.BadRequest(fmt.Sprintf("miner is an address, at most %d times", maxWatched))
		}
		address := string(value)
		if !e.payable(address) {
			return web.NotFound(fmt.Sprintf("%.128q is no address that a pool here can pay", address))
		}
		addresses = append(addresses, watch{address, keys})
	}
	if r.IsHead() {
		r.SetContentType("text/event-stream")
		return nil
	}
	at, _ := netip.AddrFromSlice(r.RemoteIP())
	at = at.Unmap()
	from, leave, err := e.join(at, addresses)
	if err != nil {
		return err
	}
	missed := e.missed(string(r.Request.Header.Peek("Last-Event-ID")))
	var hello bytes.Buffer
	hello.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\nX-Accel-Buffering: no\r\n")
	var h fasthttp.ResponseHeader
	h.SetNoDefaultContentType(true)
	web.Secure(&h)
	for key, value := range h.All() {
		if k := string(key); k != "Connection" && k != "Content-Length" && k != "Date" {
			fmt.Fprintf(&hello, "%s: %s\r\n", key, value)
		}
	}
	hello.WriteString("\r\nretry: 3000\n\n")
	hello.Write(missed)
	r.HijackSetNoResponse(true)
	r.Hijack(func(c net.Conn) {
		defer leave()
		e.follow(c, from, hello.Bytes(), addresses)
	})
	return nil
}

func (e *Events) payable(address string) bool {
	for _, p := range e.board.Pools {
		if _, err := p.Info.Chain.Script(address); err == nil {
			return true
		}
	}
	return false
}

// join counts a stream; leave takes it out again.
func (e *Events) join(at netip.Addr, addresses []watch) (from *frame, leave func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.stopped:
		return nil, nil, web.Fail{Status: 503, Detail: "the server is ending"}
	default:
	}
	if e.streams >= maxStreams || !at.IsLoopback() && e.from[at] >= maxFromOne {
		return nil, nil, web.Fail{Status: 429, Detail: "too many live streams; the same values are at /api/v1/pools"}
	}
	e.streams++
	e.from[at]++
	for _, a := range addresses {
		e.watched[a]++
	}
	return e.last, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.streams--
		if e.from[at]--; e.from[at] == 0 {
			delete(e.from, at)
		}
		for _, a := range addresses {
			if e.watched[a]--; e.watched[a] == 0 {
				delete(e.watched, a)
			}
		}
	}, nil
}

// missed are the news since the event that a client saw last; an id that is not ours misses nothing.
func (e *Events) missed(lastID string) []byte {
	text, ok := strings.CutPrefix(lastID, e.boot+"-")
	seq, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []byte
	for _, n := range e.news {
		if n.seq > seq && n.seq <= e.last.seq {
			out = append(out, n.text...)
		}
	}
	return out
}

// follow writes frames until the client is gone or the streams end.
func (e *Events) follow(c net.Conn, f *frame, hello []byte, addresses []watch) {
	send := func(b []byte) bool {
		if err := c.SetWriteDeadline(time.Now().Add(writeFor)); err != nil {
			return false
		}
		_, err := c.Write(b)
		return err == nil
	}
	for _, a := range addresses {
		hello = append(hello, e.minerEvent(a)...)
	}
	if !send(append(hello, f.state...)) {
		return
	}
	for {
		select {
		case <-f.done:
		case <-e.stopped:
			send([]byte("event: bye\ndata: {}\n\n"))
			return
		}
		var news []byte // states in between are old, news are not
		for behind := true; behind; {
			f = f.after
			news = append(news, f.news...)
			for _, a := range addresses {
				news = append(news, f.miners[a]...)
			}
			select {
			case <-f.done:
			default:
				behind = false
			}
		}
		out := f.state
		if len(news) > 0 {
			out = slices.Concat(f.state, news)
		}
		if !send(out) {
			return
		}
	}
}
