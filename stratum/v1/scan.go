package v1

import (
	"bytes"
	"errors"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a line beside its length.
const (
	maxDepth  = 5 // bfgminer's mining.capabilities has that many
	maxTokens = 128
	maxKeys   = 32 // of one object
)

// Errors of document.parse; their texts go to the miner.
var (
	errSyntax    = errors.New("not JSON")
	errUTF8      = errors.New("not UTF-8")
	errDepth     = errors.New("nested too deeply")
	errTooMany   = errors.New("too many values")
	errDuplicate = errors.New("a key stands twice")
)

type kind uint8

const (
	kindNull kind = iota
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindArray
	kindObject
)

// token is one JSON value, or a key. Offsets are into the line; a string's are inside its quotes.
type token struct {
	kind       kind
	escaped    bool   // a string with a backslash in it
	next       uint16 // index of the token behind this value and all that is in it
	start, end uint16
}

// document is one JSON text as a flat list of values in the order they stand; keys are strings before
// their values. src must be shorter than 64 KiB.
type document struct {
	src    []byte
	pos    int
	n      int
	tokens [maxTokens]token
}

// parse reads exactly one JSON value (RFC 8259) with nothing behind it. Stricter than the RFC it refuses
// more than maxDepth levels of arrays and objects, more than maxTokens values and keys, an object with more than
// maxKeys keys or two equal ones, and bytes that are not UTF-8.
func (d *document) parse(src []byte) error {
	d.src, d.pos, d.n = src, 0, 0
	if len(src) >= 1<<16 {
		return errTooMany
	}
	if !utf8.Valid(src) {
		return errUTF8
	}
	if err := d.value(0); err != nil {
		return err
	}
	d.space()
	if d.pos != len(src) {
		return errSyntax
	}
	return nil
}

// release puts d back without the line that it was about.
func (d *document) release(to *sync.Pool) {
	d.src = nil
	to.Put(d)
}

func (d *document) space() {
	for d.pos < len(d.src) {
		switch d.src[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return
		}
	}
}

// peek is the next byte that is not space, 0 at the end.
func (d *document) peek() byte {
	d.space()
	if d.pos < len(d.src) {
		return d.src[d.pos]
	}
	return 0
}

// value reads the value at pos; depth is how many arrays and objects it stands in.
func (d *document) value(depth int) error {
	b := d.peek()
	if d.n == maxTokens {
		return errTooMany
	}
	at := d.n
	d.n++
	t := &d.tokens[at]
	*t = token{start: uint16(d.pos)}
	var err error
	switch {
	case b == '{' || b == '[':
		if depth == maxDepth {
			return errDepth
		}
		t.kind = kindArray
		if b == '{' {
			t.kind = kindObject
		}
		err = d.members(t.kind, depth+1)
	case b == '"':
		return d.string(t)
	case b == '-' || b >= '0' && b <= '9':
		t.kind = kindNumber
		err = d.number()
	case b == 't':
		t.kind = kindTrue
		err = d.literal("true")
	case b == 'f':
		t.kind = kindFalse
		err = d.literal("false")
	case b == 'n':
		err = d.literal("null")
	default:
		return errSyntax
	}
	if err != nil {
		return err
	}
	t.end, t.next = uint16(d.pos), uint16(d.n)
	if t.kind == kindObject {
		return d.distinct(at)
	}
	return nil
}

// members reads an array or object from its opening bracket to its closing one.
func (d *document) members(k kind, depth int) error {
	closing := byte(']')
	if k == kindObject {
		closing = '}'
	}
	d.pos++
	if d.peek() == closing {
		d.pos++
		return nil
	}
	for {
		if k == kindObject {
			if d.peek() != '"' {
				return errSyntax
			}
			if err := d.value(depth); err != nil {
				return err
			}
			if d.peek() != ':' {
				return errSyntax
			}
			d.pos++
		}
		if err := d.value(depth); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case closing:
			d.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

func (d *document) string(t *token) error {
	t.kind = kindString
	d.pos++
	t.start = uint16(d.pos)
	for d.pos < len(d.src) {
		switch b := d.src[d.pos]; {
		case b == '"':
			t.end, t.next = uint16(d.pos), uint16(d.n)
			d.pos++
			return nil
		case b < ' ':
			return errSyntax
		case b == '\\':
			t.escaped = true
			d.pos++
			if d.pos == len(d.src) {
				return errSyntax
			}
			switch d.src[d.pos] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hexDigits(d.src[d.pos+1:min(d.pos+5, len(d.src))], 4, 4); !ok {
					return errSyntax
				}
				d.pos += 4
			default:
				return errSyntax
			}
		}
		d.pos++
	}
	return errSyntax
}

// number reads -? int frac? exp?.
func (d *document) number() error {
	if d.src[d.pos] == '-' {
		d.pos++
	}
	if d.pos < len(d.src) && d.src[d.pos] == '0' {
		d.pos++
	} else if !d.digits() {
		return errSyntax
	}
	if d.pos < len(d.src) && d.src[d.pos] == '.' {
		d.pos++
		if !d.digits() {
			return errSyntax
		}
	}
	if d.pos < len(d.src) && d.src[d.pos]|0x20 == 'e' {
		d.pos++
		if d.pos < len(d.src) && (d.src[d.pos] == '+' || d.src[d.pos] == '-') {
			d.pos++
		}
		if !d.digits() {
			return errSyntax
		}
	}
	return nil
}

// digits skips decimal digits and reports whether there was one.
func (d *document) digits() bool {
	from := d.pos
	for d.pos < len(d.src) && d.src[d.pos] >= '0' && d.src[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > from
}

func (d *document) literal(word string) error {
	if !bytes.HasPrefix(d.src[d.pos:], []byte(word)) {
		return errSyntax
	}
	d.pos += len(word)
	return nil
}

// distinct refuses an object in which a key stands twice, and one with so many that looking would take
// long.
func (d *document) distinct(object int) error {
	keys := 0
	for a := object + 1; a < int(d.tokens[object].next); a = int(d.tokens[a+1].next) {
		if keys++; keys > maxKeys {
			return errTooMany
		}
		for b := object + 1; b < a; b = int(d.tokens[b+1].next) {
			if d.same(a, b) {
				return errDuplicate
			}
		}
	}
	return nil
}

func (d *document) same(a, b int) bool {
	if !d.tokens[a].escaped && !d.tokens[b].escaped {
		return bytes.Equal(d.raw(a), d.raw(b))
	}
	return bytes.Equal(d.text(a), d.text(b))
}

// raw is the value as it stands, a string without its quotes.
func (d *document) raw(i int) []byte { return d.src[d.tokens[i].start:d.tokens[i].end] }

// text is the string that token i stands for. Without escapes it is a part of the line. Half a surrogate
// pair stands for U+FFFD.
func (d *document) text(i int) []byte {
	raw := d.raw(i)
	if !d.tokens[i].escaped {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for j := 0; j < len(raw); j++ {
		if raw[j] != '\\' {
			out = append(out, raw[j])
			continue
		}
		j++
		switch raw[j] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			v, _ := hexDigits(raw[j+1:j+5], 4, 4)
			j += 4
			r := rune(v)
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if j+6 < len(raw) && raw[j+1] == '\\' && raw[j+2] == 'u' {
					v, _ := hexDigits(raw[j+3:j+7], 4, 4)
					low = rune(v)
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					j += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, raw[j])
		}
	}
	return out
}

// is reports whether token i is a string and stands for word.
func (d *document) is(i int, word string) bool {
	if d.tokens[i].kind != kindString {
		return false
	}
	if !d.tokens[i].escaped {
		return string(d.raw(i)) == word
	}
	return string(d.text(i)) == word
}

// hexDigits reads least to most (at most 8) hex digits of either case and nothing else.
func hexDigits(b []byte, least, most int) (uint32, bool) {
	if len(b) < least || len(b) > most {
		return 0, false
	}
	var v uint32
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}
