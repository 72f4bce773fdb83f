package v1

import (
	"strconv"

	"github.com/adit-pool/adit/pool"
)

// configure answers BIP310's mining.configure: each extension asked for, and nothing else. Firmware is
// known to loop on keys it did not ask for, and to send a min-bit-count that is not a number.
func (h *handler) configure(dst []byte) []byte {
	if h.kindOf(0) == kindNull { // small firmware is known to send no parameters at all
		return appendResult(dst, h.rawID(), "{}")
	}
	if h.kindOf(0) != kindArray || h.kindOf(1) != kindObject && h.kindOf(1) != kindNull {
		return appendError(dst, h.rawID(), false, 20, "mining.configure wants a list of extensions and an object")
	}
	s, err := h.c.Session()
	if err != nil {
		return appendError(dst, h.rawID(), false, 20, "No session: "+err.Error())
	}
	d, list := h.doc, h.param(0)
	end := int(d.tokens[list].next)
	for i := list + 1; i < end; i = int(d.tokens[i].next) {
		if d.tokens[i].kind != kindString {
			return appendError(dst, h.rawID(), false, 20, "An extension is a string")
		}
	}
	dst = append(appendID(dst, h.rawID()), '{')
	opening := len(dst)
	for i := list + 1; i < end; i++ {
		if h.asked(list, i) {
			continue
		}
		if len(dst) > opening {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, d.raw(i)...)
		dst = append(dst, `":`...)
		switch {
		case d.is(i, "version-rolling"):
			dst = h.rolling(dst, s)
		case d.is(i, "minimum-difficulty"):
			dst = append(dst, h.minimum()...)
		case d.is(i, "info"):
			dst = append(dst, "true"...)
		case d.is(i, "subscribe-extranonce"):
			s.Movable = true
			dst = append(dst, "true"...)
		default:
			dst = append(dst, "false"...)
		}
	}
	dst = append(dst, '}')
	return append(dst, endOfResult...)
}

// asked reports whether extension i of a list of strings stood there before.
func (h *handler) asked(list, i int) bool {
	for j := list + 1; j < i; j++ {
		if h.doc.same(i, j) {
			return true
		}
	}
	return false
}

// option finds a member of the second parameter, -1 when there is none.
func (h *handler) option(name string) int {
	o := h.param(1)
	if o < 0 || h.doc.tokens[o].kind != kindObject {
		return -1
	}
	for key := o + 1; key < int(h.doc.tokens[o].next); key = int(h.doc.tokens[key+1].next) {
		if h.doc.is(key, name) {
			return key + 1
		}
	}
	return -1
}

// rolling appends the answer to version-rolling: true and the mask, which is the listener's and the
// miner's both.
func (h *handler) rolling(dst []byte, s *pool.Session) []byte {
	wanted := ^uint32(0)
	if i := h.option("version-rolling.mask"); i >= 0 {
		v, ok := uint32(0), false
		if h.doc.tokens[i].kind == kindString {
			v, ok = hexDigits(h.doc.text(i), 1, 8)
		}
		if !ok {
			return append(dst, `"version-rolling.mask must be 8 hex digits"`...)
		}
		wanted = v
	}
	mask := wanted & h.c.VersionMask()
	if mask == 0 {
		return append(dst, "false"...)
	}
	s.VersionMask, s.VersionWish = mask, wanted
	dst = append(dst, `true,"version-rolling.mask":"`...)
	dst = appendHex32(dst, mask)
	return append(dst, '"')
}

// minimum notes the least difficulty that the miner wants and returns the answer; 0 takes it back.
func (h *handler) minimum() string {
	i := h.option("minimum-difficulty.value")
	if i < 0 {
		return "false"
	}
	var text string
	switch h.doc.tokens[i].kind {
	case kindNumber:
		text = string(h.doc.raw(i))
	case kindString:
		text = string(h.doc.text(i))
	}
	d, err := pool.ParseDifficulty(text)
	if err != nil {
		if v, bad := strconv.ParseFloat(text, 64); bad != nil || v != 0 {
			return "false"
		}
		d = 0
	}
	if s, _ := h.c.Session(); d != s.Minimum {
		s.Minimum = d
		h.renew()
	}
	return "true"
}
