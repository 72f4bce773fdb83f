package v1

import (
	"encoding/hex"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
)

// submit decodes a share to bytes and has it judged. Nothing of its text is used after that, so that two
// spellings are one share.
func (h *handler) submit(dst []byte) []byte {
	if !h.c.Subscribed() {
		h.c.Refuse(-1, pool.RejectNotSubscribed)
		return appendReject(dst, h.rawID(), pool.RejectNotSubscribed)
	}
	sub, reject, text := h.share()
	if reject != pool.Accepted {
		h.c.Refuse(sub.Worker, reject)
		return appendError(dst, h.rawID(), false, reject.Code(), text)
	}
	start := len(dst)
	dst = appendResult(dst, h.rawID(), "true")
	h.c.Submit(&sub, start, len(dst))
	return dst
}

// AppendRefusal takes the id from the reply to an accepted share.
func (d *Dialect) AppendRefusal(c *stratum.Conn, dst, reply []byte, r pool.Reject) []byte {
	id := reply[len(beginOfReply) : len(reply)-len(accepted)]
	if r == pool.RejectVersion {
		s, _ := c.Session()
		mask := appendHex32(make([]byte, 0, 8), s.VersionMask)
		return appendError(dst, id, false, r.Code(), r.Message()+" "+string(mask))
	}
	return appendReject(dst, id, r)
}

// accepted ends the reply to an accepted share.
const accepted = betweenIDAndResult + "true" + endOfResult

// share decodes the parameters; else it says how to refuse them, and in which words.
func (h *handler) share() (pool.Submission, pool.Reject, string) {
	sub := pool.Submission{Worker: -1}
	n := h.count()
	if n < 5 || n > 6 {
		return sub, pool.RejectMalformed, "mining.submit wants 5 or 6 parameters"
	}
	var p [6][]byte
	i := h.first()
	for k := range n {
		if h.doc.tokens[i].kind != kindString {
			return sub, pool.RejectMalformed, "mining.submit wants strings"
		}
		p[k] = h.doc.text(i)
		i = int(h.doc.tokens[i].next)
	}
	if !h.hasID() {
		return sub, pool.RejectMalformed, "mining.submit wants an id"
	}
	if sub.Worker = h.c.User(p[0]); sub.Worker < 0 {
		return sub, pool.RejectUnauthorized, pool.RejectUnauthorized.Message()
	}
	if len(p[2]) != 2*len(sub.Extranonce2) {
		return sub, pool.RejectMalformed, "extranonce2 must be 16 hex digits"
	}
	if _, err := hex.Decode(sub.Extranonce2[:], p[2]); err != nil {
		return sub, pool.RejectMalformed, "extranonce2 must be 16 hex digits"
	}
	var ok bool
	if sub.NTime, ok = hexDigits(p[3], 8, 8); !ok {
		return sub, pool.RejectMalformed, "ntime must be 8 hex digits"
	}
	if sub.Nonce, ok = hexDigits(p[4], 1, 8); !ok { // NerdMiner leaves out leading zeros
		return sub, pool.RejectMalformed, "nonce must be 1 to 8 hex digits"
	}
	if n == 6 {
		sub.HasVersion = true
		if sub.VersionBits, ok = hexDigits(p[5], 1, 8); !ok {
			return sub, pool.RejectMalformed, "version bits must be 1 to 8 hex digits"
		}
	}
	if sub.Salt, ok = jobName(p[1]); !ok {
		return sub, pool.RejectUnknownJob, pool.RejectUnknownJob.Message()
	}
	return sub, pool.Accepted, ""
}

// jobName reads a job's name exactly as it was given: 8 lower-case hex digits.
func jobName(b []byte) (uint32, bool) {
	for _, c := range b {
		if c >= 'A' && c <= 'F' {
			return 0, false
		}
	}
	return hexDigits(b, 8, 8)
}
