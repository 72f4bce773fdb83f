package stratum_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

// FuzzLines sends lines to a connection that is ready for work. Nothing panics; every line that leaves is
// JSON; each line gets at most one answer, and a request by encoding/json's reading exactly one; no share
// is made out of nothing.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{"id":4,"method":"mining.submit","params":["testa.rig","25464e82","000000000000009b","386d4380","0000051c","00002000"]}`,
		`{"id":1,"method":"mining.configure","params":[["minimum-difficulty","version-rolling","info","x"],{"minimum-difficulty.value":0.5,"version-rolling.mask":"1fffe000"}]}`,
		`{"id":"a","method":"mining.suggest_difficulty","params":["0.001"]}`,
		`{"id":null,"method":"mining.suggest_difficulty(512)","params":[]}`,
		`{"id":1,"method":"mining.suggest_target","params":["00000000ffff0000000000000000000000000000000000000000000000000000"]}`,
		`{"id":1,"method":"mining.subscribe","params":["x",null,5,{}]}`,
		`{"id":1,"method":"mining.authorize","params":["testb\u00e9\ud800",null]}`,
		`{"id":null,"method":"mining.capabilities","params":[{"notify":[]}]}`, `{"method":"mining.suggest_target","params":["zz"]}`,
		`{"id":1,"method":"pong"}`, `{"id":1,"result":true}`, `{"method":null,"id":1}`, `[]`, "\r\n\n", `{"id":[1],"method":"x"}`,
		`{"id":1,"method":"mining.authorize","params":["test\"}]\n{"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		p := stratumtest.NewPool(pool.SchemePPLNS, true)
		c, _ := opened(t, p)
		for _, line := range bytes.Split(input, []byte("\n")) {
			answers := 0
			for _, out := range bytes.SplitAfter(c.Exchange(append(line, '\n')), []byte("\n")) {
				if len(out) == 0 {
					continue
				}
				var m map[string]json.RawMessage
				if err := json.Unmarshal(out, &m); err != nil {
					t.Fatalf("after %q: %q: %v", line, out, err)
				}
				if _, push := m["method"]; push {
					continue
				}
				answers++
				if m["result"] == nil || m["error"] == nil || m["id"] == nil {
					t.Fatalf("after %q: %q lacks a member", line, out)
				}
			}
			var r struct {
				ID     any             `json:"id"`
				Method *string         `json:"method"`
				Result json.RawMessage `json:"result"`
			}
			isRequest := json.Unmarshal(line, &r) == nil && r.Method != nil && *r.Method != "pong" && *r.Method != "mining.pong"
			if isRequest && r.ID == nil && (strings.HasPrefix(*r.Method, "mining.suggest_") || *r.Method == "mining.capabilities") {
				isRequest = answers == 1 // a hint: with "id":null it gets no answer
			}
			if answers > 1 || isRequest && answers != 1 {
				t.Fatalf("%q got %d answers", line, answers)
			}
		}
		if n := len(p.Shares()); n != 0 {
			t.Fatalf("%d shares out of nothing", n)
		}
	})
}
