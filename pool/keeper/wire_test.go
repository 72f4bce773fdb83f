package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// desk opens a keeper that only stands by, with n entries.
func desk(t *testing.T, name string, n int) *Keeper {
	t.Helper()
	dir := t.TempDir()
	k := &Keeper{
		o: Options{Name: name, Dir: dir, Settle: settle.Options{Pool: testPool}}, log: zerolog.Nop(),
		owner: name, disk: &tracker{root: dir}, said: make(map[string]time.Time),
	}
	if err := k.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	for i := range n {
		if _, err := k.book.Post(ledger.Entry{Kind: "x", Key: fmt.Sprintf("%s/%d", name, i), Body: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func put(t *testing.T, k *Keeper, name, text string) {
	t.Helper()
	path := filepath.Join(k.o.Dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func testKey(t *testing.T) Key {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	made, err := MakeKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MakeKey(path); err == nil {
		t.Error("a key was written over another")
	}
	key, err := ReadKey(path)
	if err != nil || !bytes.Equal(key, made) {
		t.Fatalf("another key is read back: %v", err)
	}
	return key
}

// copiesTo leads from one disk to a peer.
func copiesTo(k *Keeper, peer Peer, r *toyRedis) *copies {
	return &copies{
		peer: peer, book: k.book, mirror: r.acquire(k.owner), disk: k.disk, owner: k.owner, pool: testPool,
		log: zerolog.Nop(), life: context.Background(),
	}
}

// TestWire copies a ledger and its files over the network, and is refused without the right key.
func TestWire(t *testing.T) {
	a, b := desk(t, "a", 3), desk(t, "b", 0)
	keyA, keyB, stranger := testKey(t), testKey(t), testKey(t)
	publicA, err := ParsePublic(keyA.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicB, _ := ParsePublic(keyB.Public())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := Serve(l, keyB, publicA, map[string]*Keeper{testPool: b})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	dial := func(pool string, key Key, other []byte) *Remote {
		t.Helper()
		r, err := Dial(l.Addr().String(), pool, key, other)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	ctx := t.Context()
	for what, r := range map[string]*Remote{
		"a stranger": dial(testPool, stranger, publicB), "another server": dial(testPool, keyA, publicA), "another pool": dial("other", keyA, publicB),
	} {
		if _, err := r.Hello(ctx, testPool, 99, "x"); err == nil {
			t.Errorf("%s was answered", what)
		}
		if err := r.Greet(ctx); err == nil || what == "another server" && !errors.Is(err, ErrStranger) || what == "another pool" && errors.Is(err, ErrStranger) {
			t.Errorf("%s greets: %v", what, err)
		}
	}
	if s := b.book.Standing(); s.Term != 0 {
		t.Fatalf("promised to a stranger: %+v", s)
	}

	const segment = "slices/00000000000000000001.slices"
	put(t, a, segment, strings.Repeat("slice ", 400_000)) // more than one part
	put(t, a, "slices/open", "open")
	put(t, a, "slices/owner", "a")
	put(t, a, SecretFile, "the secret")
	put(t, a, "allocations/"+strings.Repeat("ab", 32)+".json", "{}")
	put(t, b, segment, "another history")
	put(t, b, "slices/00000000000000000009.slices", "gone")
	c := copiesTo(a, dial(testPool, keyA, publicB), &toyRedis{})
	if err := c.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if mode, _ := c.now(); mode != Both {
		t.Fatalf("the mode is %s", mode)
	}
	a.book.SetCommit(c.commit)
	same := func() {
		t.Helper()
		if a.book.Head() != b.book.Head() {
			t.Errorf("the ledgers end at %d and %d", a.book.Head().Seq, b.book.Head().Seq)
		}
		x, err1 := listFiles(a.o.Dir)
		y, err2 := listFiles(b.o.Dir)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(x) != fmt.Sprint(y) || len(x) < 4 {
			t.Errorf("the files differ:\n%v\n%v", x, y)
		}
	}
	same()
	if _, err := os.Stat(filepath.Join(b.o.Dir, "slices", "owner")); err == nil {
		t.Error("the owner's name was copied")
	}

	// What is written later goes with the next entry.
	f, err := a.disk.Open(filepath.Join(a.o.Dir, segment), os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("more"), 2_400_000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := a.book.Post(ledger.Entry{Kind: "x", Key: "later", Body: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	same()

	// Without the other disk entries go on, payouts do not before somebody decides it.
	if c.mayPay() != nil {
		t.Error("nothing may be paid with both disks")
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := a.book.Post(ledger.Entry{Kind: "x", Key: "alone", Body: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if err := c.mayPay(); !errors.Is(err, ErrOneDisk) {
		t.Errorf("with one disk: %v", err)
	}
	a.mu.Lock()
	a.copies, a.active = c, true
	a.mu.Unlock()
	pay, head := a.PayBook(a.book), a.book.Head()
	step := ledger.Entry{Kind: "x", Key: "step", Body: json.RawMessage(`{}`)}
	_, err1 := pay.Post(step)
	_, err2 := pay.PostAll([]ledger.Entry{step})
	if !errors.Is(err1, ErrOneDisk) || !errors.Is(err2, ErrOneDisk) || a.book.Head() != head {
		t.Errorf("steps of payouts with one disk: %v, %v", err1, err2)
	}
	if err := c.degrade(ledger.Decision{Author: "ann", Approver: "ann", Reason: "fire"}); !errors.Is(err, ledger.ErrDecision) {
		t.Errorf("approved by its author: %v", err)
	}
	if err := c.degrade(ledger.Decision{Author: "ann", Approver: "bob", Reason: "fire"}); err != nil {
		t.Fatal(err)
	}
	if err := c.mayPay(); err != nil {
		t.Error(err)
	}
	if doc, err := c.recorded(); err != nil || doc.Mode != Degraded || doc.By == nil || doc.By.Approver != "bob" {
		t.Errorf("recorded: %+v, %v", doc, err)
	}
}

// TestSecretsDiffer: two ledgers that were never one do not meet.
func TestSecretsDiffer(t *testing.T) {
	a, b := desk(t, "a", 2), desk(t, "b", 0)
	if err := copiesTo(a, &toyLink{to: &toyNode{k: b}, state: "up"}, &toyRedis{}).begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, a, SecretFile, "one")
	put(t, b, SecretFile, "two")
	if err := copiesTo(a, &toyLink{to: &toyNode{k: b}, state: "up"}, &toyRedis{}).begin(t.Context()); !errors.Is(err, ErrSecret) {
		t.Errorf("%v", err)
	}
}

// TestRecover copies back what a restored disk lacks, from a directory and over the network, and refuses what is
// not its continuation.
func TestRecover(t *testing.T) {
	a, b, other := desk(t, "a", 5), desk(t, "b", 0), desk(t, "c", 12)
	c := copiesTo(a, &toyLink{to: &toyNode{k: b}, state: "up"}, &toyRedis{})
	if err := c.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.book.SetCommit(c.commit)
	put(t, a, "slices/00000000000000000001.slices", "first")
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(a.o.Dir)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if _, err := a.book.Post(ledger.Entry{Kind: "x", Key: fmt.Sprint("new", i), Body: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("0123456789", partBytes/4)
	put(t, a, "slices/00000000000000000001.slices", "first and more")
	put(t, a, "slices/00000000000000000002.slices", large)
	put(t, a, "slices/open", "newer")
	put(t, a, SecretFile, "secret")
	put(t, a, "slices/owner", "a's own")
	put(t, other, "slices/open", "other")
	directory := func(k *Keeper) Source {
		d, err := OpenDirectory(k.o.Dir, testPool)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	network := func(k *Keeper) Source {
		here, there := testKey(t), testKey(t)
		public, _ := ParsePublic(here.Public())
		publicThere, _ := ParsePublic(there.Public())
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server, err := Serve(l, there, public, map[string]*Keeper{testPool: k})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop() })
		r, err := Dial(l.Addr().String(), testPool, here, publicThere)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		if _, err := r.Get(t.Context(), "slices/00000000000000000009.slices", 0); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
		if _, err := r.Get(t.Context(), "../key", 0); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is not copied: %v", err)
		}
		return r
	}
	a.settling, other.settling = true, true // as while they lead
	for what, source := range map[string]func(*Keeper) Source{"directory": directory, "network": network} {
		dir := filepath.Join(t.TempDir(), what)
		if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		put(t, &Keeper{o: Options{Dir: dir}}, "slices/00000000000000000003.slices", "of another way")
		n, head, err := Recover(t.Context(), testPool, dir, source(a), zerolog.Nop())
		if err != nil || n != 4 || head != a.book.Head() {
			t.Fatalf("%s: %d entries up to %d: %v", what, n, head.Seq, err)
		}
		for name, want := range map[string]string{
			"slices/00000000000000000001.slices": "first and more", "slices/00000000000000000002.slices": large, "slices/open": "newer", SecretFile: "secret",
			"slices/00000000000000000003.slices": "", "slices/owner": "",
		} {
			if text, _ := os.ReadFile(filepath.Join(dir, name)); string(text) != want {
				t.Errorf("%s: %s has %d bytes, want %d", what, name, len(text), len(want))
			}
		}
		book, err := ledger.Open(ledger.Options{Dir: filepath.Join(dir, LedgerDir), Pool: testPool, Log: zerolog.Nop()})
		if err != nil || book.Head() != head {
			t.Fatalf("%s: the recovered ledger: %v", what, err)
		}
		if err := book.Close(); err != nil {
			t.Fatal(err)
		}
		if n, _, err := Recover(t.Context(), testPool, dir, source(a), zerolog.Nop()); err != nil || n != 0 {
			t.Errorf("%s: again: %d entries, %v", what, n, err)
		}
		if _, _, err := Recover(t.Context(), testPool, dir, source(desk(t, "empty", 0)), zerolog.Nop()); err == nil {
			t.Errorf("%s: recovered from a disk that has less", what)
		}
		if err := other.book.NoteCommitted(other.book.Head()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Recover(t.Context(), testPool, dir, source(other), zerolog.Nop()); !errors.Is(err, ledger.ErrForked) {
			t.Errorf("%s: from another ledger: %v", what, err)
		}
	}
}

func FuzzPutFile(f *testing.F) {
	for _, name := range []string{"slices/00000000000000000001.slices", "slices/open", "../x", "slices/../../x", "secret", "allocations/x.json", ""} {
		f.Add(name, int64(0), []byte("x"), true, false)
	}
	f.Fuzz(func(t *testing.T, name string, offset int64, data []byte, last, gone bool) {
		root := filepath.Join(t.TempDir(), "pool")
		if err := os.Mkdir(root, 0o700); err != nil {
			t.Fatal(err)
		}
		err := putFile(root, Part{Name: name, Offset: offset, Data: data, Last: last, Gone: gone})
		if err == nil && !copied.MatchString(name) {
			t.Errorf("took %q", name)
		}
		outside, err := os.ReadDir(filepath.Dir(root))
		if err != nil || len(outside) != 1 {
			t.Errorf("%q came out of the directory: %v", name, err)
		}
	})
}
