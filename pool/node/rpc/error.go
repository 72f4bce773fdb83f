package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kinds of failure that callers branch on with errors.Is.
var (
	// ErrUnreachable: no connection, a connection lost on the way, or a node
	// too busy to take the call. The call may or may not have been carried out.
	ErrUnreachable = errors.New("node unreachable")
	// ErrUnauthorized: the node refuses these credentials or this address.
	ErrUnauthorized = errors.New("node refuses the credentials")
	// ErrTimeout: no whole answer in time. The call may have been carried out.
	ErrTimeout = errors.New("node too slow")
	// ErrResponse: the answer is not a JSON-RPC response, too large, or has
	// another type than the caller expects: often a wrong port or a TLS mismatch.
	ErrResponse = errors.New("response cannot be used")
)

// Error is what a node answered in place of a result; get it with errors.As.
type Error struct {
	Code    int    // the node's code, such as -8 or -32601; 0 when it gave none
	Message string // the node's words, without control characters, at most 512 bytes
	Method  string // what was called
}

// Codes that both node families use with one meaning.
const (
	CodeMethodNotFound = -32601
	CodeWarmup         = -28 // Core family: starting up, ask again
	CodeNotConnected   = -9  // getblocktemplate: no peers
	CodeInitialSync    = -10 // getblocktemplate: the tip is not current
)

func (e *Error) Error() string {
	return fmt.Sprintf("node answered %s with error %d: %s", e.Method, e.Code, e.Message)
}

func tooLarge() error {
	return fmt.Errorf("%w: larger than %d MiB", ErrResponse, MaxResponse>>20)
}

// nodeError reads the error member of a response: an object by the protocol, a
// bare string from some proxies.
func nodeError(method string, raw []byte) error {
	var object struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(raw, &object); err == nil {
		return &Error{Code: object.Code, Message: printable(object.Message, 512), Method: method}
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		return &Error{Message: printable(text, 512), Method: method}
	}
	return fmt.Errorf("%w: the error member is %s", ErrResponse, snippet(raw))
}

// snippet quotes the start of a body for a message.
func snippet(body []byte) string {
	const limit = 160
	if len(body) == 0 {
		return "empty body"
	}
	tail := ""
	if len(body) > limit {
		body, tail = body[:limit], "…"
	}
	return fmt.Sprintf("%q%s", body, tail)
}

// printable cuts s to limit bytes and replaces what could forge a log line.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
