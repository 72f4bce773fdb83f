// Package v1 is Stratum V1 of the Bitcoin family: one JSON object a line. There is no standard; it follows
// the original description (slush), BIP310 (mining.configure) and BIP320 (version bits), and what firmware
// is known to need.
//
// The flow, in any order that a miner likes up to the first job:
//
//	> mining.configure [[extension…], {parameter: value…}]     answered with the keys asked for and no other
//	> mining.subscribe [agent, session…]                       [[[method, id]…], extranonce1, 8]
//	> mining.authorize [user, password]                        true, or error 24 with the reason
//	< mining.set_difficulty [difficulty]                       only together with a job
//	< mining.set_extranonce [extranonce1, 8]                   only to who subscribed to it, before a job
//	< mining.set_version_mask [mask]                           only to who negotiated, when the listener's has changed
//	< client.get_version []                                    once, to who did not name itself in subscribe
//	< client.show_message [text], client.reconnect []          an operator's word; before the server's end
//	< mining.notify [job, prevhash, coinb1, coinb2, branch, version, nbits, ntime, clean]
//	> mining.submit [user, job, extranonce2, ntime, nonce, version bits]
//
// Texts: job is 8 lower-case hex digits and names the issue of a job to this session (its salt);
// session 32, see stratum.Ticket; extranonce1 4 bytes, extranonce2 8 bytes in the order they stand in the coinbase; version, nbits, ntime,
// nonce and version bits are big-endian hex of a uint32; prevhash is the header's bytes with each 4-byte
// word reversed; branch hashes are in internal order. coinb1 ends in the salt.
//
// Every request gets exactly one answer with id, result and error; a line that is an answer itself, or a
// pong, gets none. Errors are [20..25, text, null], see pool.Reject.
package v1

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
)

// Longest lines taken, with their end.
const (
	limitOpening = 4 << 10
	limitReady   = 16 << 10
)

// suggestInterval is how often a changed wish for a difficulty brings a new job at once; in between it
// counts from the next job on.
const suggestInterval = time.Minute

// StateVersion is the format of State; it goes up with every change of meaning.
const StateVersion = 2

// State is what V1 must remember of one connection beside the pool's session.
type State struct {
	Version  int
	Fresh    bool            // subscribed since the last job: that the next one is clean
	Asked    bool            // what it is called, since it did not say
	Sent     pool.Difficulty // of the last mining.set_difficulty, 0 when none
	WishTime time.Time       // when a wish last brought a job

	Extranonce1 uint32 // last told
}

// Dialect is Stratum V1.
type Dialect struct {
	jobs      atomic.Pointer[jobText] // of the job that was last written
	documents sync.Pool               // *document: a connection holds none between its lines
}

// New returns the dialect for one server.
func New() *Dialect {
	return &Dialect{documents: sync.Pool{New: func() any { return new(document) }}}
}

// Name is "v1".
func (d *Dialect) Name() string { return "v1" }

// NewState returns a *State.
func (d *Dialect) NewState() any { return &State{Version: StateVersion} }

// Limit is 16 KiB, 4 KiB before the miner is ready.
func (d *Dialect) Limit(ready bool) int {
	if ready {
		return limitReady
	}
	return limitOpening
}

// Frame is the length of the first line with its line feed.
func (d *Dialect) Frame(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }

// Message answers one line.
func (d *Dialect) Message(c *stratum.Conn, dst, line []byte) ([]byte, stratum.Outcome) {
	line = bytes.Trim(line, " \t\r\n")
	if len(line) == 0 {
		return dst, stratum.Handled
	}
	doc := d.documents.Get().(*document)
	defer doc.release(&d.documents)
	if err := doc.parse(line); err != nil {
		return appendError(dst, nil, false, 20, "Parse error: "+err.Error()), stratum.Malformed
	}
	switch doc.tokens[0].kind {
	case kindObject:
	case kindArray:
		return appendError(dst, nil, false, 20, "Batches are not supported"), stratum.Hangup
	default:
		return appendError(dst, nil, false, 20, "Not a request"), stratum.Malformed
	}
	r := request{doc: doc, id: -1, method: -1, params: -1, result: -1}
	if text := r.read(); text != "" {
		return appendError(dst, r.rawID(), false, 20, text), stratum.Malformed
	}
	if r.method < 0 {
		if r.answer {
			r.answered(c)
			return dst, stratum.Handled
		}
		return appendError(dst, r.rawID(), false, 20, "Not a request: no method"), stratum.Malformed
	}
	h := handler{c: c, state: c.State().(*State), request: r}
	return h.dispatch(dst), stratum.Handled
}
