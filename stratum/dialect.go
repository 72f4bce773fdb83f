package stratum

import "github.com/adit-pool/adit/pool"

// Dialect is one wire protocol. It keeps nothing about a connection but in the state it makes for it, so
// that a connection can be written down and taken up by another process. One Dialect value serves one
// Server.
type Dialect interface {
	// Name is the dialect's name in configuration.
	Name() string
	// NewState is the protocol's state of a new connection: a pointer to a plain, versioned struct without
	// functions or channels.
	NewState() any
	// Limit is the longest message taken, in bytes with its framing, before and after the connection is
	// ready for work.
	Limit(ready bool) int
	// Frame is the length of the first whole message in b with its framing, 0 when there is none yet.
	Frame(b []byte) int
	// Message handles one framed message and appends the replies to it to dst; a share's goes through
	// [Conn.Submit]. It is called with the connection's lock held and keeps neither slice.
	Message(c *Conn, dst, msg []byte) ([]byte, Outcome)
	// AppendRefusal appends the reply to a share that was not accepted, in the place of the reply that Submit was
	// given for it.
	AppendRefusal(c *Conn, dst, reply []byte, r pool.Reject) []byte
	// AppendJob appends what tells a miner to work on an issued job, its difficulty before it where it
	// differs from the last one told. Called as Message is.
	AppendJob(c *Conn, dst []byte, is pool.Issued, job *pool.Job) []byte
	// AppendMessage appends what shows a printable ASCII text, where the protocol can. These three are only
	// called for a connection that has work, with its lock held.
	AppendMessage(c *Conn, dst []byte, text string) []byte
	// AppendReconnect appends the advice to connect to the same address again.
	AppendReconnect(c *Conn, dst []byte) []byte
	// AppendVersionMask appends the bits that may be rolled from now on.
	AppendVersionMask(c *Conn, dst []byte, mask uint32) []byte
}

// Outcome is what a message says about the connection it came on.
type Outcome uint8

const (
	// Handled: the message was readable, whatever the answer.
	Handled Outcome = iota
	// Malformed: it was not; a connection that sends many of these is dropped.
	Malformed
	// Hangup: the connection ends when the replies are written.
	Hangup
)
