//go:build itest

package itest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// wire is a Stratum client that knows only text.
type wire struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Reader
	jobs  [][]any // notify params, newest last
	level any     // difficulty of the next job
	clean int     // jobs that dropped the ones before
}

func dialWire(t *testing.T, url string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "stratum+tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t: t, conn: conn, lines: bufio.NewReader(conn)}
}

func (w *wire) send(line string) {
	w.t.Helper()
	if _, err := w.conn.Write([]byte(line + "\n")); err != nil {
		w.t.Fatal(err)
	}
}

type message struct {
	ID     json.RawMessage
	Method string
	Params []any
	Result json.RawMessage
	Error  []any
}

// read takes one message and keeps what jobs it brings.
func (w *wire) read() message {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Now().Add(time.Minute))
	line, err := w.lines.ReadBytes('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		w.t.Fatalf("%v: %s", err, line)
	}
	if m.Method == "mining.set_difficulty" {
		w.level = m.Params[0]
	}
	if m.Method == "mining.notify" {
		w.jobs = append(w.jobs, m.Params)
		if m.Params[8] == true {
			w.clean++
		}
	}
	return m
}

func (w *wire) reply(id string) message {
	w.t.Helper()
	for {
		if m := w.read(); m.Method == "" && string(m.ID) == id {
			return m
		}
	}
}

func (w *wire) result(id string) []any {
	w.t.Helper()
	var r []any
	if m := w.reply(id); json.Unmarshal(m.Result, &r) != nil {
		w.t.Fatalf("answer %s: %s %v", id, m.Result, m.Error)
	}
	return r
}

// answer is "true", or the error's code.
func (w *wire) answer(id string) string {
	w.t.Helper()
	m := w.reply(id)
	if len(m.Error) > 0 {
		return fmt.Sprint(m.Error[0])
	}
	return string(m.Result)
}

func (w *wire) notify() []any {
	w.t.Helper()
	for len(w.jobs) == 0 {
		w.read()
	}
	return w.jobs[len(w.jobs)-1]
}

var errTip = errors.New("the tip changed in between")

// changed is errTip when another clean job came after the first.
func (w *wire) changed() error {
	if w.clean > 1 {
		return errTip
	}
	return nil
}

func unhex(t *testing.T, v any) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reversed(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

func doubleSHA(b []byte) []byte {
	one := sha256.Sum256(b)
	two := sha256.Sum256(one[:])
	return two[:]
}

// header puts the 80 bytes together from a notify: version, prevhash with each 4-byte group reversed,
// merkle root, ntime, nbits, nonce; the 8-digit fields reversed.
func header(t *testing.T, job []any, extranonce1, extranonce2 string, nonce uint32) []byte {
	t.Helper()
	root := doubleSHA(unhex(t, job[2].(string)+extranonce1+extranonce2+job[3].(string)))
	for _, b := range job[4].([]any) {
		root = doubleSHA(append(root, unhex(t, b)...))
	}
	h := reversed(unhex(t, job[5]))
	prev := unhex(t, job[1])
	for i := 0; i < 32; i += 4 {
		h = append(h, reversed(prev[i:i+4])...)
	}
	h = append(h, root...)
	h = append(h, reversed(unhex(t, job[7]))...)
	h = append(h, reversed(unhex(t, job[6]))...)
	return append(h, reversed(unhex(t, fmt.Sprintf("%08x", nonce)))...)
}

// hashNumber is the header's double SHA-256 as a little-endian number.
func hashNumber(header []byte) *big.Int { return new(big.Int).SetBytes(reversed(doubleSHA(header))) }

// target is 0xffff * 2^208 divided by a difficulty.
func target(t *testing.T, difficulty string) *big.Int {
	t.Helper()
	d, ok := new(big.Rat).SetString(difficulty)
	if !ok {
		t.Fatal(difficulty)
	}
	one := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(0xffff), 208))
	q := one.Quo(one, d)
	return new(big.Int).Quo(q.Num(), q.Denom())
}
