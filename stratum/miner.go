package stratum

import (
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Errors for the miner.
var (
	ErrTooManyUsers = errors.New("too many users on one connection")
	ErrOtherAccount = errors.New("this connection mines for another address: SOLO and resumed connections have one; connect again")
)

// Longest texts of a miner that are kept.
const (
	maxUser  = 256
	maxAgent = 64
)

// Params are those of the pool's chain.
func (c *Conn) Params() *pool.Params { return c.srv.opts.Pool.Params() }

// State is what the dialect's NewState returned for this connection.
func (c *Conn) State() any { return c.state }

// Now is when the message in hand was read.
func (c *Conn) Now() time.Time { return c.now }

// VersionMask is the listener's: bits that submissions may roll, negotiated or not; 0 for none.
func (c *Conn) VersionMask() uint32 { return c.srv.versionMask.Load() }

// Session is the connection's session; it is started when first asked for, so that a peer that says
// nothing sensible takes no extranonce1. On an error the connection ends.
func (c *Conn) Session() (*pool.Session, error) {
	if c.session == nil {
		s, err := c.srv.opts.Pool.NewSession(c.srv.opts.Limits)
		if err != nil {
			c.reason = CloseNoSession
			return nil, err
		}
		s.VersionMask = c.VersionMask()
		c.session = s
	}
	return c.session, nil
}

// Subscribed reports whether Subscribe was called.
func (c *Conn) Subscribed() bool { return c.session != nil && c.session.Subscribed }

// Subscribe notes that the miner listens, and brings a job if it is authorized too. resume is the text of
// the ticket of an earlier connection, or anything; if its session is still kept it is taken up again. The
// ticket returned is for the time after this connection.
func (c *Conn) Subscribe(agent, resume []byte) (Ticket, error) {
	s, err := c.Session()
	if err != nil {
		return Ticket{}, err
	}
	if c.ticket == (Ticket{}) {
		c.resume(parseTicket(resume))
		c.ticket = newTicket()
	}
	s.Subscribed = true
	if len(agent) > 0 || s.Agent == "" {
		s.Agent = printableTo(agent, maxAgent)
	}
	c.suit()
	c.Renew()
	return c.ticket, nil
}

// resume takes up the session of a ticket, if that is kept and of this connection's account.
func (c *Conn) resume(t Ticket) {
	if t == (Ticket{}) || len(c.session.Issued) > 0 || len(c.session.Workers) > 1 {
		return
	}
	var account *pool.AccountID
	if c.known {
		account = &c.account
	}
	old := c.srv.memory.resumables.take(t, account, c.now)
	if old == nil {
		return
	}
	for _, h := range old.open { // told to nobody: lost ones may come again
		h.settle(old.session)
	}
	c.session.Resume(old.session)
	c.account, c.known, c.bound = old.account, true, true
	c.srv.counters.resumed.Add(1)
}

// Agent is what the miner calls itself, "" when it did not say.
func (c *Conn) Agent() string {
	if c.session == nil {
		return ""
	}
	return c.session.Agent
}

// SetAgent notes what the miner calls itself.
func (c *Conn) SetAgent(agent []byte) {
	if c.session != nil && len(agent) > 0 {
		c.session.Agent = printableTo(agent, maxAgent)
		c.suit()
	}
}

// Authorize checks a user name and adds it to the session; doing so again changes nothing. The first one
// brings a job if the miner has subscribed, and its password's options count, see pool.ParsePassword. The
// error is for the miner.
func (c *Conn) Authorize(user, password string) error {
	err := c.authorize(user, password)
	if err != nil && c.reason == CloseNone {
		c.strike(StrikeLogin)
	}
	return err
}

func (c *Conn) authorize(user, password string) error {
	s, err := c.Session()
	if err != nil {
		return err
	}
	if _, ok := c.users[user]; ok {
		return nil
	}
	if len(user) > maxUser {
		return fmt.Errorf("user name longer than %d bytes", maxUser)
	}
	if len(s.Workers) >= c.srv.opts.MaxUsers {
		return ErrTooManyUsers
	}
	w, err := c.srv.opts.Pool.Authorize(user, password)
	if err != nil {
		return err
	}
	if c.bound && w.Account != c.account {
		return ErrOtherAccount
	}
	if ban, banned := c.srv.opts.Bans.banned(c.remote.Addr(), &w.Account, c.now); banned {
		return fmt.Errorf("banned until %s (%s)", ban.Until.UTC().Format("2006-01-02 15:04 UTC"), ban.Reason)
	}
	w.User = user
	if len(s.Workers) == 0 {
		c.begin(&w, pool.ParsePassword(password))
	}
	if c.users == nil {
		c.users = make(map[string]int, 1)
	}
	c.users[user] = len(s.Workers)
	s.Workers = append(s.Workers, w)
	c.admitted = true
	if len(s.Workers) == 1 {
		c.srv.opts.Bans.meet(origin(c.remote), false)
		c.Renew()
	}
	return nil
}

// begin settles what the first user of a connection settles: mode, and the first difficulty. That is the
// miner's suggestion, else its password's, else a resumed session's, else the worker's last one, else the
// listener's.
func (c *Conn) begin(w *pool.Worker, p pool.Password) {
	s := c.session
	resumed := len(s.Issued) > 0
	if p.Solo && !resumed {
		s.Scheme = pool.SchemeSOLO
	}
	if s.Minimum == 0 {
		s.Minimum = p.Minimum
	}
	switch last := c.srv.memory.remembered.get(workerID{w.Account, w.Name}); {
	case s.Suggested > 0:
	case p.Start > 0:
		s.Wanted = p.Start
	case !resumed && last > 0:
		s.Wanted = last
	}
	c.account, c.known = w.Account, true
	c.bound = c.bound || s.Scheme == pool.SchemeSOLO
}

// strike counts a refusal; too many of a kind end the connection.
func (c *Conn) strike(k Strike) {
	c.srv.counters.strikes[k].Add(1)
	if c.refusals[k]++; c.refusals[k] >= c.srv.opts.Refusals {
		c.reason = CloseRefused
	}
}

// blame counts a refused submission as a strike, but not those that the pool's own timing may bring.
func (c *Conn) blame(r pool.Reject) {
	switch r {
	case pool.RejectStale, pool.RejectUnknownJob, pool.RejectInternal:
	default:
		c.strike(StrikeShare)
	}
}

// User finds an authorized user by its name as sent; -1 when there is none.
func (c *Conn) User(name []byte) int {
	if i, ok := c.users[string(name)]; ok {
		return i
	}
	return -1
}

// afterReplies is put into Conn.after while a message is in hand: handle replaces it by the place behind
// the message's replies.
const afterReplies = ^uint64(0)

// Renew asks for the current job to be issued again, after the reply to the message in hand.
func (c *Conn) Renew() {
	c.renew = true
	c.after = afterReplies
}

// RenewIfOther does so if the job would have another difficulty than the last one, and reports that. It is
// for when the session's Wanted or Minimum was set by the miner's wish; without it they count from the next
// job on.
func (c *Conn) RenewIfOther() bool {
	if !c.other() {
		return false
	}
	c.Renew()
	return true
}

// other reports whether a job issued now would have another difficulty than the last one.
func (c *Conn) other() bool {
	s, job := c.session, c.srv.opts.Pool.Current()
	if len(s.Issued) == 0 || job == nil {
		return false
	}
	return s.Assignable(job.NetworkDifficulty) != s.Issued[len(s.Issued)-1].Difficulty
}

// maxBatch is how many shares of a connection are judged together at most.
const maxBatch = 16

// Submit has the pool judge a share, together with others that have come already. The caller has appended to
// Message's dst, from start to end, the reply for an accepted one; it leaves when the share is durable, or
// [Dialect.AppendRefusal] replaces it.
func (c *Conn) Submit(sub *pool.Submission, start, end int) {
	if c.batch == nil {
		c.batch = c.srv.batches.Get().(*batch)
	}
	c.batch.shares[c.batch.n].Submission = *sub
	c.batch.n++
	c.out.held = append(c.out.held, held{start: start, end: end, reject: pool.RejectInternal}) // until it is judged
	c.submitted = true
	if c.batch.n == maxBatch {
		c.judge()
	}
}

// batch is shares of one connection that wait to be judged.
type batch struct {
	n      int
	shares [maxBatch]pool.Judged
}

// judge has the pool judge the shares that wait for it; theirs are the last held replies. Caller holds mu.
func (c *Conn) judge() {
	if c.batch == nil {
		return
	}
	b := c.batch
	c.batch = nil // also when the pool panics
	shares, replies := b.shares[:b.n], c.out.held[len(c.out.held)-b.n:]
	c.srv.opts.Pool.Submit(c.session, shares, c.now)
	full := false // a share of its job's difficulty is among them
	for i := range shares {
		full = c.judged(&shares[i], &replies[i]) || full
	}
	clear(shares)
	b.n = 0
	c.srv.batches.Put(b)
	if full {
		c.vardiff(c.now)
	}
}

// judged notes what became of a share, and reports whether it counts for vardiff. Caller holds mu.
func (c *Conn) judged(j *pool.Judged, reply *held) bool {
	reply.reject = j.Reject
	if j.Reject != pool.Accepted {
		c.bucket.charge(idleCost - 1)
		c.blame(j.Reject)
		return false
	}
	reply.commit, reply.hash = j.Commit, j.Share.Hash
	c.malforms, c.refusals = 0, [numStrikes]int{}
	c.idle.Store(0)
	if j.Renew {
		c.renew = true
	}
	if j.Share.Flags&pool.ShareEarly != 0 {
		return false
	}
	c.shares++
	for i := len(c.session.Issued) - 1; i >= 0; i-- {
		if is := &c.session.Issued[i]; is.Salt == j.Salt {
			c.session.Vardiff.Share(c.now, is.Difficulty)
			break
		}
	}
	return true
}

// vardiff asks for a job of another difficulty if the session's no longer fits. Caller holds mu.
func (c *Conn) vardiff(now time.Time) bool {
	s := c.session
	if s == nil || len(s.Issued) == 0 {
		return false
	}
	was := s.Wanted
	wanted, change := s.Vardiff.Next(now, s.Issued[len(s.Issued)-1].Difficulty, s.Limits)
	if !change {
		return false
	}
	s.Wanted = wanted
	if !c.other() { // at an end of the range
		s.Wanted = was
		return false
	}
	c.renew = true
	return true
}

// Refuse counts a submission that does not reach the pool's judgement; user is -1 when unknown.
func (c *Conn) Refuse(user int, r pool.Reject) {
	c.blame(r)
	if c.session != nil {
		c.srv.opts.Pool.Rejected(c.session, user, r)
	}
}

// printableTo keeps of b what may stand in logs and on pages, and no more than limit bytes.
func printableTo(b []byte, limit int) string {
	b = append([]byte(nil), b[:min(len(b), limit)]...)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '-'
		}
	}
	return string(b)
}
