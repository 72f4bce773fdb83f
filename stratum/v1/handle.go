package v1

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
)

// handler is one request and the connection that it came on.
type handler struct {
	c     *stratum.Conn
	state *State
	request
}

// dispatch answers the request.
func (h *handler) dispatch(dst []byte) []byte {
	method := h.doc.text(h.method)
	if h.isHint(method) {
		h.dispatchMethod(dst, method)
		return dst
	}
	return h.dispatchMethod(dst, method)
}

// isHint reports a notification of what the miner would like: bfgminer sends some before it subscribes and
// takes the next line for the answer to that.
func (h *handler) isHint(method []byte) bool {
	return h.id >= 0 && !h.hasID() && (bytes.HasPrefix(method, []byte("mining.suggest_")) || string(method) == "mining.capabilities")
}

func (h *handler) dispatchMethod(dst, method []byte) []byte {
	switch string(method) {
	case "mining.submit":
		return h.submit(dst)
	case "mining.subscribe":
		return h.subscribe(dst)
	case "mining.authorize":
		return h.authorize(dst)
	case "mining.configure":
		return h.configure(dst)
	case "mining.suggest_difficulty":
		return h.suggest(dst, h.number(0))
	case "mining.suggest_target":
		return h.suggestTarget(dst)
	case "mining.extranonce.subscribe":
		return h.extranonce(dst)
	case "mining.multi_version": // an old probe of Antminer for version rolling
		return appendResult(dst, h.rawID(), "true")
	case "mining.ping":
		return appendResult(dst, h.rawID(), `"pong"`)
	case "pong", "mining.pong": // Bitaxe's way to answer a ping
		return dst
	case "mining.get_transactions", "mining.get_txnhashes":
		return appendError(dst, h.rawID(), false, 20, "Not supported.")
	}
	// An old form has the number in the name (ckpool reads it too): mining.suggest_difficulty(512).
	if arg, ok := bytes.CutPrefix(method, []byte("mining.suggest_difficulty(")); ok {
		return h.suggest(dst, strings.TrimSuffix(string(arg), ")"))
	}
	return appendError(dst, h.rawID(), false, 20, "Unsupported method")
}

// subscribe gives extranonce1 and the size of extranonce2. Again on the same connection it gives the same,
// and a clean job. The id beside mining.notify is what a miner sends as second parameter to go on where it
// was when its connection broke: then extranonce1 is the one from before.
func (h *handler) subscribe(dst []byte) []byte {
	var agent, resume []byte
	if h.kindOf(0) == kindString {
		agent = h.doc.text(h.param(0))
	}
	if h.kindOf(1) == kindString {
		resume = h.doc.text(h.param(1))
	}
	s, err := h.c.Session()
	var ticket stratum.Ticket
	if err == nil {
		ticket, err = h.c.Subscribe(agent, resume)
	}
	if err != nil {
		return appendError(dst, h.rawID(), false, 20, "No session: "+err.Error())
	}
	h.state.Fresh = true
	h.state.Extranonce1 = s.Extranonce1
	h.state.Sent = 0 // cpuminer goes back to difficulty 1 when it subscribes
	dst = append(appendID(dst, h.rawID()), `[[["mining.set_difficulty","`...)
	dst = appendHex32(dst, s.Extranonce1)
	dst = append(dst, `"],["mining.notify","`...)
	dst = hex.AppendEncode(dst, ticket[:])
	dst = append(dst, `"]],"`...)
	dst = appendHex32(dst, s.Extranonce1)
	dst = append(dst, `",8]`...)
	return append(dst, endOfResult...)
}

func (h *handler) authorize(dst []byte) []byte {
	if h.kindOf(0) != kindString {
		return appendError(dst, h.rawID(), true, 24, "The user name must be a string: ADDRESS or ADDRESS.worker")
	}
	var password string
	if h.kindOf(1) == kindString {
		password = string(h.doc.text(h.param(1)))
	}
	if err := h.c.Authorize(string(h.doc.text(h.param(0))), password); err != nil {
		return appendError(dst, h.rawID(), true, 24, err.Error())
	}
	return appendResult(dst, h.rawID(), "true")
}

// extranonce notes that the miner takes mining.set_extranonce.
func (h *handler) extranonce(dst []byte) []byte {
	s, err := h.c.Session()
	if err != nil {
		return appendError(dst, h.rawID(), true, 20, "No session: "+err.Error())
	}
	s.Movable = true
	return appendResult(dst, h.rawID(), "true")
}

// number is the nth parameter's text when it is a number, or a string that may hold one; else "".
func (h *handler) number(n int) string {
	switch h.kindOf(n) {
	case kindNumber:
		return string(h.doc.raw(h.param(n)))
	case kindString:
		return string(h.doc.text(h.param(n)))
	}
	return ""
}

func (h *handler) suggest(dst []byte, text string) []byte {
	d, err := pool.ParseDifficulty(text)
	if err != nil {
		return appendError(dst, h.rawID(), true, 20, "A difficulty is a number above zero")
	}
	return h.wish(dst, d)
}

// suggestTarget reads a wish given as 64 hex digits, big-endian.
func (h *handler) suggestTarget(dst []byte) []byte {
	t, err := pool.Target{}, error(nil)
	if h.kindOf(0) == kindString {
		t, err = pool.ParseTarget(string(h.doc.text(h.param(0))))
	}
	if err != nil || t == (pool.Target{}) {
		return appendError(dst, h.rawID(), true, 20, "A target is 64 hex digits, not all zero")
	}
	return h.wish(dst, pool.DifficultyOf(h.c.Params().DiffOne, t).Quantise())
}

// wish notes a suggested difficulty. The same one again changes nothing: some firmware repeats it every 30
// seconds to be heard, and vardiff has its say in between.
func (h *handler) wish(dst []byte, d pool.Difficulty) []byte {
	s, err := h.c.Session()
	if err != nil {
		return appendError(dst, h.rawID(), false, 20, "No session: "+err.Error())
	}
	if d != s.Suggested {
		s.Suggested, s.Wanted = d, d
		h.renew()
	}
	return appendResult(dst, h.rawID(), "true")
}

// renew brings a job if a wish made a difference to its difficulty and none was brought for a wish lately.
func (h *handler) renew() {
	now := h.c.Now()
	if now.Sub(h.state.WishTime) >= suggestInterval && h.c.RenewIfOther() {
		h.state.WishTime = now
	}
}
