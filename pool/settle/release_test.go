package settle

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout/scheme/all"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/format"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

const releasePool = "bitcoin"

// releaseDir is a copy of what the release named in itest/previous-release wrote.
func releaseDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../itest/testdata/previous-release/"+releasePool)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func releaseAudit(t *testing.T, dir string) *audit.Result {
	t.Helper()
	a, err := audit.Run(audit.Options{Dir: dir, Pool: releasePool, Schemes: func(name string) (allocation.Splitter, error) { return all.Find(name, "2") }})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range a.Problems {
		t.Error(p)
	}
	return a
}

// What the previous release wrote is read, verified, explained and gone on from: new entries, slices, heads
// and allocation files of today's formats stand behind those of its own. Built with -tags nextformat the new
// ones have versions that this release refuses.
func TestPreviousRelease(t *testing.T) {
	dir := releaseDir(t)
	was := releaseAudit(t, dir)
	if was.Entries != 35 || was.Slices != 43 || was.Shares != 28 || was.Blocks != 13 || was.Recomputed != was.Slices || was.Allocations != was.Blocks || was.Heads != 0 {
		t.Errorf("the previous release's data: %+v", was)
	}
	book, err := ledger.Open(ledger.Options{Dir: filepath.Join(dir, "ledger"), Pool: releasePool, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	scheme, err := all.Find("pplns", "2")
	if err != nil {
		t.Fatal(err)
	}
	explained := 0
	for id := range book.Docs(ledger.SetBlocks) {
		doc, err := audit.FindBlock(book, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range doc.Credits {
			if x, err := audit.Explain(dir, releasePool, book, doc, c.Account, scheme); err != nil || x.Amount != c.Amount {
				t.Errorf("block %s: %+v, %v", id, x, err)
			}
			explained++
		}
	}
	if explained < 20 {
		t.Errorf("%d credits explained", explained)
	}
	if err := journal.Scan(filepath.Join(dir, "journal"), func(journal.Block, []pool.Share) error { return nil }); err != nil {
		t.Error(err)
	}

	secret, err := allocation.ReadSecret(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	node := newToyNode()
	for node.tip() < 400 {
		node.mine(time.Unix(node.tip(), 0).String())
	}
	streams := &toyStreams{trimmed: make(map[slice.StreamID]uint64)}
	s, err := New(Options{
		Pool: releasePool, Chain: toyChain{}, Node: node, Book: book, Dir: filepath.Join(dir, "slices"), Streams: streams, Scheme: scheme,
		FeePPM: testPPM, RewardScript: rewardScript, Secret: secret, Allocations: filepath.Join(dir, "allocations"),
		HeadKey: testKey, Heads: filepath.Join(dir, "heads"), Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	share := pool.Share{
		Time: 1, Account: pool.AccountOf(releasePool, script(1)), Script: script(1), Scheme: pool.SchemePPLNS,
		Issued: pool.WorkOf(1), Credit: pool.WorkOf(1), Bits: 0x207fffff, Hash: [16]byte{1},
	}
	streams.deliver(t, pool.Candidate{Pool: releasePool, Height: node.tip() + 1, Hash: block("new"), Bits: share.Bits, Value: reward, Time: 1, Epoch: 9, Share: share})
	node.mine("new", pays(rewardScript, reward))
	for i := range 8 {
		if _, err := s.turn(t.Context(), time.Unix(int64(i)*20, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	var doc ledger.BlockDoc
	if ok, err := ledger.Decode(book, ledger.SetBlocks, block("new").String(), &doc); err != nil || !ok || doc.State != ledger.BlockImmature || len(doc.Credits) == 0 {
		t.Fatalf("the new block: %+v, %v", doc, err)
	}
	if doc.Window.First > was.Slices {
		t.Error("the new block's window holds nothing of before")
	}
	if now := releaseAudit(t, dir); now.Entries <= was.Entries || now.Slices <= was.Slices || now.Blocks != was.Blocks+1 || now.Heads != 1 {
		t.Errorf("gone on from it: %+v", now)
	}

	if format.Raise == 0 {
		return
	}
	for path, version := range map[string][]byte{
		"ledger/ledger.log": []byte(`{"v":2,`),
		"allocations/" + block("new").String() + ".json": []byte(`{"v":3,`),
	} {
		if b, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Contains(b, version) {
			t.Errorf("%s has nothing of the raised version: %v", path, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "slices", slice.CheckpointName))
	if err != nil || raw[8] != 2 {
		t.Errorf("the open slice has version %d, %v", raw[8], err)
	}
	j, err := journal.Open(journal.Options{Dir: filepath.Join(dir, "journal"), Pool: releasePool, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	commit := j.Append(&share)
	<-commit.Done()
	if err := commit.Err(); err != nil {
		t.Error(err)
	}
	if blocks, err := j.Read(j.Epoch(), 0, 1<<20); err != nil || len(blocks) != 1 || binary.LittleEndian.Uint16(blocks[0].Raw[8:]) != 2 {
		t.Errorf("%d new journal blocks, %v", len(blocks), err)
	}
	if err := j.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
