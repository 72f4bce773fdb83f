package v1

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	f := func(line string, want error) {
		t.Helper()
		var d document
		if err := d.parse([]byte(line)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", line, err, want)
		}
	}
	for _, good := range []string{`{}`, `[]`, `0`, `-0.5e+10`, `""`, ` [ 1 , {"a":null} ] `, `"\u00e9\"\\\/\b\f\n\r\t"`, `[[[[]]]]`, `{"a":1,"A":2}`, "\"\u7f8a\""} {
		f(good, nil)
	}
	for _, bad := range []string{``, ` `, `{`, `[`, `[1,]`, `{"a"}`, `{"a":}`, `{a:1}`, `01`, `1.`, `.5`, `+1`, `1e`, `-`, `NaN`, `tru`, `nul`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", `1 2`, `[1 2]`, `{"a":1,}`, `'a'`, `//`, `1/`, "\x0b1"} {
		f(bad, errSyntax)
	}
	f(`[[[[[[]]]]]]`, errDepth)
	f(`{"a":1,"b":2,"a":3}`, errDuplicate)
	f(`[{"a":{"x":1,"\u0078":2}}]`, errDuplicate)
	f("\"\xc3\x28\"", errUTF8)
	f(`[`+strings.Repeat("1,", maxTokens)+`1]`, errTooMany)
	f(`"`+strings.Repeat("x", 1<<16)+`"`, errTooMany)
}

// oracle reads a line with encoding/json and says what document.parse ought to: whether it is taken, and
// every value and key in order, strings decoded.
func oracle(line []byte) (ok bool, values []string) {
	if len(line) >= 1<<16 || !utf8.Valid(line) || !json.Valid(line) {
		return false, nil
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	type level struct {
		keys map[string]bool // nil for an array
		key  bool            // a key is due
	}
	var stack []level
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			return true, values
		}
		if err != nil {
			return false, nil
		}
		top := len(stack) - 1
		if d, isDelim := tok.(json.Delim); isDelim && (d == '}' || d == ']') {
			stack = stack[:top]
			continue
		}
		if len(values) == maxTokens {
			return false, nil
		}
		if top >= 0 && stack[top].keys != nil {
			if stack[top].key {
				k := tok.(string)
				if stack[top].keys[k] || len(stack[top].keys) == maxKeys {
					return false, nil
				}
				stack[top].keys[k] = true
			}
			stack[top].key = !stack[top].key
		}
		switch v := tok.(type) {
		case json.Delim:
			if len(stack) == maxDepth {
				return false, nil
			}
			l := level{}
			if v == '{' {
				l = level{keys: map[string]bool{}, key: true}
			}
			stack = append(stack, l)
			values = append(values, string(rune(v)))
		case string:
			values = append(values, "s"+v)
		case json.Number:
			values = append(values, "n"+v.String())
		case bool:
			values = append(values, map[bool]string{true: "true", false: "false"}[v])
		case nil:
			values = append(values, "null")
		}
	}
}

func values(d *document) []string {
	var out []string
	for i := range d.n {
		switch d.tokens[i].kind {
		case kindObject:
			out = append(out, "{")
		case kindArray:
			out = append(out, "[")
		case kindString:
			out = append(out, "s"+string(d.text(i)))
		case kindNumber:
			out = append(out, "n"+string(d.raw(i)))
		case kindTrue:
			out = append(out, "true")
		case kindFalse:
			out = append(out, "false")
		default:
			out = append(out, "null")
		}
	}
	return out
}

// FuzzParse compares the scanner with encoding/json.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"id":4,"method":"mining.submit","params":["testa.rig","25464e82","000000000000009b","386d4380","0000051c","00002000"]}`,
		`{"id":1,"method":"mining.configure","params":[["minimum-difficulty","version-rolling"],{"minimum-difficulty.value":2048,"version-rolling.mask":"1fffe000"}]}`,
		`{"params": ["a\u0062\ud83d\ude00\ud800x\udc00"], "id": null, "\u006dethod": "x"}`,
		`[{"a":{"b":[1,2.5e-3,-0]}},true,false,null]`, `{"a":1,"\u0061":2}`, `[[[[[]]]]]`, "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}", `{} {}`, `"\ud800\ud800\udc00"`,
		`"\ud800\u0041"`, `1e400`, `{"":{"":""}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var d document
		err := d.parse(line)
		ok, want := oracle(line)
		if (err == nil) != ok {
			t.Fatalf("%q: %v, encoding/json's answer within our limits is %v", line, err, ok)
		}
		if err != nil {
			return
		}
		if got := values(&d); strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q: got %q, want %q", line, got, want)
		}
		if int(d.tokens[0].next) != d.n {
			t.Fatalf("%q: the first value ends at token %d of %d", line, d.tokens[0].next, d.n)
		}
		if d.tokens[0].kind == kindObject {
			r := request{doc: &d, id: -1, method: -1, params: -1}
			if r.read() == "" && r.rawID() != nil && !json.Valid(r.rawID()) {
				t.Fatalf("%q: id %q is not JSON", line, r.rawID())
			}
		}
	})
}

// FuzzString: whatever the text of an error is, what is sent is a JSON string that stands for it.
func FuzzString(f *testing.F) {
	f.Add("an address \"begins\" with \\ \x00\x1b[31m\xff\u00e9\u2028\x7f")
	f.Fuzz(func(t *testing.T, s string) {
		out := appendString(nil, s)
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
		if bytes.ContainsAny(out, "\n\r") {
			t.Fatalf("%q has an end of line in it", out)
		}
	})
}
