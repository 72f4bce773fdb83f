package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	maxUnanswered = 64 // submits in flight; the threads wait for room
	maxBad        = 8  // lines not understood before a connection is given up

	// versionMask is what the rig can roll: the general-purpose bits of BIP320.
	versionMask = 0x1fffe000
)

// redirect ends a session at the pool's wish.
type redirect struct {
	to   endpoint
	wait time.Duration
}

func (r *redirect) Error() string { return "the pool asked to reconnect to " + r.to.address() }

// asked is a request of ours without an answer.
type asked struct {
	method string
	sent   time.Time
	share  Share   // mining.submit
	device *device // that found it
}

// session is one connection from subscribe to its end. One goroutine owns it.
type session struct {
	rig    *rig
	client *client
	pool   choice
	at     endpoint // differs from the pool's after client.reconnect
	begun  time.Time
	better <-chan int // the index of a better pool that is back

	lastID  uint64
	pending map[uint64]asked
	submits int // of pending
	bad     int // lines not understood

	ticket     string // of the connection before, sent with mining.subscribe; empty: none
	subscribed bool
	loggedIn   bool
	earned     bool // a share was accepted
	leaving    *returned
	extranonce extranonce
	coming     *extranonce // takes effect with the next notify
	target     [32]byte    // for the next notify
	difficulty string
	rolling    bool   // version-rolling is agreed
	mask       uint32 // 0 unless rolling

	work *work // of the last notify
	era  *era
}

func newSession(r *rig, c *client, pool choice, at endpoint) *session {
	return &session{
		rig: r, client: c, pool: pool, at: at, begun: time.Now(),
		pending:    map[uint64]asked{},
		target:     r.kernel.Diff1(),
		difficulty: "1",
		era:        newEra(),
	}
}

// run serves the connection until it ends and says why; nil when ctx ended.
func (s *session) run(ctx context.Context) error {
	defer s.end()
	if s.rig.rolls {
		if err := s.ask("mining.configure", []string{"version-rolling"}, map[string]any{
			"version-rolling.mask":          fmt.Sprintf("%08x", uint32(versionMask)),
			"version-rolling.min-bit-count": 0,
		}); err != nil {
			return err
		}
	}
	subscription := []any{s.rig.agent}
	if s.ticket = s.rig.takeTicket(s.pool); s.ticket != "" {
		subscription = append(subscription, s.ticket)
	}
	if err := s.ask("mining.subscribe", subscription...); err != nil {
		return err
	}
	ticker := time.NewTicker(s.rig.timing.tick)
	defer ticker.Stop()
	for {
		found := s.rig.search.found
		if s.submits >= maxUnanswered || s.leaving != nil {
			found = nil
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-s.client.messages:
			if !open {
				return s.client.err
			}
			err = s.receive(m)
		case f := <-found:
			err = s.submit(f)
		case now := <-ticker.C:
			err = s.overdue(now)
		case i := <-s.better:
			s.leave(i)
		}
		if err != nil {
			return err
		}
		if s.leaving != nil && s.submits == 0 {
			return s.leaving
		}
	}
}

// leave ends the session for a better pool, once what was sent is answered.
func (s *session) leave(better int) {
	s.leaving = &returned{to: better, at: time.Now()}
	s.work = nil
	s.rig.search.idle()
}

// end takes the work from the threads and counts what was never answered.
func (s *session) end() {
	close(s.era.over)
	s.rig.search.idle()
	for _, a := range s.pending {
		if a.method == "mining.submit" {
			s.rig.stats.lost()
			s.rig.observe(Event{Kind: Lost, Share: a.share, Device: a.device.Name})
		}
	}
}

// settled: the connection was of use, so the next attempt need not be slow.
func (s *session) settled() bool {
	return s.earned || s.loggedIn && time.Since(s.begun) > time.Minute
}

func (s *session) ask(method string, params ...any) error {
	return s.send(asked{method: method}, params...)
}

// send notes the request before it is written: of a failed write nobody knows
// what the pool has read.
func (s *session) send(a asked, params ...any) error {
	s.lastID++
	a.sent = time.Now()
	s.pending[s.lastID] = a
	return s.client.write(request(s.lastID, a.method, params...))
}

// overdue gives up a pool that does not answer, or never sends a job.
func (s *session) overdue(now time.Time) error {
	if s.leaving != nil && now.Sub(s.leaving.at) > s.rig.timing.leave {
		return s.leaving
	}
	if s.work == nil && s.leaving == nil && s.loggedIn && now.Sub(s.begun) > s.rig.timing.work {
		return fmt.Errorf("the pool gave no job in %v", s.rig.timing.work)
	}
	for _, a := range s.pending {
		limit := s.rig.timing.answer
		if a.method == "mining.subscribe" || a.method == "mining.authorize" {
			limit = s.rig.timing.login
		} else if a.method != "mining.submit" {
			continue // pools may ignore an extension they do not know
		}
		if now.Sub(a.sent) > limit {
			return fmt.Errorf("no answer to %s in %v", a.method, limit)
		}
	}
	return nil
}

// receive handles one line. An error ends the session; a line not understood is
// only counted, up to a limit.
func (s *session) receive(m message) error {
	err := m.bad
	switch {
	case err != nil:
	case m.method != "":
		err = s.called(m)
	default:
		err = s.answered(m)
	}
	if not := (*misunderstood)(nil); m.bad == nil && !errors.As(err, &not) {
		return err
	}
	s.bad++
	if s.bad >= maxBad {
		return fmt.Errorf("%d lines not understood, the last: %w", s.bad, err)
	}
	s.rig.log.Warn().Err(err).Msg("line from pool not understood")
	return nil
}

// misunderstood marks an error of a line that may be skipped.
type misunderstood struct{ err error }

func (m *misunderstood) Error() string { return m.err.Error() }
func (m *misunderstood) Unwrap() error { return m.err }

// called handles a request or notification of the pool.
func (s *session) called(m message) error {
	switch m.method {
	case "mining.notify":
		return s.notify(m.params)
	case "mining.set_difficulty":
		if len(m.params) < 1 {
			return &misunderstood{errors.New("set_difficulty without a number")}
		}
		target, err := parseTarget(m.params[0], s.rig.kernel.Diff1())
		if err != nil {
			return &misunderstood{err}
		}
		s.target, s.difficulty = target, string(m.params[0])
	case "mining.set_target":
		if len(m.params) < 1 {
			return &misunderstood{errors.New("set_target without a target")}
		}
		target, err := parseHexTarget(m.params[0])
		if err != nil {
			return &misunderstood{err}
		}
		s.target, s.difficulty = target, difficultyOf(target, s.rig.kernel.Diff1())
	case "mining.set_extranonce":
		if len(m.params) < 2 {
			return &misunderstood{errors.New("set_extranonce without two params")}
		}
		x, err := parseExtranonce(m.params[0], m.params[1])
		if err != nil {
			return &misunderstood{err}
		}
		s.coming = &x
	case "mining.set_version_mask":
		if len(m.params) < 1 {
			return &misunderstood{errors.New("set_version_mask without a mask")}
		}
		mask, err := parseMask(m.params[0])
		if err != nil {
			return &misunderstood{err}
		}
		s.setMask(mask)
	case "client.show_message":
		if len(m.params) > 0 {
			if said, err := text(m.params[0]); err == nil {
				said = cleanText(said)
				s.rig.log.Info().Str("text", said).Msg("message from pool")
				s.rig.observe(Event{Kind: Message, Text: said})
			}
		}
		return s.reply(m.id, true, nil)
	case "client.get_version":
		return s.reply(m.id, s.rig.agent, nil)
	case "mining.ping":
		return s.reply(m.id, "pong", nil)
	case "client.reconnect":
		return s.reconnect(m.params)
	default:
		s.rig.log.Debug().Str("method", cleanText(m.method)).Msg("unknown method from pool")
		return s.reply(m.id, nil, &refusal{20, "Unsupported method"})
	}
	return nil
}

// reply answers a request; a notification (id nil) gets none.
func (s *session) reply(id json.RawMessage, result any, refused *refusal) error {
	if id == nil {
		return nil
	}
	return s.client.write(reply(id, result, refused))
}

// notify makes the job, at the difficulty and with the extranonce in force now,
// the work of the threads.
func (s *session) notify(params []json.RawMessage) error {
	j, err := parseJob(params)
	if err != nil {
		return &misunderstood{err}
	}
	if s.leaving != nil {
		return nil
	}
	if s.coming != nil {
		s.extranonce, s.coming = *s.coming, nil
		s.nextEra()
	} else if j.clean {
		s.nextEra()
	}
	s.work = &work{job: j, target: s.target, difficulty: s.difficulty, received: time.Now()}
	s.rig.log.Debug().Str("job", cleanText(j.id)).Bool("clean", j.clean).Str("difficulty", s.difficulty).Msg("new job")
	s.rig.stats.pool(func(p *PoolStatus) {
		p.Difficulty, p.Job, p.JobTime = s.difficulty, cleanText(j.id), s.work.received
	})
	s.rig.observe(Event{Kind: NewJob, Job: j.id, Clean: j.clean, Difficulty: s.difficulty})
	s.publish()
	return nil
}

func (s *session) nextEra() {
	close(s.era.over)
	s.era = newEra()
}

// publish hands the last job to the threads, with what is agreed by now, once
// there is all that a submit needs.
func (s *session) publish() {
	if s.work == nil || !s.subscribed || !s.loggedIn {
		return
	}
	s.work = &work{
		job: s.work.job, target: s.work.target, difficulty: s.work.difficulty, received: s.work.received,
		era: s.era, extranonce: s.extranonce,
		// Bits that the job has set stay so, and are sent: BIP310 replaces the
		// masked bits by those sent, but ckpool only adds them.
		mask:     s.mask &^ s.work.job.version,
		together: s.rig.search.together(&s.work.target),
	}
	s.rig.search.set(s.work)
}

// setMask takes effect at once.
func (s *session) setMask(mask uint32) {
	mask &= versionMask
	if !s.rolling || mask == s.mask {
		return
	}
	s.mask = mask
	s.publish()
}

// answered handles a response to one of our requests.
func (s *session) answered(m message) error {
	a, known := s.pending[m.answerTo]
	if !known {
		return &misunderstood{fmt.Errorf("response to unknown id %d", m.answerTo)}
	}
	delete(s.pending, m.answerTo)
	switch a.method {
	case "mining.submit":
		s.submits--
		s.judged(a, m)
	case "mining.configure":
		s.configured(m)
	case "mining.subscribe":
		return s.subscribedWith(m)
	case "mining.authorize":
		return s.authorized(m)
	}
	return nil
}

// configured switches version rolling on if the pool agrees; any other answer
// leaves it off.
func (s *session) configured(m message) {
	var result map[string]json.RawMessage
	if m.refusal != nil || json.Unmarshal(m.result, &result) != nil || string(result["version-rolling"]) != "true" {
		return
	}
	mask, err := parseMask(result["version-rolling.mask"])
	if err != nil {
		s.rig.log.Warn().Err(err).Msg("pool agreed to version rolling without a usable mask")
		return
	}
	s.rolling = true
	s.mask = mask & versionMask
	s.publish()
}

func (s *session) subscribedWith(m message) error {
	if m.refusal != nil && s.ticket != "" { // perhaps it knows no second parameter
		s.ticket = ""
		return s.ask("mining.subscribe", s.rig.agent)
	}
	if m.refusal != nil {
		return fmt.Errorf("the pool refused mining.subscribe: %w", m.refusal)
	}
	var result []json.RawMessage
	if err := json.Unmarshal(m.result, &result); err != nil || len(result) < 3 {
		return errors.New("the answer to mining.subscribe is not an array of three")
	}
	x, err := parseExtranonce(result[1], result[2])
	if err != nil {
		return fmt.Errorf("the answer to mining.subscribe: %w", err)
	}
	s.extranonce, s.subscribed = x, true
	if s.rig.keepTicket(s.pool, sessionID(result[0]), x) && s.ticket != "" {
		s.rig.log.Info().Str("pool", s.at.address()).Msg("the pool goes on with the session of before")
	}
	if err := s.ask("mining.authorize", s.pool.user, s.pool.password); err != nil {
		return err
	}
	return s.ask("mining.extranonce.subscribe")
}

func (s *session) authorized(m message) error {
	if m.refusal != nil || string(m.result) != "true" {
		refused := m.refusal
		if refused == nil {
			refused = &refusal{24, "no reason given"}
		}
		return fmt.Errorf("the pool refused user %q: %w", s.pool.user, refused)
	}
	s.loggedIn = true
	s.rig.log.Info().Str("pool", s.at.address()).Str("user", s.pool.user).Msg("logged in")
	s.rig.stats.pool(func(p *PoolStatus) { p.LoggedIn = true })
	s.rig.observe(Event{Kind: LoggedIn})
	s.publish()
	if s.rig.suggest > 0 {
		// Plain decimals: not every pool reads an exponent.
		return s.ask("mining.suggest_difficulty", json.RawMessage(strconv.FormatFloat(s.rig.suggest, 'f', -1, 64)))
	}
	return nil
}

// reconnect obeys client.reconnect [host, port, wait] for the configured host;
// [] means the same endpoint.
func (s *session) reconnect(params []json.RawMessage) error {
	r := &redirect{to: s.pool.endpoint}
	if len(params) > 0 {
		host, err := text(params[0])
		if err != nil {
			return &misunderstood{fmt.Errorf("reconnect: host: %w", err)}
		}
		if host != "" && !strings.EqualFold(host, s.pool.host) {
			s.rig.log.Warn().Str("host", cleanText(host)).Msg("pool asked to reconnect to another host: ignored")
			return nil
		}
	}
	if len(params) > 1 {
		port, err := number(params[1])
		if err != nil || port < 1 || port > 65535 {
			return &misunderstood{fmt.Errorf("reconnect: port %.40q", params[1])}
		}
		r.to.port = strconv.Itoa(port)
	}
	if len(params) > 2 {
		seconds, err := number(params[2])
		if err != nil || seconds < 0 {
			return &misunderstood{fmt.Errorf("reconnect: wait %.40q", params[2])}
		}
		r.wait = min(time.Duration(min(seconds, 3600))*time.Second, s.rig.timing.backoffMost)
	}
	return r
}

// number reads a whole number, or a string of one.
func number(raw json.RawMessage) (int, error) {
	return strconv.Atoi(strings.Trim(string(raw), `"`))
}
