package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/audit"
)

// The allocation file that docs/payouts.md works out by hand is a right one and has the numbers of the text.
func TestWorkedExample(t *testing.T) {
	doc, err := os.ReadFile("../../docs/payouts.md")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(doc, []byte(`{"v":1,`))
	if at < 0 {
		t.Fatal("no allocation file in docs/payouts.md")
	}
	raw, _, _ := bytes.Cut(doc[at:], []byte("\n"))
	a, err := allocation.Parse(append(raw, '\n'))
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := splitter(a.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Recompute(scheme); err != nil {
		t.Fatal(err)
	}
	if a.Rows[0].Score != a.Window.Rest || a.Rows[0].Amount != 1_237_500_958 || a.Fee != 50_000_038 || a.Window.First != 423 {
		t.Errorf("%+v", a)
	}
}

// The proof in docs/payouts.md is a right one and has the numbers of the text.
func TestWorkedProof(t *testing.T) {
	doc, err := os.ReadFile("../../docs/payouts.md")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(doc, []byte(`{"v":1,"pool":"bitcoin","row":`))
	if at < 0 {
		t.Fatal("no proof in docs/payouts.md")
	}
	raw, _, _ := bytes.Cut(doc[at:], []byte("\n"))
	p, err := audit.ParseProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if p.Row.Amount != 1_237_500_000 || p.Row.Height != 310 || len(p.Row.Above) != 7 || !strings.HasPrefix(p.Root().String(), "a52fb88e") ||
		!strings.HasPrefix(p.Head.BlocksRoot.String(), "784f31f1") {
		t.Errorf("%+v", p.Row)
	}
}

func TestParseHead(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	h, err := parseHead("7:" + hash)
	if err != nil || h.Seq != 7 || h.Hash[31] != 0xab {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range []string{"", "7", "0:" + hash, "x:" + hash, "7:" + hash[2:], "7:zz"} {
		if _, err := parseHead(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
