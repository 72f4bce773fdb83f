package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

// longpollPause is the least time between two long polls on one tip: a node that answers each at once
// must not be asked in a tight loop.
const longpollPause = 250 * time.Millisecond

// maxStale is how many templates in a row a node may give that are not on its tip.
const maxStale = 20

// work is the outcome of one call for a template.
type work struct {
	node     int
	template *pool.Template
	err      error
	long     uint64 // number of the long poll that it came by, 0 for a plain call
	full     bool   // the fuller check is done

	settled bool // other nodes have agreed, after a fuller check
}

// watch is one run of Watch. Its fields belong to the loop.
type watch struct {
	*Ring
	ctx     context.Context
	wg      *sync.WaitGroup // all goroutines of the run
	deliver func(*pool.Template)

	results chan work
	checked chan work

	current   *pool.Template // handed out last, nil when there is none or it was retired
	node      int            // where current came from
	delivered time.Time

	longCancel context.CancelFunc // of the long poll under way, nil when none
	longNumber uint64             // of the last long poll
	longID     string             // what the node in use wants named in the next one
	longStart  time.Time
	longDelay  time.Duration
	longAt     time.Time // earliest next start

	checking bool
	toCheck  *work     // newest template that waits for its check
	compared pool.Hash // tip whose template was set beside other nodes'
	idle     bool      // no node was usable at the last look

	patientUntil time.Time // till then the first template waits for preferred nodes to answer
}

// Watch hands every new template that passes the cheap truth to deliver, which is called from one
// goroutine and must not block, until ctx ends. New tips are seen by long poll on the node in use and by
// looking at every node's best block; the node with the highest tip gives the templates, the order of
// preference decides between equals. When no node can be used nothing is delivered and the last
// template stands; it recovers by itself. All goroutines have ended when it returns.
func (r *Ring) Watch(ctx context.Context, deliver func(*pool.Template)) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	w := &watch{
		Ring: r, ctx: ctx, wg: &wg, deliver: deliver,
		results: make(chan work), checked: make(chan work), longDelay: minDelay,
		patientUntil: time.Now().Add(minDelay),
	}
	for i := range r.clients {
		wg.Go(func() { r.look(ctx, i) })
	}
	tick := time.NewTicker(r.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.stopLong()
			return ctx.Err()
		case <-r.kick:
		case <-tick.C:
		case got := <-w.results:
			w.take(got)
		case c := <-w.checked:
			w.judge(c)
		}
		w.next(time.Now())
	}
}

// look follows one node's tip until ctx ends.
func (r *Ring) look(ctx context.Context, i int) {
	c := r.clients[i]
	known, delay := false, r.poll
	for {
		tip, err := pool.Tip{}, error(nil)
		if !known {
			err = c.CheckChain(ctx)
			known = err == nil
		}
		if err == nil {
			tip, err = c.Tip(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			delay = r.poll
		} else {
			known = false // another node may answer at this address next time
			delay = min(max(2*delay, minDelay), maxDelay)
		}
		r.saw(i, tip, err)
		select {
		case <-ctx.Done():
			return
		case <-r.hurry[i]:
		case <-time.After(delay):
		}
	}
}

// saw notes a look at a node's tip and wakes the loop when it changes anything.
func (r *Ring) saw(i int, tip pool.Tip, err error) {
	r.mu.Lock()
	s := &r.states[i]
	changed := !s.looked || (err == nil) != (s.lookErr == nil) || err == nil && tip != s.tip
	s.looked, s.lookErr = true, err
	if err == nil {
		s.tip = tip
		r.sight(i, tip, false, time.Now())
	}
	r.settle(i)
	r.mu.Unlock()
	if changed {
		r.wake()
	}
}

// settle follows a node's change between up and down. mu is held.
func (r *Ring) settle(i int) {
	s := &r.states[i]
	err := s.err()
	if up := err == nil; s.looked && (up != s.up || !s.told) {
		s.up, s.told, s.since = up, true, time.Now()
		if up {
			r.clients[i].log.Info().Int64("height", s.tip.Height).Msg("node is up")
		} else {
			r.clients[i].log.Warn().Err(err).Msg("node is down")
		}
	}
}

// pick chooses the node to take templates from: the highest tip, then prefer, then the order; -1 when
// none can be used. mu is held.
func (r *Ring) pick(now time.Time, prefer int) int {
	best := -1
	for i := range r.states {
		s := &r.states[i]
		if !s.looked || s.lookErr != nil || now.Before(s.retryAt) || !s.busySince.IsZero() && now.Sub(s.busySince) > patience {
			continue
		}
		if best < 0 || s.tip.Height > r.states[best].tip.Height || i == prefer && s.tip.Height == r.states[best].tip.Height {
			best = i
		}
	}
	return best
}

// unlooked tells whether a node that comes before i has not answered at all yet. mu is held.
func (r *Ring) unlooked(i int) bool {
	for j := range r.states[:i] {
		if !r.states[j].looked {
			return true
		}
	}
	return false
}

// sight measures how far nodes are behind each other: a node had a tip, by its long poll or not. mu is held.
func (r *Ring) sight(i int, tip pool.Tip, long bool, now time.Time) {
	if tip.Height > r.newest.Height || r.newestAt.IsZero() {
		r.newest, r.newestAt = tip, now
		for k := range r.states {
			r.states[k].lag, r.states[k].longLag = -1, -1
		}
	}
	if tip != r.newest {
		return
	}
	s := &r.states[i]
	if s.lag < 0 {
		s.lag = now.Sub(r.newestAt)
	}
	if long && s.longLag < 0 {
		s.longLag = now.Sub(r.newestAt)
	}
}

// next starts what is due: a template, a long poll, a check.
func (w *watch) next(now time.Time) {
	old := w.current == nil || now.Sub(w.delivered) >= w.refresh
	prefer := w.node
	if old {
		prefer = -1
	}
	w.mu.Lock()
	i := w.pick(now, prefer)
	fetch, full := false, false
	if first := w.current == nil && now.Before(w.patientUntil); i >= 0 && !(first && w.unlooked(i)) {
		s := &w.states[i]
		full = s.distrusted
		behind := w.current != nil && s.tip.Hash != w.current.PrevHash
		if fetch = (old || behind || i != w.node) && s.busySince.IsZero(); fetch {
			s.busySince = now
		}
	}
	w.mu.Unlock()
	if (i < 0) != w.idle {
		if w.idle = i < 0; w.idle && w.current != nil {
			w.log.Error().Str(pool.EventField, pool.EventNodeNone).Msg("no node can be used: miners keep their last job")
		}
	}
	if fetch {
		w.wg.Go(func() {
			got := work{node: i, full: full}
			got.template, got.err = w.clients[i].work(w.ctx, "")
			if got.err == nil && full {
				_, got.err = w.fullCheck(w.ctx, got, w.others(i))
			}
			w.send(got)
		})
	}
	w.startLong(now)
	w.startCheck()
}

func (w *watch) send(got work) {
	select {
	case w.results <- got:
	case <-w.ctx.Done():
	}
}

// take judges the outcome of a call for a template.
func (w *watch) take(got work) {
	now := time.Now()
	c := w.clients[got.node]
	if got.long != 0 {
		if w.longCancel == nil || w.longNumber != got.long {
			return // it was cancelled
		}
		quick := now.Sub(w.longStart) < time.Second
		w.stopLong()
		switch {
		case got.err != nil || quick && w.same(got.template):
			w.longDelay = min(2*w.longDelay, maxDelay)
			w.longAt = now.Add(w.longDelay)
		case quick && w.current != nil && w.current.PrevHash == got.template.PrevHash:
			w.longAt = now.Add(longpollPause)
		default:
			w.longDelay, w.longAt = minDelay/2, now
		}
		if got.err != nil && !errors.Is(got.err, ErrTemplate) {
			c.log.Debug().Err(got.err).Msg("long poll ended")
			return // looking at the tip goes on
		}
	}
	w.mu.Lock()
	s := &w.states[got.node]
	if got.long == 0 {
		s.busySince = time.Time{}
	}
	switch {
	case got.err == nil:
		s.templateErr, s.delay, s.retryAt, s.stale = nil, 0, time.Time{}, 0
		s.distrusted = s.distrusted && !got.full
		s.tip = pool.Tip{Hash: got.template.PrevHash, Height: got.template.Height - 1}
		w.sight(got.node, s.tip, got.long != 0, now)
	case errors.Is(got.err, errStale) && s.stale < maxStale:
		s.stale++
		s.retryAt = now.Add(w.poll / 4)
	default:
		w.refuse(got.node, got.err, now)
	}
	w.settle(got.node)
	prefer := w.node
	if w.current == nil || now.Sub(w.delivered) >= w.refresh {
		prefer = -1
	}
	wanted := w.pick(now, prefer) == got.node
	w.mu.Unlock()
	if got.err != nil {
		if errors.Is(got.err, ErrTemplate) {
			c.log.Error().Str(pool.EventField, pool.EventTemplateRefused).Err(got.err).Msg("template refused: the node is faulty or lies")
		}
		return
	}
	if got.node == w.node {
		w.longID = got.template.LongpollID
	}
	if !wanted && w.current != nil && got.template.Height <= w.current.Height {
		return
	}
	if w.same(got.template) && now.Sub(w.delivered) < w.refresh && w.node == got.node {
		return
	}
	w.hand(got, now)
}

// refuse notes that a node gave no usable template. mu is held.
func (r *Ring) refuse(i int, err error, now time.Time) {
	s := &r.states[i]
	s.templateErr = err
	s.delay = min(max(2*s.delay, minDelay), maxDelay)
	s.retryAt = now.Add(s.delay)
}

// same tells whether t is the current template but for its time.
func (w *watch) same(t *pool.Template) bool {
	c := w.current
	if c == nil || t == nil || c.PrevHash != t.PrevHash || c.Bits != t.Bits || c.CoinbaseValue != t.CoinbaseValue || len(c.Txs) != len(t.Txs) {
		return false
	}
	return len(t.Txs) == 0 || c.Txs[len(t.Txs)-1].ID == t.Txs[len(t.Txs)-1].ID
}

// hand makes a template the current one.
func (w *watch) hand(got work, now time.Time) {
	if w.node != got.node {
		w.stopLong()
	}
	w.current, w.node, w.delivered, w.longID = got.template, got.node, now, got.template.LongpollID
	w.mu.Lock()
	w.source = got.node
	w.mu.Unlock()
	w.deliver(got.template)
	if !got.full {
		w.toCheck = &got
	}
}

func (w *watch) stopLong() {
	if w.longCancel != nil {
		w.longCancel()
		w.longCancel = nil
	}
}

// startLong opens a long poll on the node in use unless one is open.
func (w *watch) startLong(now time.Time) {
	if w.current == nil || w.longID == "" || w.longCancel != nil || now.Before(w.longAt) {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.longNumber++
	w.longCancel, w.longStart = cancel, now
	i, id, number := w.node, w.longID, w.longNumber
	w.wg.Go(func() {
		t, err := w.clients[i].work(ctx, id)
		w.send(work{node: i, template: t, err: err, long: number})
	})
}

// startCheck begins the fuller check of the newest template, one at a time.
func (w *watch) startCheck() {
	if w.checking || w.toCheck == nil {
		return
	}
	got := *w.toCheck
	w.toCheck, w.checking = nil, true
	var others []*Client
	if w.compared != got.template.PrevHash {
		others = w.others(got.node)
	}
	w.wg.Go(func() {
		got.settled, got.err = w.fullCheck(w.ctx, got, others)
		select {
		case w.checked <- got:
		case <-w.ctx.Done():
		}
	})
}

// judge retires a template that failed its fuller check.
func (w *watch) judge(c work) {
	w.checking = false
	if c.settled {
		w.compared = c.template.PrevHash // once a tip, when the other nodes have it too
	}
	log := w.clients[c.node].log
	if !errors.Is(c.err, ErrTemplate) {
		if c.err != nil && !errors.Is(c.err, errStale) {
			log.Debug().Err(c.err).Msg("template could not be checked fully")
		}
		return
	}
	log.Error().Str(pool.EventField, pool.EventTemplateRefused).Err(c.err).Int64("height", c.template.Height).Msg("template retired: the node is faulty or lies")
	w.mu.Lock()
	w.refuse(c.node, c.err, time.Now())
	w.states[c.node].distrusted = true
	w.settle(c.node)
	w.mu.Unlock()
	if w.current == c.template {
		w.current = nil
		w.stopLong()
	}
	w.retired(c.template, c.err)
}
