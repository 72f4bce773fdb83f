package stratum

import (
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
)

// ErrTooManyUsers reports that a connection has authorized all the users it may.
var ErrTooManyUsers = errors.New("too many users on one connection")

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

// VersionMask is the listener's: bits that submissions may roll, negotiated or not.
func (c *Conn) VersionMask() uint32 { return c.srv.opts.VersionMask }

// Session is the connection's session; it is started when first asked for, so that a peer that says
// nothing sensible takes no extranonce1. On an error the connection ends.
func (c *Conn) Session() (*pool.Session, error) {
	if c.session == nil {
		s, err := c.srv.opts.Pool.NewSession(c.srv.opts.Limits)
		if err != nil {
			c.reason = CloseNoSession
			return nil, err
		}
		s.VersionMask = c.srv.opts.VersionMask
		c.session = s
	}
	return c.session, nil
}

// Subscribed reports whether Subscribe was called.
func (c *Conn) Subscribed() bool { return c.session != nil && c.session.Subscribed }

// Subscribe notes that the miner listens, and brings a job if it is authorized too.
func (c *Conn) Subscribe(agent []byte) error {
	s, err := c.Session()
	if err != nil {
		return err
	}
	s.Subscribed, s.Agent = true, printable(agent)
	c.Renew()
	return nil
}

// Authorize checks a user name and adds it to the session; doing so again changes nothing. The first one
// brings a job if the miner has subscribed. The error is for the miner.
func (c *Conn) Authorize(user, password string) error {
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
	w.User = user
	if c.users == nil {
		c.users = make(map[string]int, 1)
	}
	c.users[user] = len(s.Workers)
	s.Workers = append(s.Workers, w)
	if len(s.Workers) == 1 {
		c.Renew()
	}
	return nil
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
	return s.Limits.Clamp(s.Wanted, s.Minimum, job.NetworkDifficulty) != s.Issued[len(s.Issued)-1].Difficulty
}

// Submit has the pool judge a share. For an accepted one the reply is to be held until the commit is done,
// see Hold.
func (c *Conn) Submit(sub pool.Submission) (pool.Reject, *pool.Commit) {
	c.sub = sub
	v, commit := c.srv.opts.Pool.Submit(c.session, &c.sub, c.now)
	if v.Reject != pool.Accepted {
		return v.Reject, nil
	}
	c.accepted = true
	if v.Share.Flags&pool.ShareEarly == 0 {
		for i := len(c.session.Issued) - 1; i >= 0; i-- {
			if is := &c.session.Issued[i]; is.Salt == sub.Salt {
				c.session.Vardiff.Share(c.now, is.Difficulty)
				break
			}
		}
		c.vardiff(c.now)
	}
	if v.Renew {
		c.renew = true
	}
	return pool.Accepted, commit
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
	if c.session != nil {
		c.srv.opts.Pool.Rejected(c.session, user, r)
	}
}

// Hold marks the end of the replies, dst[start:fail] in Message's dst, as waiting for a commit: when it
// succeeds dst[start:ok] is sent, else dst[ok:fail].
func (c *Conn) Hold(commit *pool.Commit, start, ok, fail int) {
	c.out.held = append(c.out.held, held{commit, start, ok, fail})
}

// printable keeps what may stand in logs and on pages.
func printable(b []byte) string {
	b = append([]byte(nil), b[:min(len(b), maxAgent)]...)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '-'
		}
	}
	return string(b)
}
