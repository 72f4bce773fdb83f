package stratum_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// The forms of a submission's fields, written once more.
var (
	en2Form, timeForm  = regexp.MustCompile(`^[0-9a-fA-F]{16}$`), regexp.MustCompile(`^[0-9a-fA-F]{8}$`)
	nonceForm, bitForm = regexp.MustCompile(`^[0-9a-fA-F]{1,8}$`), regexp.MustCompile(`^[0-9a-fA-F]{1,8}$`)
)

// FuzzSubmit sends the fields of a share as any texts. One that is not of the form gets 20 (or 24 for the
// name, 21 for the job); a spelling of a share that was accepted is its duplicate; nothing else is a share.
func FuzzSubmit(f *testing.F) {
	f.Add("testa.rig", true, "000000000000009b", "386d4380", "0000051c", "00002000")
	f.Add("testa.rig", true, "000000000000009B", "386D4380", "51c", "")
	f.Add("testa.rig", true, "00000000000000Ab", "", "0000001c", "2000")
	f.Add("testa.rig", true, "0000000000000001", "", "7", "")
	f.Add("testa.rig ", false, "0x0000000000009b", "+386d438", " 51c", "zz")
	f.Add("testa.rig", true, "00000000000000zz", "386d43800", "", "123456789")
	f.Fuzz(func(t *testing.T, user string, known bool, en2, ntime, nonce, bits string) {
		p := stratumtest.NewPool(pool.SchemePPLNS, true)
		c, rig := opened(t, p)
		job := "00000000"
		if known {
			job = rig.Job.ID
		}
		if ntime == "" { // what a fuzzer cannot know
			ntime = rig.Job.NTime
		}
		params := []string{user, job, en2, ntime, nonce}
		if bits != "" {
			params = append(params, bits)
		}
		line, err := json.Marshal(map[string]any{"id": 1, "method": "mining.submit", "params": params})
		if err != nil {
			t.Fatal(err)
		}
		line = append(line, '\n')
		formed := user == "testa.rig" && known && en2Form.MatchString(en2) && timeForm.MatchString(ntime) && nonceForm.MatchString(nonce) && (bits == "" || bitForm.MatchString(bits))
		answer := func(line []byte) (code int, ok bool) {
			var m struct {
				Result *bool `json:"result"`
				Error  []any `json:"error"`
			}
			for _, out := range bytes.SplitAfter(c.Exchange(line), []byte("\n")) {
				if bytes.Contains(out, []byte(`"method"`)) || len(out) == 0 {
					continue
				}
				if err := json.Unmarshal(out, &m); err != nil {
					t.Fatalf("%q: %v", out, err)
				}
				if m.Error != nil {
					code = int(m.Error[0].(float64))
				}
				ok = m.Result != nil && *m.Result
			}
			return code, ok
		}
		code, ok := answer(line)
		switch {
		case ok && !formed, !ok && (code < 20 || code > 24), formed && code == 24:
			t.Fatalf("%s: accepted %v, code %d", line, ok, code)
		}
		if ok {
			spelt := []string{user, job, strings.ToUpper(en2), strings.ToUpper(ntime), strings.TrimLeft(nonce[:len(nonce)-1], "0") + nonce[len(nonce)-1:]}
			if bits != "" {
				spelt = append(spelt, strings.ToUpper(bits))
			}
			again, err := json.Marshal(map[string]any{"id": 1, "method": "mining.submit", "params": spelt})
			if err != nil {
				t.Fatal(err)
			}
			if code, ok := answer(append(again, '\n')); ok || code != 22 {
				t.Fatalf("%s after %s: accepted %v, code %d", again, line, ok, code)
			}
		}
		if n := len(p.Shares()); n > 1 || (n == 1) != ok {
			t.Fatalf("%d shares, accepted %v", n, ok)
		}
	})
}

// FuzzChunks sends the same bytes whole and in pieces to two servers alike: the answers are the same.
func FuzzChunks(f *testing.F) {
	f.Add([]byte(`{"id":1,"method":"mining.ping"}`+"\n"+`{"id":2,"method":"x"}`+"\r\n\n[]\n{}\n"), []byte{1, 5, 40})
	f.Add([]byte(strings.Repeat("a", 5000)), []byte{255, 255, 255})
	f.Add([]byte(`{"id":1,"method":"mining.subscribe","params":["a"]}`+"\n"+`{"id":2,"method":"mining.authorize","params":["1bad","x"]}`+"\n"), []byte{3})
	f.Fuzz(func(t *testing.T, input, cuts []byte) {
		if len(input) > 6000 {
			return
		}
		whole, pieces := replies(t, input, nil), replies(t, input, cuts)
		if whole != pieces {
			t.Fatalf("whole:\n%s\nin pieces:\n%s", whole, pieces)
		}
	})
}

var (
	ticketText = regexp.MustCompile(`"[0-9a-f]{32}"`)
	jobText    = regexp.MustCompile(`(?m)^\{"id":null,"method":"mining\.(notify|set_difficulty)".*\n`)
)

// replies is all that a new server says to input, sent in pieces of the lengths that cuts repeats.
func replies(t *testing.T, input, cuts []byte) string {
	t.Helper()
	ln := stratumtest.ListenPipes()
	s := stratumtest.StartOn(t, ln, stratum.Options{Pool: stratumtest.NewPool(pool.SchemePPLNS, true), Dialect: v1.New(), Rate: 1e6})
	nc, err := ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(nc)
		out <- string(b)
	}()
	send(nc, input, cuts)
	s.Stop(t) // what was read is answered
	got := <-out
	nc.Close()
	return jobText.ReplaceAllString(ticketText.ReplaceAllString(got, `"ticket"`), "")
}

// send writes input; the server may end the connection before all of it.
func send(nc net.Conn, input, cuts []byte) {
	for i := 0; len(input) > 0; i++ {
		n := len(input)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		if _, err := nc.Write(input[:n]); err != nil {
			return
		}
		input = input[n:]
	}
	nc.Write([]byte("\n")) // taken when all before was
}
