package rpc

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestLocate(t *testing.T) {
	f := func(body, result, nodeErr, id string) {
		t.Helper()
		r, err := locate([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if string(r.result) != result || string(r.err) != nodeErr || string(r.id) != id {
			t.Errorf("%s: got result %s, error %s, id %s", body, r.result, r.err, r.id)
		}
	}
	f(`{}`, "", "", "")
	f(`{"result":null,"error":null,"id":1}`, "null", "null", "1")
	f(" {\n\"id\" : \"a\" ,\t\"result\" : [ {\"result\":2} , \"]\\\"\" ] }\r\n", `[ {"result":2} , "]\"" ]`, "", `"a"`)
	f(`{"jsonrpc":"2.0","result":"\\","id":-1.5e+3}`, `"\\"`, "", "-1.5e+3")
	f(`{"result":{"a":{"b":[]}},"extra":{"error":1}}`, `{"a":{"b":[]}}`, "", "")
}

func TestLocateRefuses(t *testing.T) {
	f := func(body string, want error) {
		t.Helper()
		if _, err := locate([]byte(body)); err != want {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
	f(``, errNotObject)
	f(`"result"`, errNotObject)
	f(`{`, errCut)
	f(`{"result`, errCut)
	f(`{"result":"\"`, errCut)
	f(`{"result":`, errCut)
	f(`{"result":[1`, errCut)
	f(`{"result":[1}`, errSyntax)
	f(`{"result" 1}`, errSyntax)
	f(`{"result":}`, errSyntax)
	f(`{"result":1,}`, errSyntax)
	f(`{"result":1}}`, errSyntax)
	f(`{"result":1 2}`, errSyntax)
	f(`{"id":1,"id":1}`, errTwice)
	f(`{"res\u0075lt":1}`, errEscaped)
	f(`{"result":`+strings.Repeat("[", maxDepth+1), errDeep)
}

// FuzzLocate: whatever encoding/json accepts as a response, locate cuts into
// the same members; nothing makes it panic or return bytes out of place.
func FuzzLocate(f *testing.F) {
	f.Add([]byte(`{"result":{"a":["\"",1]},"error":null,"id":1}`))
	f.Add([]byte(`{"result":null,"error":{"code":-1,"message":"x\\"},"id":null}`))
	f.Add([]byte(`{"result":[[[[]]]],"x":{"result":1}} `))
	f.Add([]byte(`{"result":"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := locate(body)
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) != nil || members == nil {
			return
		}
		if err == errDeep || err == errTwice || err == errEscaped {
			return // stricter than the language on purpose
		}
		if err != nil {
			t.Fatalf("refused valid json: %v", err)
		}
		for key, got := range map[string][]byte{"result": r.result, "error": r.err, "id": r.id} {
			if !bytes.Equal(got, members[key]) {
				t.Fatalf("%s is %q, want %q", key, got, members[key])
			}
		}
	})
}

// BenchmarkLocate runs over a template of 3 000 transactions, 4.6 MB.
func BenchmarkLocate(b *testing.B) {
	tx := `{"data":"` + strings.Repeat("0123456789abcdef", 80) + `","txid":"` + strings.Repeat("ab", 32) + `","depends":[],"fee":1000,"sigops":4,"weight":900}`
	body := []byte(`{"result":{"transactions":[` + strings.Repeat(tx+",", 2999) + tx + `]},"error":null,"id":1}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := locate(body); err != nil {
			b.Fatal(err)
		}
	}
}
