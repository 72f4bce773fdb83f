package settle

import (
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

func rapidWorld(t *rapid.T) (w *world, end func()) {
	dir, err := os.MkdirTemp(ram(), "settle")
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, dir, "pplns", "2")
	return w, func() { w.stop(); os.RemoveAll(dir) }
}

// TestPartition divides the same shares over one edge or several, in any journal blocks, any order of edges
// and any turns of the settler: a window that has room for all of them gives everybody the same.
func TestPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type drawn struct {
			who    int
			credit uint64
		}
		shares := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) drawn {
			return drawn{rapid.IntRange(1, 5).Draw(t, "who"), wn / uint64(rapid.IntRange(100, 5000).Draw(t, "part"))}
		}), 1, 30).Draw(t, "shares") // all together less than two blocks' work: the window is not full
		run := func(edges int, mix bool) []pool.Credit {
			w, end := rapidWorld(t)
			defer end()
			var all []*toyEdge
			for i := range edges {
				all = append(all, w.edge(string(rune('a'+i)), uint64(7+i)))
			}
			var waiting []pool.Share
			e := all[0]
			for i, s := range shares {
				share := w.share(s.who, s.credit)
				share.Hash = [16]byte{byte(i), byte(i >> 8), 1}
				waiting = append(waiting, share)
				if !mix && i < len(shares)-1 || mix && i < len(shares)-1 && rapid.Bool().Draw(t, "gather") {
					continue
				}
				if mix {
					e = all[rapid.IntRange(0, edges-1).Draw(t, "edge")]
				}
				e.write(t, waiting...)
				waiting = nil
				if mix && rapid.Bool().Draw(t, "send") {
					e.sent = len(e.blocks)
					if err := w.turn(time.Duration(rapid.IntRange(1, 11_000).Draw(t, "ms")) * time.Millisecond); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.flush()
			w.settle()
			finder := w.share(1, wn/1000)
			finder.Hash = [16]byte{255, 255, 2}
			w.streams.deliver(t, w.candidate("b", all[0], 1, finder))
			w.node.mine("b", pays(rewardScript, reward))
			w.settle()
			doc := w.doc(block("b"))
			if doc.Window.First != 1 {
				t.Fatalf("the window begins at slice %d", doc.Window.First)
			}
			return doc.Credits
		}
		one := run(1, false)
		if many := run(rapid.IntRange(2, 4).Draw(t, "edges"), true); !slices.Equal(one, many) {
			t.Fatalf("by one edge %v, by several %v", one, many)
		}
	})
}

// TestOrphanInverse credits a block and takes it back by a reorganisation, and again, before and after it is
// mature: each time all balances are as they were before it, and in the end those of a pool that saw only
// the final chain. The window of a block does not change by it.
func TestOrphanInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := pool.Amount(rapid.Int64Range(0, 5_000_000_000).Draw(t, "value"))
		flips := rapid.IntRange(1, 5).Draw(t, "flips")
		above := rapid.SliceOfN(rapid.IntRange(0, maturity+1), flips+1, flips+1).Draw(t, "above")
		begin := func() (*world, func()) {
			w, end := rapidWorld(t)
			e := w.edge("a", 7)
			e.write(t, w.share(1, wn/3000), w.share(2, wn/700), w.share(3, wn/5000))
			w.flush()
			w.settle()
			w.streams.deliver(t, w.candidate("b", e, 1, e.shares[2]))
			w.settle()
			return w, end
		}
		balances := func(w *world) map[ledger.Account]pool.Amount {
			out := maps.Collect(w.book.Balances())
			maps.DeleteFunc(out, func(_ ledger.Account, v pool.Amount) bool { return v == 0 })
			return out
		}
		onChain := func(w *world, n int) {
			w.node.mine("b", pays(rewardScript, value))
			for i := range n {
				w.node.mine("above " + string(rune('a'+i)))
			}
			w.settle()
		}
		w, end := begin()
		defer end()
		before := balances(w)
		var window ledger.BlockWindow
		var credits []pool.Credit
		on := false
		for i := range flips {
			w.node.active = w.node.active[:1]
			if on = i%2 == 0; on {
				onChain(w, above[i])
				doc := w.doc(block("b"))
				if i > 0 && (*doc.Window != window || !slices.Equal(doc.Credits, credits)) {
					t.Fatalf("credited again: window %v, was %v; %v, was %v", *doc.Window, window, doc.Credits, credits)
				}
				window, credits = *doc.Window, doc.Credits
				continue
			}
			for k := range above[i] + maturity + 3 { // more work than what it replaces
				w.node.mine("other " + string(rune('a'+k)))
			}
			w.settle()
			if now := balances(w); !maps.Equal(now, before) {
				t.Fatalf("after the orphan %v, before the block %v", now, before)
			}
		}
		if !on {
			return // every orphan was compared
		}
		direct, endDirect := begin()
		defer endDirect()
		onChain(direct, above[flips-1])
		if got, want := balances(w), balances(direct); !maps.Equal(got, want) {
			t.Fatalf("after %d flips %v, straight %v", flips, got, want)
		}
	})
}
