package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// message is one line from the pool: a response when method is empty, else a
// request (id set) or a notification (id nil).
type message struct {
	method string
	id     json.RawMessage // as the pool wrote it, to be echoed
	params []json.RawMessage

	answerTo uint64          // response: the id of our request
	result   json.RawMessage // response: nil when absent or null
	refusal  *refusal        // response: nil when the pool reported no error
	bad      error           // the line could not be understood
}

// refusal is the error member of a response. code is 0 when the pool gave none;
// reason is clean text.
type refusal struct {
	code   int
	reason string
}

func (r *refusal) Error() string { return fmt.Sprintf("[%d] %s", r.code, r.reason) }

// parseMessage reads one line without its line end. Names of members are
// matched exactly; members that the protocol does not know are ignored.
func parseMessage(line []byte) (message, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return message{}, fmt.Errorf("parse line: %w", err)
	}
	if members == nil {
		return message{}, errors.New("parse line: not an object")
	}
	id := present(members["id"])
	if id != nil && id[0] != '"' && !isNumber(id) {
		return message{}, fmt.Errorf("parse line: id %.40q is neither number nor string", id)
	}
	if method := present(members["method"]); method != nil {
		return parseCall(method, id, members)
	}
	return parseResponse(id, members)
}

func parseCall(method, id json.RawMessage, members map[string]json.RawMessage) (message, error) {
	m := message{id: id}
	var err error
	if m.method, err = text(method); err != nil || m.method == "" {
		return message{}, fmt.Errorf("parse line: method %.40q is not a name", method)
	}
	if params := present(members["params"]); params != nil {
		if err := json.Unmarshal(params, &m.params); err != nil {
			return message{}, fmt.Errorf("parse params of %.40q: not an array", m.method)
		}
	}
	return m, nil
}

func parseResponse(id json.RawMessage, members map[string]json.RawMessage) (message, error) {
	if id == nil {
		return message{}, errors.New("parse line: neither method nor id")
	}
	// Some pools echo a number as a string.
	n, err := strconv.ParseUint(strings.Trim(string(id), `"`), 10, 64)
	if err != nil {
		return message{}, fmt.Errorf("parse line: response to id %.40q, never sent", id)
	}
	m := message{answerTo: n, result: present(members["result"])}
	m.refusal = parseRefusal(present(members["error"]))
	if reason := present(members["reject-reason"]); m.refusal == nil && reason != nil {
		m.refusal = parseRefusal(reason) // ckpool: result false, error null, reject-reason text
	}
	return m, nil
}

// parseRefusal reads [code, "message", …], {"code":…, "message":…} or a bare
// text. Whatever else stands there is a refusal too, with itself as the reason.
func parseRefusal(raw json.RawMessage) *refusal {
	if raw == nil {
		return nil
	}
	var code, reason json.RawMessage
	var list []json.RawMessage
	var object map[string]json.RawMessage
	switch {
	case json.Unmarshal(raw, &list) == nil && len(list) > 0:
		code = list[0]
		if len(list) > 1 {
			reason = list[1]
		}
	case json.Unmarshal(raw, &object) == nil:
		code, reason = object["code"], object["message"]
	default:
		reason = raw
	}
	r := &refusal{}
	if n, err := strconv.ParseInt(string(code), 10, 32); err == nil {
		r.code = int(n)
	}
	if s, err := text(reason); err == nil {
		r.reason = cleanText(s)
	} else {
		r.reason = cleanText(string(present(reason)))
	}
	return r
}

// request is what the rig asks, as a line.
func request(id uint64, method string, params ...any) []byte {
	if params == nil {
		params = []any{}
	}
	return line(struct {
		ID     uint64 `json:"id"`
		Method string `json:"method"`
		Params []any  `json:"params"`
	}{id, method, params})
}

// reply answers a request of the pool; refused may be nil.
func reply(id json.RawMessage, result any, refused *refusal) []byte {
	r := struct {
		ID     json.RawMessage `json:"id"`
		Result any             `json:"result"`
		Error  any             `json:"error"`
	}{ID: id, Result: result}
	if refused != nil {
		r.Error = []any{refused.code, refused.reason, nil}
	}
	return line(r)
}

// line encodes v, which holds only strings, numbers, maps and slices of them.
func line(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // "&" in a password must survive pools with a simple parser
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("worker: encode a message of our own: %v", err))
	}
	return b.Bytes()
}

// present turns an absent member and null into nil.
func present(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// text decodes a JSON string.
func text(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", fmt.Errorf("%.40q is not a string", raw)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%.40q is not a string", raw)
	}
	return s, nil
}

// cleanText makes what a pool says fit for a log line or a terminal: at most
// 200 bytes, no control characters.
func cleanText(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}
