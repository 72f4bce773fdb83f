package settle

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

func (w *world) audit() audit.Options {
	if err := os.WriteFile(filepath.Join(w.dir, "head.key"), testKeyText, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "secret"), []byte(hex.EncodeToString(testSecret[:])+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return audit.Options{Dir: w.dir, Pool: testPool, Schemes: func(string) (allocation.Splitter, error) { return w.scheme, nil }}
}

// audited is a small pool's directory with everything in it: a journal, slices, two blocks, the second
// orphaned.
func audited(t failer, dir string) *world { return auditedWith(t, dir, wn/2000) }

// auditedWith is audited with another first share.
func auditedWith(t failer, dir string, first uint64) *world {
	w := newWorld(t, dir, "pplns", "2")
	e := w.edge("a", 7)
	n := byte(0)
	share := func(who int, credit uint64) pool.Share {
		s := w.share(who, credit)
		n++
		s.Hash = [16]byte{n, byte(who)}
		return s
	}
	e.write(t, share(1, first), share(2, wn/500), share(1, wn/2000))
	e.write(t, share(3, wn/300), share(2, wn/700))
	w.flush()
	w.settle()
	w.streams.deliver(t, w.candidate("b1", e, 1, e.shares[4]))
	w.node.mine("b1", pays(rewardScript, reward))
	w.settle()
	e.write(t, share(1, wn/700))
	w.flush()
	w.settle()
	w.streams.deliver(t, w.candidate("b2", e, 2, e.shares[5]))
	w.node.mine("b2", pays(rewardScript, reward))
	w.settle()
	w.node.active = w.node.active[:2]
	w.node.mine("other")
	w.node.mine("above")
	w.settle()
	if err := w.s.save(context.Background()); err != nil {
		t.Fatal(err)
	}
	if w.doc(block("b1")).State != ledger.BlockImmature || w.doc(block("b2")).State != ledger.BlockOrphaned {
		t.Fatalf("%+v %+v", w.doc(block("b1")).State, w.doc(block("b2")).State)
	}
	keepJournal(t, dir, e)
	return w
}

// keepJournal puts an edge's blocks where its journal would have them.
func keepJournal(t failer, dir string, e *toyEdge) {
	path := filepath.Join(dir, "journal", "00000001-"+hexEpoch(e.id.Epoch))
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	last, err := journal.Parse(e.blocks[len(e.blocks)-1])
	if err != nil {
		t.Fatal(err)
	}
	hash := last.Hash()
	header, _ := json.Marshal(map[string]any{"version": 1, "pool": testPool, "epoch": hexEpoch(e.id.Epoch), "ordinal": 1, "created": 1, "before": nil})
	end, _ := json.Marshal(map[string]any{"epoch": hexEpoch(e.id.Epoch), "last": "6", "hash": ledger.Hex(hash[:])})
	for name, content := range map[string][]byte{
		"epoch.json": header, "end.json": end, "00000000000000000001.journal": bytes.Join(e.blocks, nil),
	} {
		if err := os.WriteFile(filepath.Join(path, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func hexEpoch(epoch uint64) string {
	return strings.TrimPrefix(slice.StreamID{Epoch: epoch}.String(), "/")
}

// One byte changed anywhere in journal, slices, open slice, ledger, allocation files or secret is found,
// and the file is named.
func TestAuditFindsEveryByte(t *testing.T) {
	dir := t.TempDir()
	w := audited(t, dir)
	defer w.stop()
	a, err := audit.Run(w.audit())
	if err != nil || len(a.Problems) > 0 {
		t.Fatalf("before any change: %+v, %v", a, err)
	}
	if a.Shares != 6 || a.Released != 0 || a.Recomputed != a.Slices || a.Slices < 4 || a.Blocks != 2 || a.Allocations != 2 {
		t.Fatalf("%+v", a)
	}
	var files []string
	for _, pattern := range []string{"journal/*/*.journal", "slices/*" + slice.Suffix, "slices/open", "ledger/ledger.log", "allocations/*.json", "heads/*.json", "secret", "head.key"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	o := w.audit()
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SampledFrom(files).Draw(t, "file")
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(was)-1).Draw(t, "offset")
		now := bytes.Clone(was)
		now[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		if len(was) == 65 && (at == 64 || bytes.EqualFold(was, now)) {
			return // white space behind the digits, or the same digit
		}
		if err := os.WriteFile(path, now, 0o600); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.WriteFile(path, was, 0o600); err != nil {
				t.Fatal(err)
			}
		}()
		a, err := audit.Run(o)
		if err != nil {
			t.Fatalf("%s offset %d: %v", path, at, err)
		}
		if len(a.Problems) == 0 {
			t.Fatalf("%s: byte %d changed from %#x to %#x, nothing found", path, at, was[at], now[at])
		}
		named := false
		for _, p := range a.Problems {
			named = named || strings.Contains(p.Error(), path) ||
				filepath.Base(path) == "secret" && strings.Contains(p.Error(), "allocation") ||
				filepath.Base(path) == "head.key" && strings.Contains(p.Error(), "key")
		}
		if !named {
			t.Fatalf("%s: byte %d changed: the file is not named in %v", path, at, a.Problems)
		}
	})
}

// A history that was rewritten in itself consistently is found by whoever noted a head before.
func TestAuditAgainstKnownHead(t *testing.T) {
	dir := t.TempDir()
	w := audited(t, dir)
	defer w.stop()
	o := w.audit()
	for _, tt := range []struct {
		head ledger.Head
		want string
	}{
		{w.book.Head(), ""},
		{ledger.Head{Seq: w.book.Head().Seq, Hash: [32]byte{1}}, "rewritten"},
		{ledger.Head{Seq: w.book.Head().Seq + 1}, "missing"},
	} {
		o.Known = tt.head
		a, err := audit.Run(o)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" && len(a.Problems) > 0 || tt.want != "" && (len(a.Problems) != 1 || !strings.Contains(a.Problems[0].Error(), tt.want)) {
			t.Errorf("%+v: %v", tt.head, a.Problems)
		}
	}
}

// Wrong figures under right checksums are found: a slice, a block's credits, an allocation.
func TestAuditRecomputes(t *testing.T) {
	dir := t.TempDir()
	w := audited(t, dir)
	defer w.stop()
	raw, err := allocation.Read(filepath.Join(dir, "allocations"), block("b1"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := allocation.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.FromSlices(filepath.Join(dir, "slices"), &testSecret); err != nil {
		t.Error(err)
	}
	if err := a.FromSlices(filepath.Join(dir, "slices"), nil); err != nil {
		t.Error(err)
	}
	a.Rows[0].Amount++
	a.Rows[1].Amount--
	if err := a.Recompute(w.scheme); err == nil || !strings.Contains(err.Error(), "row 1") {
		t.Errorf("two amounts changed: %v", err)
	}
	a.Rows[0].Amount--
	a.Rows[1].Amount++
	a.Rows[0].Score, a.Rows[1].Score = a.Rows[1].Score, a.Rows[0].Score
	a.Rows[0].Amount, a.Rows[1].Amount = a.Rows[1].Amount, a.Rows[0].Amount
	if err := a.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := a.Recompute(w.scheme); err != nil {
		t.Fatalf("two rows exchanged are right in themselves: %v", err)
	}
	if err := a.FromSlices(filepath.Join(dir, "slices"), &testSecret); err == nil {
		t.Error("two rows exchanged are not found with the secret")
	}
	if err := a.Write(journal.Disk{}, filepath.Join(dir, "allocations")); err != nil {
		t.Fatal(err)
	}
	got, err := audit.Run(w.audit())
	if err != nil || len(got.Problems) != 1 || !strings.Contains(got.Problems[0].Error(), block("b1").String()) {
		t.Errorf("two rows exchanged: %+v, %v", got, err)
	}
}

// An explanation comes to what the ledger has, for everybody in every block.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	w := audited(t, dir)
	defer w.stop()
	w.audit()
	book, err := ledger.View(filepath.Join(dir, "ledger"), testPool, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	units := pool.Amount(0)
	for _, name := range []string{"1", block("b2").String()} {
		doc, err := audit.FindBlock(book, name)
		if err != nil {
			t.Fatal(err)
		}
		left := pool.Amount(0)
		for i := 1; i <= 3; i++ {
			x, err := audit.Explain(dir, testPool, book, doc, accountOf(i), w.scheme)
			if err != nil {
				t.Fatal(err)
			}
			if x.Amount != x.Ledger || x.Amount != x.Floor+x.Unit || x.Unit < 0 || x.Unit > 1 || x.Amount == 0 {
				t.Errorf("%+v", x)
			}
			sum := pool.Work{}
			for _, s := range x.Slices {
				sum, _ = sum.Add(s.Part)
			}
			if sum != x.Score {
				t.Errorf("slices give %s, the score is %s", sum, x.Score)
			}
			left += x.Unit
			if i == 3 && left != x.Left {
				t.Errorf("%d units given, %d left over", left, x.Left)
			}
		}
		units += left
	}
	if units == 0 {
		t.Error("no unit was left over in any block: the test does not test rounding")
	}
	x, err := audit.Explain(dir, testPool, book, must(audit.FindBlock(book, "1")), pool.AccountID{9}, w.scheme)
	if err != nil || x.Amount != 0 || len(x.Entries) != 0 {
		t.Errorf("a stranger: %+v, %v", x, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
