package devnode

import (
	"bytes"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool/node/devnode/devnodetest"
)

func startLitecoindIn(t *testing.T, dir string) *Node {
	t.Helper()
	begin := time.Now()
	n, err := StartLitecoind(t.Context(), LitecoindOptions{Binary: devnodetest.Litecoind(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	t.Logf("litecoind answers after %v", time.Since(begin).Round(time.Millisecond))
	return n
}

type litecoinTemplate struct {
	Height int64
	MWEB   string
}

func (n *Node) templateForTest(t *testing.T) (template litecoinTemplate) {
	t.Helper()
	await(t, "the peer is connected", func() bool {
		var peers int
		call(t, n, &peers, "getconnectioncount")
		return peers > 0
	})
	call(t, n, &template, "getblocktemplate", map[string]any{"rules": []string{"mweb", "segwit"}})
	return template
}

func TestLitecoindPastMWEB(t *testing.T) {
	dir := t.TempDir()
	n := startLitecoindIn(t, dir)
	if err := n.Prepare(t.Context(), 0, nil); err != nil { // one block ends the initial sync
		t.Fatal(err)
	}
	if got := n.templateForTest(t); got.Height != 2 || got.MWEB != "" {
		t.Errorf("template %+v", got)
	}
	begin := time.Now()
	if err := n.Prepare(t.Context(), LitecoinMWEBHeight, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("height %d after %v", LitecoinMWEBHeight, time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped after %v", time.Since(begin).Round(time.Millisecond))
	awaitGone(t, n.PID())

	n = startLitecoindIn(t, dir)
	if err := n.Prepare(t.Context(), LitecoinMWEBHeight+2, nil); err != nil {
		t.Fatal(err)
	}
	if got := n.templateForTest(t); got.Height != LitecoinMWEBHeight+3 || got.MWEB == "" {
		t.Errorf("template %+v", got)
	}
}

// FuzzPeerMessage: a peer's bytes never panic, and what is skipped or read is
// what the header says.
func FuzzPeerMessage(f *testing.F) {
	var seed bytes.Buffer
	writeMessage(&seed, "ping", make([]byte, 8))
	f.Add(seed.Bytes())
	seed.Reset()
	writeMessage(&seed, "version", versionPayload())
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		command, payload, err := readMessage(r)
		if err != nil {
			return
		}
		if len(command) > 12 || command == "ping" && len(payload) != 8 || command != "ping" && payload != nil {
			t.Fatalf("%q %d bytes", command, len(payload))
		}
	})
}
