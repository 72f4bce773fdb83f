package rpc

import (
	"bytes"
	"errors"
)

// maxDepth bounds the nesting of a response; no node answers with more than ten.
const maxDepth = 64

var (
	errNotObject = errors.New("not a json object")
	errCut       = errors.New("json is cut short")
	errSyntax    = errors.New("json syntax is wrong")
	errDeep      = errors.New("json is nested too deep")
	errTwice     = errors.New("a member stands there twice")
	errEscaped   = errors.New("a member's name is spelt with escapes")
)

// response holds the members of a JSON-RPC response as slices of its body; an
// absent member is nil.
type response struct{ result, err, id []byte }

// locate finds the members of a response without decoding it: one pass that
// jumps from quote to quote, so that a template of megabytes of hex costs little.
// It checks the top level; of a member's value only that strings are closed,
// brackets balanced and a bare word made of a scalar's letters.
func locate(body []byte) (response, error) {
	var r response
	s := scanner{b: body}
	if s.space() != '{' {
		return r, errNotObject
	}
	s.i++
	if s.space() == '}' {
		s.i++
		return r, s.end()
	}
	for {
		if s.space() != '"' {
			return r, s.fail()
		}
		start := s.i
		if err := s.text(); err != nil {
			return r, err
		}
		key := s.b[start+1 : s.i-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			return r, errEscaped
		}
		if s.space() != ':' {
			return r, s.fail()
		}
		s.i++
		s.space()
		start = s.i
		if err := s.value(); err != nil {
			return r, err
		}
		value := s.b[start:s.i]
		var member *[]byte
		switch string(key) {
		case "result":
			member = &r.result
		case "error":
			member = &r.err
		case "id":
			member = &r.id
		}
		if member != nil {
			if *member != nil {
				return r, errTwice
			}
			*member = value
		}
		switch s.space() {
		case ',':
			s.i++
		case '}':
			s.i++
			return r, s.end()
		default:
			return r, s.fail()
		}
	}
}

// scanner walks over b from i.
type scanner struct {
	b []byte
	i int
}

// space skips white space and returns the byte after it, 0 at the end.
func (s *scanner) space() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) fail() error {
	if s.i >= len(s.b) {
		return errCut
	}
	return errSyntax
}

func (s *scanner) end() error {
	if s.space(); s.i < len(s.b) {
		return errSyntax
	}
	return nil
}

// text skips a string; i is at its opening quote.
func (s *scanner) text() error {
	s.i++
	for {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			return errCut
		}
		quote := s.i + n
		escapes := 0
		for quote-1-escapes >= s.i && s.b[quote-1-escapes] == '\\' {
			escapes++
		}
		s.i = quote + 1
		if escapes%2 == 0 {
			return nil
		}
	}
}

// value skips one value; i is at its first byte.
func (s *scanner) value() error {
	if s.i >= len(s.b) {
		return errCut
	}
	switch s.b[s.i] {
	case '"':
		return s.text()
	case '{', '[':
		return s.nested()
	}
	start := s.i
	for s.i < len(s.b) && isScalar(s.b[s.i]) {
		s.i++
	}
	if s.i == start {
		return errSyntax
	}
	return nil
}

// nested skips an object or array; i is at its opening bracket.
func (s *scanner) nested() error {
	var open [maxDepth]byte
	depth := 0
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case '"':
			if err := s.text(); err != nil {
				return err
			}
			continue
		case '{', '[':
			if depth == maxDepth {
				return errDeep
			}
			open[depth] = c + 2 // '{'+2 == '}', '['+2 == ']'
			depth++
		case '}', ']':
			depth--
			if open[depth] != c {
				return errSyntax
			}
			if depth == 0 {
				s.i++
				return nil
			}
		}
		s.i++
	}
	return errCut
}

// isScalar reports whether c can stand in a number, true, false or null.
func isScalar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

func isNull(raw []byte) bool { return raw == nil || string(raw) == "null" }
