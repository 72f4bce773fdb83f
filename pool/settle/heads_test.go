package settle

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/ledger"
)

// signedHeads reads the book's heads, oldest first, and compares them with their files.
func (w *world) signedHeads() (heads []*ledger.SignedHead) {
	w.t.Helper()
	for id, body := range w.book.Docs(ledger.SetHeads) {
		h, err := ledger.ParseSignedHead(body)
		if err != nil {
			w.t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(w.dir, "heads", id+".json"))
		if err != nil || !bytes.Equal(file, append(bytes.Clone(body), '\n')) {
			w.t.Fatalf("%v: file of head %s: %s, ledger %s", err, id, file, body)
		}
		heads = append(heads, h)
	}
	return heads
}

// A head is signed once a period when there is something new, its file comes back after a start, and its
// sums are those of the directory.
func TestSignedHeads(t *testing.T) {
	dir := t.TempDir()
	w := audited(t, dir)
	defer func() { w.stop() }()
	heads := w.signedHeads()
	if len(heads) < 3 || heads[len(heads)-1].Blocks != 2 || heads[len(heads)-1].Slices < 4 {
		t.Fatalf("%d heads, last %+v", len(heads), heads[len(heads)-1])
	}
	w.settle() // settles what is new, a head among it
	at := w.book.Head().Seq
	w.settle()
	w.settle()
	if now := w.book.Head().Seq; now != at {
		t.Errorf("nothing happened, and the ledger grew from %d to %d", at, now)
	}
	w.stop()
	if err := os.Remove(filepath.Join(dir, "heads", heads[0].ID+".json")); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.signedHeads()
	a, err := audit.Run(w.audit())
	if err != nil || len(a.Problems) > 0 || a.Heads != len(w.signedHeads()) {
		t.Errorf("%+v, %v", a, err)
	}
}

// A ledger that was restored from an older backup beside the files of later heads is not gone on with, nor one
// that those heads contradict.
func TestBehindSignedHead(t *testing.T) {
	dir, old := t.TempDir(), filepath.Join(t.TempDir(), "old")
	w := newWorld(t, dir, "pplns", "2")
	w.settle()
	w.stop()
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w.start()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/500), w.share(2, wn/500))
	w.flush()
	w.settle()
	w.streams.deliver(t, w.candidate("b", e, 1, e.shares[1]))
	w.node.mine("b", pays(rewardScript, reward))
	w.settle()
	w.settle()
	heads := w.signedHeads()
	w.stop()
	newest := heads[0]
	for _, h := range heads {
		if h.Seq > newest.Seq {
			newest = h
		}
	}
	refused := func(want error, says string) {
		t.Helper()
		var err error
		if w.book, err = ledger.Open(ledger.Options{Dir: filepath.Join(w.dir, "ledger"), Pool: testPool, Log: w.log}); err != nil {
			t.Fatal(err)
		}
		defer w.book.Close()
		s, err := New(w.options())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		at := w.book.Head()
		if err := s.Run(t.Context(), 9); !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %v", err, want)
		}
		if w.book.Head() != at {
			t.Error("the ledger was written to")
		}
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(old, "heads")), os.CopyFS(filepath.Join(old, "heads"), os.DirFS(filepath.Join(dir, "heads")))); err != nil {
		t.Fatal(err)
	}
	w.dir = old
	refused(ErrDiskBehind, "signed head "+newest.ID)

	// Another history that has grown beyond the head.
	w.dir = dir
	forged := *newest
	forged.ID, forged.Hash = "20200101T000000Z", make([]byte, 32)
	key, _ := ledger.NewHeadKey()
	text, err := key.Sign(&forged)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "heads", forged.ID+".json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	refused(ErrOtherHistory, forged.ID)
}

// Somebody who has every file and both keys makes a whole history anew in which one miner has more: it is
// right in itself, and whoever kept one head of the old one finds it.
func TestRewrittenHistory(t *testing.T) {
	was, dir := t.TempDir(), t.TempDir()
	before := audited(t, was)
	defer before.stop()
	after := auditedWith(t, dir, wn/1000)
	defer after.stop()
	if doc := after.doc(block("b1")); doc.Credits[0] == before.doc(block("b1")).Credits[0] {
		t.Fatal("the two histories pay the same")
	}
	o := after.audit()
	a, err := audit.Run(o)
	if err != nil || len(a.Problems) > 0 {
		t.Fatalf("the new history is not right in itself: %+v, %v", a, err)
	}
	kept := 0
	for _, h := range before.signedHeads() {
		o.Signed = h
		a, err := audit.Run(o)
		if err != nil {
			t.Fatal(err)
		}
		if h.Blocks == 0 {
			continue // from before the credits that differ
		}
		kept++
		var all string
		for _, p := range a.Problems {
			all += p.Error() + "\n"
		}
		if !strings.Contains(all, "ledger: ") || !strings.Contains(all, "slices: ") || !strings.Contains(all, "rewritten") {
			t.Errorf("head %s: %s", h.ID, all)
		}
	}
	if kept == 0 {
		t.Error("no head was signed after the first block")
	}
	o = before.audit()
	for _, h := range before.signedHeads() {
		o.Signed = h
		if a, err := audit.Run(o); err != nil || len(a.Problems) > 0 {
			t.Errorf("the old history and its own head %s: %+v, %v", h.ID, a, err)
		}
	}
	other, _ := ledger.NewHeadKey()
	forged := *before.signedHeads()[0]
	if _, err := other.Sign(&forged); err != nil {
		t.Fatal(err)
	}
	o.Signed = &forged
	if a, err := audit.Run(o); err != nil || len(a.Problems) != 1 || !strings.Contains(a.Problems[0].Error(), "signed with key") {
		t.Errorf("a head signed by another: %+v, %v", a, err)
	}
}

// Every account's row in every block and its score in every slice is proved up to a signed head, by the text
// alone; a text that says anything else is no proof.
func TestProofs(t *testing.T) {
	dir := t.TempDir()
	w := audited(t, dir)
	w.settle()
	w.audit()
	defer w.stop()
	var proofs [][]byte
	add := func(p *audit.Proof, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if p.Head == nil {
			t.Error("no signed head is reached")
		}
		text, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		proofs = append(proofs, text)
		again, err := audit.ParseProof(text)
		if err != nil || again.Check() != nil {
			t.Errorf("%v, %v\n%s", err, again.Check(), text)
		}
	}
	for _, name := range []string{"b1", "b2"} {
		doc := w.doc(block(name))
		for i := 1; i <= 3; i++ {
			p, err := audit.ProveRow(dir, testPool, w.book, &doc, accountOf(i), "")
			add(p, err)
			if want := doc.Credits[indexOf(doc.Credits, accountOf(i))].Amount; p.Row.Amount != want {
				t.Errorf("%s: proved %d, credited %d", name, p.Row.Amount, want)
			}
		}
	}
	scores := 0
	for number := uint64(1); number <= 4; number++ {
		for i := 1; i <= 3; i++ {
			p, err := audit.ProveScore(dir, testPool, w.book, number, accountOf(i), "")
			if errors.Is(err, audit.ErrNothing) {
				continue
			}
			add(p, err)
			scores++
		}
	}
	if scores < 4 {
		t.Errorf("%d scores in the slices", scores)
	}
	doc := w.doc(block("b1"))
	if _, err := audit.ProveRow(dir, testPool, w.book, &doc, accountOf(9), ""); !errors.Is(err, audit.ErrNothing) {
		t.Errorf("a row of a stranger: %v", err)
	}
	if _, err := audit.ProveScore(dir, testPool, w.book, 1, accountOf(9), ""); !errors.Is(err, audit.ErrNothing) {
		t.Errorf("a score of a stranger: %v", err)
	}
	heads := w.signedHeads()
	if _, err := audit.ProveRow(dir, testPool, w.book, &doc, accountOf(1), heads[0].ID); !errors.Is(err, audit.ErrNothing) {
		t.Errorf("up to a head from before the block: %v", err)
	}
	last := heads[len(heads)-1].ID
	if p, err := audit.ProveScore(dir, testPool, w.book, 1, accountOf(1), last); err != nil || p.Head.ID != last {
		t.Errorf("up to the last head: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(proofs).Draw(t, "proof")
		bad := bytes.Clone(text)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "offset")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		p, err := audit.ParseProof(bad)
		if err != nil {
			return
		}
		if again, err := p.Text(); err != nil || bytes.Equal(again, text) {
			return // white space, or another spelling of the same
		}
		if err := p.Check(); err == nil {
			t.Fatalf("accepted:\n%s", bad)
		}
	})
}

func indexOf(credits []pool.Credit, account pool.AccountID) int {
	for i, c := range credits {
		if c.Account == account {
			return i
		}
	}
	return -1
}

func FuzzParseProof(f *testing.F) {
	f.Add([]byte(`{"v":1,"pool":"p","row":{"row":"00"}}`))
	p := audit.Proof{V: 1, Pool: "p", Score: &audit.ScoreProof{Number: 1}}
	b, _ := json.Marshal(p)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := audit.ParseProof(b)
		if err != nil {
			return
		}
		_ = p.Check() // must not panic
		text, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 64<<10 {
			return // indented it is longer than what is read
		}
		again, err := audit.ParseProof(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if twice, err := again.Text(); err != nil || !bytes.Equal(text, twice) {
			t.Errorf("%s\n%s", text, twice)
		}
	})
}
