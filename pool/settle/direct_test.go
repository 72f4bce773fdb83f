package settle

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/ledger"
)

// minePool mines a block of the pool on the tip, whose coinbase pays by a list, or the pool alone.
func (w *world) minePool(name string, l *ledger.PayeesDoc) {
	w.t.Helper()
	own := pool.Amount(reward)
	var outputs []pool.Output
	if l != nil {
		for _, p := range l.Payees {
			if own-p.Amount < 1000 { // as much as the block brings
				break
			}
			outputs, own = append(outputs, pays(p.Script, p.Amount)), own-p.Amount
		}
	}
	w.mineOn(name, append([]pool.Output{pays(rewardScript, own)}, outputs...)...)
}

// mineOn is [toyNode.mine] with a header that names the block before.
func (w *world) mineOn(name string, outputs ...pool.Output) {
	n := w.node
	n.mu.Lock()
	parent := n.active[len(n.active)-1]
	n.mu.Unlock()
	id := n.mine(name, outputs...)
	n.mu.Lock()
	defer n.mu.Unlock()
	copy(n.raw[id][4:36], parent[:])
}

// list posts whom coinbases on the tip pay: all that some accounts have available.
func (w *world) list(number int, accounts ...int) *ledger.PayeesDoc {
	w.t.Helper()
	n := w.node
	n.mu.Lock()
	tip, height := n.active[len(n.active)-1], int64(len(n.active)-1)
	n.mu.Unlock()
	doc := ledger.PayeesDoc{V: ledger.PayeesVersion, Tip: tip, Height: height, Number: number, Expires: 1 << 50}
	for _, i := range accounts {
		if a := w.book.Balance(ledger.MinerAvailable(accountOf(i))); a > 0 {
			doc.Payees = append(doc.Payees, ledger.CoinbasePayee{Account: accountOf(i), Script: script(i), Amount: a})
		}
	}
	body, err := ledger.Body(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.book.Post(ledger.Entry{Kind: "coinbase.payees", Key: ledger.PayeesKey(tip, number), Body: body,
		Subject: &ledger.Subject{Set: ledger.SetPayees, ID: ledger.SetPayees}}); err != nil {
		w.t.Fatal(err)
	}
	return &doc
}

// owed is what an account has in all.
func (w *world) owed(i int) pool.Amount {
	id := accountOf(i)
	return w.book.Balance(ledger.MinerImmature(id)) + w.book.Balance(ledger.MinerAvailable(id)) + w.book.Balance(ledger.MinerInPayout(id))
}

func (w *world) sound() {
	w.t.Helper()
	found, err := audit.Run(w.audit())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range found.Problems {
		if !strings.Contains(p.Error(), "journal") { // there is none here
			w.t.Errorf("%v", p)
		}
	}
}

// A block that pays two accounts by its coinbase: what they have falls by what the chain says, the whole reward is
// divided, and an orphan gives everything back, also a late one.
func TestDirect(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer func() { w.stop() }()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/8), w.share(2, wn/8), w.share(3, wn/4))
	w.flush()
	w.settle()
	w.minePool("b1", nil)
	for i := range maturity {
		w.mineOn(fmt.Sprint("x", i))
	}
	w.settle()
	before := map[int]pool.Amount{1: w.owed(1), 2: w.owed(2), 3: w.owed(3)}
	list := w.list(0, 1, 2)
	w.minePool("b2", list) // nobody tells of it: the list says that it is not a solo block
	w.settle()
	doc := w.doc(block("b2"))
	direct := before[1] + before[2]
	if doc.State != ledger.BlockImmature || doc.Window == nil || doc.Direct != direct || doc.Value != reward-direct || doc.Reward() != reward || len(doc.PaidByCoinbase) != 2 {
		t.Fatalf("%+v", doc)
	}
	credit := map[int]pool.Amount{}
	for i := range 4 {
		for _, c := range doc.Credits {
			if c.Account == accountOf(i) {
				credit[i] = c.Amount
			}
		}
	}
	if w.owed(1) != credit[1] || w.owed(2) != credit[2] || w.owed(3) != before[3]+credit[3] || credit[3] == 0 {
		t.Errorf("owed %d %d %d, credits %v", w.owed(1), w.owed(2), w.owed(3), credit)
	}
	if got := w.book.Balance(ledger.CoinbaseImmature); got != reward-direct {
		t.Errorf("%d are immature", got)
	}
	w.sound()
	cut := w.node.branch(maturity+2, nil) // another block takes its place
	w.mineOn("y1")
	w.mineOn("y2")
	w.settle()
	for i, a := range before {
		if w.owed(i) != a {
			t.Errorf("orphaned: account %d has %d, had %d", i, w.owed(i), a)
		}
	}
	w.sound()
	w.node.branch(maturity+2, cut) // back again, and mature
	for i := range maturity + 1 {
		w.mineOn(fmt.Sprint("z", i))
	}
	w.settle()
	if doc = w.doc(block("b2")); doc.State != ledger.BlockMature || w.book.Balance(ledger.Wallet) != 2*reward-direct || w.book.Balance(ledger.CoinbaseImmature) != 0 {
		t.Fatalf("%+v, wallet %d", doc, w.book.Balance(ledger.Wallet))
	}
	w.node.branch(maturity+2, nil) // orphaned late
	for i := range maturity + 3 {
		w.mineOn(fmt.Sprint("late", i))
	}
	w.settle()
	for i, a := range before {
		if w.owed(i) != a {
			t.Errorf("orphaned late: account %d has %d, had %d", i, w.owed(i), a)
		}
	}
	if w.book.Balance(ledger.Wallet) != reward {
		t.Errorf("wallet %d", w.book.Balance(ledger.Wallet))
	}
	w.sound()
}

// A coinbase that pays what nobody is owed is booked as the chain says: the account is below zero. Without a list
// and a word of an edge such a block counts as solo.
func TestDirectOverpaid(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer func() { w.stop() }()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4), w.share(2, wn/4))
	w.flush()
	w.settle()
	w.streams.deliver(t, w.candidate("b1", e, 1, e.shares[0]))
	w.mineOn("b1", pays(rewardScript, reward-700), pays(script(1), 500), pays(script(9), 200))
	w.settle()
	doc := w.doc(block("b1"))
	if doc.State != ledger.BlockImmature || doc.Direct != 700 {
		t.Fatalf("%+v", doc)
	}
	for i, want := range map[int]pool.Amount{1: -500, 9: -200} {
		if got := w.book.Balance(ledger.MinerAvailable(accountOf(i))); got != want || !w.book.Has(ledger.SetAccounts, accountOf(i).String()) {
			t.Errorf("account %d has %d, want %d", i, got, want)
		}
	}
	w.mineOn("s1", pays(rewardScript, reward-700), pays(script(1), 700))
	w.settle()
	if doc := w.doc(block("s1")); doc.Window != nil || doc.Direct != 0 || doc.Fee != reward-700 {
		t.Errorf("%+v", doc)
	}
	w.sound()
}

// Whatever the chain does, what an account has is what the blocks of the active chain credit it less what their
// coinbases paid it, and nobody is overpaid while no mature block is orphaned: lists that are stale, several for one
// tip, two blocks at a height, orphans and their return.
func TestDirectInvariant(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		if runs++; runs > 25 { // each has a ledger on disk
			return
		}
		w := newWorld(t, fmt.Sprint(dir, "/", runs), "pplns", "2")
		defer func() { w.stop() }()
		e := w.edge("a", 7)
		const accounts = 4
		for i := range accounts {
			e.write(t, w.share(i+1, wn/16))
		}
		w.flush()
		w.settle()
		lists := map[pool.Hash]*ledger.PayeesDoc{}
		numbers := map[pool.Hash]int{}
		ours, blocks := map[pool.Hash]bool{}, 0
		name := func() string { blocks++; return fmt.Sprint("n", blocks) }
		tip := func() pool.Hash { return w.node.active[len(w.node.active)-1] }
		find := func() {
			n, parent := name(), tip()
			if rapid.Bool().Draw(t, "told") {
				w.streams.deliver(t, w.candidate(n, e, w.node.tip()+1, e.shares[len(e.shares)-1]))
			}
			w.minePool(n, lists[parent])
			ours[block(n)] = true
		}
		w.minePool("first", nil)
		ours[block("first")] = true
		for range maturity {
			w.mineOn(name())
		}
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"find", "find", "list", "list", "foreign", "sibling", "reorg", "share", "grow"}).Draw(t, "step") {
			case "share":
				e.write(t, w.share(1+rapid.IntRange(0, accounts-1).Draw(t, "who"), wn/16))
				w.flush()
			case "list": // only once the ledger has all blocks up to the tip
				w.settle()
				var who []int
				for i := range accounts {
					if rapid.Bool().Draw(t, "named") {
						who = append(who, i+1)
					}
				}
				lists[tip()] = w.list(numbers[tip()], who...)
				numbers[tip()]++
			case "find":
				find()
			case "foreign":
				w.mineOn(name())
			case "grow":
				for range maturity {
					w.mineOn(name())
				}
			case "sibling": // another block of the pool beside the newest, by the same list, wins
				if len(w.node.active) > maturity+3 {
					if rapid.Bool().Draw(t, "seen") {
						w.settle()
					}
					w.node.branch(len(w.node.active)-1, nil)
					find()
				}
			case "reorg":
				depth := rapid.IntRange(1, maturity-2).Draw(t, "depth")
				if len(w.node.active) <= maturity+2+depth {
					continue
				}
				if rapid.Bool().Draw(t, "seen") {
					w.settle()
				}
				keep := len(w.node.active) - depth
				cut := w.node.branch(keep, nil)
				for range depth + 1 {
					w.mineOn(name())
				}
				if rapid.Bool().Draw(t, "back") {
					if rapid.Bool().Draw(t, "settled between") {
						w.settle()
					}
					w.node.branch(keep, cut)
				}
			}
		}
		w.settle()
		w.settle()
		want := map[pool.AccountID]pool.Amount{}
		var assets pool.Amount
		for _, id := range w.node.active {
			if !ours[id] {
				continue
			}
			doc := w.doc(id)
			if doc.State != ledger.BlockImmature && doc.State != ledger.BlockMature {
				t.Fatalf("%s is %s and in the chain", id, doc.State)
			}
			for _, c := range doc.Credits {
				want[c.Account] += c.Amount
			}
			coinbase, err := toyChain{}.ParseCoinbase(w.node.raw[id])
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range coinbase.Outputs {
				if string(o.Script) == string(rewardScript) {
					assets += o.Value
				} else {
					want[pool.AccountOf(testPool, o.Script)] -= o.Value
				}
			}
		}
		for i := range accounts {
			if got := w.owed(i + 1); got != want[accountOf(i+1)] {
				t.Errorf("account %d has %d, the chain says %d", i+1, got, want[accountOf(i+1)])
			}
			if a := w.book.Balance(ledger.MinerAvailable(accountOf(i + 1))); a < 0 {
				t.Errorf("account %d was overpaid: %d", i+1, a)
			}
			if a := w.book.Balance(ledger.MinerInPayout(accountOf(i + 1))); a != 0 {
				t.Errorf("account %d has %d in payout", i+1, a)
			}
		}
		if got := w.book.Balance(ledger.Wallet) + w.book.Balance(ledger.CoinbaseImmature); got != assets {
			t.Errorf("the pool has %d, its outputs in the chain are %d", got, assets)
		}
	})
}
