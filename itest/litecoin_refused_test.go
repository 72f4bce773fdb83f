//go:build itest

package itest

import (
	"bytes"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/litecoin"
	"github.com/adit-pool/adit/pool/node"
	"github.com/adit-pool/adit/pool/node/devnode"
)

// TestLitecoinRefusals hands a real litecoind blocks that are wrong on purpose, holds it to its words, and
// the pool's client to what they mean.
func TestLitecoinRefusals(t *testing.T) {
	daemon := litecoind(t)
	if err := daemon.Prepare(t.Context(), devnode.LitecoinMWEBHeight+1, nil); err != nil {
		t.Fatal(err)
	}
	chain, err := litecoin.New("regtest")
	if err != nil {
		t.Fatal(err)
	}
	client, err := node.Dial(node.Options{URL: daemon.URL(), User: daemon.User(), Password: daemon.Password(), Chain: chain, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	reward, err := chain.Script(devnode.RegtestBurnAddress)
	if err != nil {
		t.Fatal(err)
	}
	template := func() *pool.Template {
		t.Helper()
		tm, err := client.Template(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if len(tm.Txs) == 0 || len(tm.Extension) < 2 || tm.Extension[0] != 1 {
			t.Fatalf("no HogEx or no MWEB part in the template: %d transactions, extension %x", len(tm.Txs), tm.Extension)
		}
		return tm
	}
	// mine makes a block from tm whose root covers covered, and is as hard as the template wants, or is not.
	epoch := uint64(0)
	mine := func(tm *pool.Template, covered []pool.TemplateTx, change func(header *[80]byte), meet bool) (pool.Hash, []byte) {
		t.Helper()
		epoch++ // no two blocks alike
		prefix, suffix, err := chain.Coinbase(tm, &pool.CoinbaseSpec{Tag: "/refused/", Epoch: epoch, ExtranonceSize: 4, Outputs: []pool.Output{{Script: reward, Value: tm.CoinbaseValue}}})
		if err != nil {
			t.Fatal(err)
		}
		coinbase := append(append(bytes.Clone(prefix), 0, 0, 0, 0), suffix...)
		var txids []pool.Hash
		for _, tx := range covered {
			txids = append(txids, tx.ID)
		}
		target, err := pool.TargetFromBits(tm.Bits)
		if err != nil {
			t.Fatal(err)
		}
		root := pool.MerkleRoot(pool.DoubleSHA256(coinbase), pool.MerkleBranch(txids))
		for nonce := uint32(0); ; nonce++ {
			var header [80]byte
			pool.PutHeader(&header, tm.Version, tm.PrevHash, root, tm.CurTime, tm.Bits, nonce)
			if change != nil {
				change(&header)
			}
			if pow := chain.PowHash(&header); target.Meets(&pow) != meet {
				continue
			}
			block, err := chain.Block(nil, tm, &header, coinbase)
			if err != nil {
				t.Fatal(err)
			}
			return chain.BlockID(&header), block
		}
	}
	f := func(name string, id pool.Hash, block []byte, want pool.SubmitResult, word string) {
		t.Helper()
		result, reason, err := client.SubmitBlock(t.Context(), id, block)
		if (err != nil) != (want == pool.SubmitUnknown) || result != want || reason != word {
			t.Errorf("%s: %v, %q, %v; want %v, %q", name, result, reason, err, want, word)
		}
		t.Logf("%s: litecoind says %q: %v", name, reason, result)
	}

	tm := template()
	bare := *tm
	bare.Extension = nil
	id, block := mine(&bare, tm.Txs, nil, true)
	f("MWEB bytes missing", id, block, pool.SubmitRejected, "Block decode failed")

	short := *tm
	short.Extension = tm.Extension[:len(tm.Extension)-7]
	id, block = mine(&short, tm.Txs, nil, true)
	f("MWEB bytes cut", id, block, pool.SubmitRejected, "Block decode failed")

	headless := *tm
	headless.Txs = tm.Txs[:len(tm.Txs)-1]
	id, block = mine(&headless, headless.Txs, nil, true)
	f("HogEx dropped", id, block, pool.SubmitRejected, "bad-witness-merkle-match")

	// The same with a commitment of its own, to a coinbase alone: two hashes of zero.
	if len(headless.Txs) != 0 {
		t.Fatalf("%d transactions beside the HogEx", len(headless.Txs))
	}
	commitment := pool.DoubleSHA256(make([]byte, 64))
	headless.WitnessCommitment = append(bytes.Clone(tm.WitnessCommitment[:6]), commitment[:]...)
	id, block = mine(&headless, nil, nil, true)
	f("HogEx dropped, commitment mended", id, block, pool.SubmitRejected, "mweb-missing")

	headless.Extension = nil
	id, block = mine(&headless, nil, nil, true)
	f("HogEx and MWEB bytes dropped, commitment mended", id, block, pool.SubmitRejected, "mweb-missing")

	id, block = mine(tm, nil, nil, true)
	f("root without the HogEx", id, block, pool.SubmitRejected, "bad-txnmrklroot")

	id, block = mine(tm, tm.Txs, nil, false)
	f("hash above the target", id, block, pool.SubmitRejected, "high-hash")

	id, block = mine(tm, tm.Txs, func(h *[80]byte) { h[4] ^= 1 }, true)
	f("on a block that nobody knows", id, block, pool.SubmitUnknown, "prev-blk-not-found")

	greedy := *tm
	greedy.CoinbaseValue++
	id, block = mine(&greedy, tm.Txs, nil, true)
	f("a unit too much", id, block, pool.SubmitRejected, "bad-cb-amount")
	f("the same again", id, block, pool.SubmitRejected, "duplicate-invalid")

	rival, rivalBlock := mine(tm, tm.Txs, nil, true)
	id, block = mine(tm, tm.Txs, nil, true)
	f("a good one", id, block, pool.SubmitAccepted, "")
	f("the good one again", id, block, pool.SubmitAccepted, "duplicate")
	f("another of its height", rival, rivalBlock, pool.SubmitSideChain, "inconclusive")
}
