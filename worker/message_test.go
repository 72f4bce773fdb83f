package worker

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseResponses(t *testing.T) {
	f := func(line string, id uint64, result string, refused *refusal) {
		t.Helper()
		m, err := parseMessage([]byte(line))
		if err != nil || m.method != "" || m.answerTo != id || string(m.result) != result {
			t.Errorf("%s: %+v, %v", line, m, err)
			return
		}
		if (m.refusal == nil) != (refused == nil) || refused != nil && *m.refusal != *refused {
			t.Errorf("%s: refusal %+v, want %+v", line, m.refusal, refused)
		}
	}
	f(`{"id":4,"result":true,"error":null}`, 4, "true", nil)
	f(`{"error":null,"jsonrpc":"2.0","result":true,"id":"4"}`, 4, "true", nil)
	f(`{"id":4,"result":true}`, 4, "true", nil)
	f(`{"id":4,"result":null,"error":[21,"Job not found",null]}`, 4, "", &refusal{21, "Job not found"})
	f(`{"id":4,"error":{"code":-32601,"message":"no such\u0007 method"}}`, 4, "", &refusal{-32601, "no such  method"})
	f(`{"id":4,"result":false,"error":null,"reject-reason":"Stale"}`, 4, "false", &refusal{0, "Stale"})
	f(`{"id":4,"result":null,"error":"banned"}`, 4, "", &refusal{0, "banned"})
	f(`{"id":4,"result":null,"error":[]}`, 4, "", &refusal{0, "[]"})
	f(`{"id":4,"result":null,"error":[23]}`, 4, "", &refusal{23, ""})
	f(`{"id":4,"result":null,"error":[1e99,{"x":1}]}`, 4, "", &refusal{0, `{"x":1}`})
	f(`{"id":4,"result":null,"error":false}`, 4, "", &refusal{0, "false"})
}

func TestParseCalls(t *testing.T) {
	f := func(line, method, id string, params int) {
		t.Helper()
		m, err := parseMessage([]byte(line))
		if err != nil || m.method != method || string(m.id) != id || len(m.params) != params {
			t.Errorf("%s: %+v, %v", line, m, err)
		}
	}
	f(`{"id":null,"method":"mining.set_difficulty","params":[16384]}`, "mining.set_difficulty", "", 1)
	f(`{"method":"mining.ping"}`, "mining.ping", "", 0)
	f(`{"id":"x\u00e9","method":"client.get_version","params":[]}`, "client.get_version", `"x\u00e9"`, 0)
	f(` {"id":0,"method":"mining.ping","params":null} `, "mining.ping", "0", 0)
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{``, `x`, `null`, `[]`, `"a"`, `1`, `{}`, `{"id":null}`, `{"result":true}`, `{"id":true,"result":1}`,
		`{"id":1.5,"result":true}`, `{"id":-1,"result":true}`, `{"id":"a","result":true}`, `{"id":{},"method":"m"}`,
		`{"id":1,"method":7}`, `{"id":1,"method":""}`, `{"id":1,"method":"m","params":{}}`, `{"id":1,"method":"m","params":1}`,
		`{"id":1,"result":true`, `{"id":1,"result":true}{"id":2}`, strings.Repeat("[", 100_000)} {
		if m, err := parseMessage([]byte(line)); err == nil {
			t.Errorf("%.60s gave %+v", line, m)
		}
	}
}

func TestLinesOfOurs(t *testing.T) {
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want+"\n" {
			t.Errorf("got %s want %s", got, want)
		}
	}
	f(request(4, "mining.submit", "alice.rig1", "1f", "0000000000000001", "65f0a1b3", "1a2b3c4d", "00002000"),
		`{"id":4,"method":"mining.submit","params":["alice.rig1","1f","0000000000000001","65f0a1b3","1a2b3c4d","00002000"]}`)
	f(request(5, "mining.extranonce.subscribe"), `{"id":5,"method":"mining.extranonce.subscribe","params":[]}`)
	f(request(3, "mining.authorize", "a<b", `p&"q`), `{"id":3,"method":"mining.authorize","params":["a<b","p&\"q"]}`)
	f(reply(json.RawMessage(`"x"`), "pong", nil), `{"id":"x","result":"pong","error":null}`)
	f(reply(json.RawMessage(`9`), nil, &refusal{20, "Unsupported method"}), `{"id":9,"result":null,"error":[20,"Unsupported method",null]}`)
}

func TestCleanText(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := cleanText(s); got != want {
			t.Errorf("%q became %q", s, got)
		}
	}
	f("hi é", "hi é")
	f("a\x1b[31m\r\nb", "a [31m  b")
	f("\xff\xfe", " ")
	f(strings.Repeat("é", 101), strings.Repeat("é", 100))
	f("a"+strings.Repeat("é", 100), "a"+strings.Repeat("é", 99)+" ")
}

// seeds for both fuzz tests: every message of the protocol, and broken ones.
func seeds() []string {
	return []string{
		`{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}`,
		`{"id":2,"result":[[["mining.set_difficulty","01ad557d"],["mining.notify","01ad557d"]],"01ad557d",8],"error":null}`,
		`{"id":3,"result":true,"error":null}`,
		`{"id":null,"method":"mining.set_difficulty","params":[16384.5e-1]}`,
		`{"id":null,"method":"mining.notify","params":["1f","` + strings.Repeat("0a", 32) + `","01","02",["` + strings.Repeat("0b", 32) + `"],"20000000","170331db","65f0a1b2",true]}`,
		`{"id":4,"result":null,"error":[23,"Low difficulty share",null]}`,
		`{"id":4,"error":{"code":21,"message":"stale"}}`,
		`{"id":null,"method":"mining.set_extranonce","params":["01ad557e",4]}`,
		`{"id":null,"method":"mining.set_version_mask","params":["1fffe000"]}`,
		`{"id":null,"method":"client.reconnect","params":["127.0.0.1",3333,"5"]}`,
		`{"id":null,"method":"client.show_message","params":["hello"]}`,
		`{"id":"a","method":"client.get_version","params":[]}`,
		`{"id":9,"method":"mining.ping"}`,
		`{"id":null,"method":"mining.set_difficulty","params":[1e999999999]}`,
		`{"id":2,"result":[null,"",0]}`, `{"method":"mining.notify","params":[]}`, `[[[[`,
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseMessage(line)
		if err != nil || m.method == "" {
			return
		}
		// A call, written out again, reads the same.
		again, err := parseMessage(lineOf(m))
		if err != nil || again.method != m.method || len(again.params) != len(m.params) || (again.id == nil) != (m.id == nil) {
			t.Fatalf("%q: %+v, again %+v, %v", line, m, again, err)
		}
	})
}

func lineOf(m message) []byte {
	members := map[string]any{"method": m.method, "params": m.params}
	if m.id != nil {
		members["id"] = m.id
	}
	return line(members)
}
