package settle

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// TestSettlerAgainstModel drives a settler through random shares, candidates, reorganisations, failures
// of Redis and node, kills and losses of power, and then holds everything it did against a recomputation
// from the raw shares in rationals.
func TestSettlerAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(ram(), "settle")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := newModel(t, dir)
		defer func() { m.w.stop() }()
		t.Repeat(map[string]func(*rapid.T){
			"shares":    m.shares,
			"send":      m.send,
			"candidate": m.candidate,
			"again":     m.again,
			"mine":      m.mine,
			"reorg":     m.reorg,
			"turn":      m.turn,
			"kill":      m.kill,
			"power":     m.power,
			"redis":     func(*rapid.T) { m.w.streams.down = !m.w.streams.down },
			"node":      func(*rapid.T) { m.w.node.down = !m.w.node.down },
			"":          func(t *rapid.T) { m.balanced(t) },
		})
		m.finish(t)
	})
}

// ram is a folder in memory where there is one: thousands of fsyncs are the test's cost.
func ram() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return ""
}

type model struct {
	w      *world
	edges  []*toyEdge
	found  []pool.Candidate
	extras map[pool.Hash]pool.Share // unjournalled shares of candidates, that may count
	names  int
	solo   map[pool.Hash]bool

	// branches that were reorganised away: their blocks, how many stand below them, the last of those
	cuts    [][]pool.Hash
	keeps   []int
	parents []pool.Hash
	highest int // tip ever, as of the last reorganisation
}

func newModel(t *rapid.T, dir string) *model {
	n := rapid.SampledFrom([]string{"0.01", "0.05", "2"}).Draw(t, "n")
	m := &model{w: newWorld(t, dir, "pplns", n), extras: make(map[pool.Hash]pool.Share), solo: make(map[pool.Hash]bool)}
	for i := range rapid.IntRange(1, 3).Draw(t, "edges") {
		m.edges = append(m.edges, m.w.edge(string(rune('a'+i)), uint64(100+i)))
	}
	return m
}

func (m *model) name() string {
	m.names++
	return fmt.Sprintf("block %d", m.names)
}

func (m *model) draw(t *rapid.T) pool.Share {
	part := rapid.SampledFrom([]uint64{40, 300, 2000, 9000, 9001}).Draw(t, "part")
	s := m.w.share(rapid.IntRange(1, 6).Draw(t, "who"), wn/part)
	s.Time += int64(rapid.IntRange(0, 1000).Draw(t, "time"))
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		s.Credit, s.Flags = pool.Work{}, pool.ShareEarly
	case 1:
		s.Scheme = pool.SchemeSOLO
	case 2:
		s.Bits = 0x1c7fffff // after a retarget
	}
	return s
}

func (m *model) shares(t *rapid.T) {
	e := m.edges[rapid.IntRange(0, len(m.edges)-1).Draw(t, "edge")]
	var shares []pool.Share
	for range rapid.IntRange(1, 12).Draw(t, "shares") {
		shares = append(shares, m.draw(t))
	}
	e.write(t, shares...)
}

func (m *model) send(t *rapid.T) {
	e := m.edges[rapid.IntRange(0, len(m.edges)-1).Draw(t, "edge")]
	e.sent = rapid.IntRange(e.sent, len(e.blocks)).Draw(t, "sent")
}

// candidate is a block found by a share that is journalled (and in the stream, or not yet), that is not
// journalled, or that was stale.
func (m *model) candidate(t *rapid.T) {
	e := m.edges[rapid.IntRange(0, len(m.edges)-1).Draw(t, "edge")]
	name := m.name()
	var share pool.Share
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0, 1:
		if len(e.shares) == 0 {
			return
		}
		share = e.shares[rapid.IntRange(max(0, len(e.shares)-15), len(e.shares)-1).Draw(t, "seq")]
		for _, c := range m.found {
			if c.Epoch == e.id.Epoch && c.Share.Seq == share.Seq {
				return // a share finds one block
			}
		}
	case 2:
		share = m.draw(t)
		if !share.Credit.IsZero() && share.Scheme != pool.SchemeSOLO {
			m.extras[block(name)] = share
		}
	case 3:
		share = m.draw(t)
		share.Credit = pool.Work{}
	}
	height := m.w.node.tip() + 1
	c := m.w.candidate(name, e, height, share)
	m.found = append(m.found, c)
	m.solo[c.Hash] = share.Scheme == pool.SchemeSOLO
	value := pool.Amount(rapid.Int64Range(0, 50_0000_0000).Draw(t, "value"))
	outputs := []pool.Output{pays(rewardScript, value)}
	if m.solo[c.Hash] {
		outputs = append(outputs, pays(share.Script, 1000))
	}
	if rapid.IntRange(0, 4).Draw(t, "lost") > 0 {
		m.w.node.mine(name, outputs...)
	}
	if rapid.IntRange(0, 5).Draw(t, "message") > 0 {
		m.w.streams.deliver(t, c)
	}
}

func (m *model) again(t *rapid.T) {
	if len(m.found) > 0 {
		m.w.streams.deliver(t, m.found[rapid.IntRange(0, len(m.found)-1).Draw(t, "candidate")])
	}
}

func (m *model) mine(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "blocks") {
		m.w.node.mine(m.name(), pays([]byte("somebody"), 5))
	}
}

func (m *model) reorg(t *rapid.T) {
	if len(m.cuts) > 0 && rapid.Bool().Draw(t, "back") {
		i := rapid.IntRange(0, len(m.cuts)-1).Draw(t, "which")
		if m.fits(i) {
			m.cut(m.keeps[i], m.cuts[i])
			return
		}
	}
	depth := rapid.IntRange(1, min(8, int(m.w.node.tip())+1)).Draw(t, "depth")
	keep := int(m.w.node.tip()) + 1 - depth
	if keep == 0 || !m.shallow(keep) {
		return
	}
	m.cut(keep, nil)
	for range rapid.IntRange(0, depth+1).Draw(t, "others") {
		m.w.node.mine(m.name(), pays([]byte("somebody"), 5))
	}
}

// fits reports whether a branch goes on from the chain as it is now, and not from deeper than states are
// followed.
func (m *model) fits(i int) bool {
	keep := m.keeps[i]
	return keep <= int(m.w.node.tip())+1 && m.w.node.active[keep-1] == m.parents[i] && m.shallow(keep)
}

// shallow reports whether all that stands above keep blocks was always near the tip: deeper down states
// are final.
func (m *model) shallow(keep int) bool {
	m.highest = max(m.highest, int(m.w.node.tip()))
	return m.highest-keep < 2*maturity
}

// cut takes the chain back to keep blocks and goes on by others; what is cut can come back.
func (m *model) cut(keep int, others []pool.Hash) {
	m.parents, m.keeps = append(m.parents, m.w.node.active[keep-1]), append(m.keeps, keep)
	m.cuts = append(m.cuts, m.w.node.branch(keep, others))
}

func (m *model) turn(t *rapid.T) {
	d := time.Duration(rapid.SampledFrom([]int{1, 600, 1100, 11_000}).Draw(t, "ms")) * time.Millisecond
	if err := m.w.turn(d); err != nil {
		t.Fatal(err)
	}
}

func (m *model) kill(t *rapid.T) {
	m.w.stop()
	m.w.start()
}

// power fails the disk after some writes, then loses what was not fsynced, but for a few bytes of it.
func (m *model) power(t *rapid.T) {
	m.w.fs.left = rapid.IntRange(0, 12).Draw(t, "writes")
	for range 3 {
		if err := m.w.turn(1100 * time.Millisecond); err != nil {
			if !errors.Is(err, errPower) {
				t.Fatal(err)
			}
			break
		}
	}
	m.w.stop()
	m.w.fs.lose(t, rapid.IntRange(0, 400).Draw(t, "kept"))
	m.w.start()
}

// balanced holds after every step: the book's debits equal its credits.
func (m *model) balanced(t *rapid.T) {
	var sum pool.Amount
	for account, balance := range m.w.book.Balances() {
		if account.DebitNormal() {
			sum += balance
		} else {
			sum -= balance
		}
	}
	if sum != 0 {
		t.Fatalf("debits exceed credits by %d", sum)
	}
}

// finish lets everything arrive and then checks it all.
func (m *model) finish(t *rapid.T) {
	w := m.w
	w.streams.down, w.node.down = false, false
	for _, c := range m.found { // a block above the tip is neither active nor replaced
		for w.node.tip() < c.Height {
			w.node.mine(m.name(), pays([]byte("somebody"), 5))
		}
	}
	w.flush()
	w.settle()
	for _, c := range m.found { // edges repeat until the ledger has it
		w.streams.deliver(t, c)
	}
	w.settle()

	m.rebuilt(t)
	sums := m.counted(t)
	m.credited(t, sums)
	a, err := audit.Run(w.audit())
	if err != nil || len(a.Problems) > 0 {
		t.Fatalf("audit: %v, %v", a, err)
	}
	if a.Slices != w.s.fold.store.Last() || a.Entries != w.book.Head().Seq {
		t.Fatalf("audit saw %d slices and %d entries", a.Slices, a.Entries)
	}
}

// rebuilt holds the state against one made anew from the slices and the journals.
func (m *model) rebuilt(t *rapid.T) {
	want := m.w.s.fold.dump()
	dir, err := os.MkdirTemp(ram(), "rebuild")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	names, err := filepath.Glob(filepath.Join(m.w.dir, "slices", "*"+slice.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := openFold(testPool, journal.Disk{}, dir, m.w.s.fold.store.Last(), m.w.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.store.Close()
	for _, e := range slices.Backward(m.edges) { // another order than before
		for _, raw := range e.blocks {
			if _, err := f.block(e.id, raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := f.dump(); got != want {
		t.Fatalf("rebuilt state\n%s\nincremental state\n%s", got, want)
	}
}

// referenceScore is floor(credit * 2^64 / Wn) in rationals.
func referenceScore(s pool.Share) *big.Int {
	if s.Flags&pool.ShareEarly != 0 || s.Scheme == pool.SchemeSOLO {
		return new(big.Int)
	}
	r := new(big.Rat).SetInt(new(big.Int).Lsh(s.Credit.Big(), 64))
	r.Quo(r, new(big.Rat).SetInt(networkWork(s.Bits).Big()))
	return new(big.Int).Quo(r.Num(), r.Denom())
}

// counted checks that each share is in one slice, and every slice's sums against the raw shares. It
// returns the scores of each closed slice.
func (m *model) counted(t *rapid.T) []map[pool.AccountID]*big.Int {
	store := m.w.s.fold.store
	next := map[slice.StreamID]uint64{}
	early := map[uint64]map[uint64]bool{} // epoch → counted as an extra
	var sums []map[pool.AccountID]*big.Int
	total := uint64(0)
	open := m.w.s.fold.open.freeze(m.w.s.fold.cursors, slice.ReasonOpen, pool.Hash{})
	for number := uint64(1); number <= store.Last()+1; number++ {
		s := open
		if number <= store.Last() {
			var err error
			if s, err = store.Read(number); err != nil {
				t.Fatal(err)
			}
		}
		sum := map[pool.AccountID]*big.Int{}
		count := uint64(0)
		add := func(x pool.Share) {
			count++
			score := referenceScore(x)
			if score.Sign() == 0 {
				return
			}
			if sum[x.Account] == nil {
				sum[x.Account] = new(big.Int)
			}
			sum[x.Account].Add(sum[x.Account], score)
		}
		for _, r := range s.Ranges {
			if r.From != max(next[r.StreamID], 1) {
				t.Fatalf("slice %d begins %s at %d, not at %d", number, r.StreamID, r.From, next[r.StreamID])
			}
			next[r.StreamID] = r.To
			for _, e := range m.edges {
				for seq := r.From; e.id == r.StreamID && seq < r.To; seq++ {
					if !early[r.Epoch][seq] {
						add(e.shares[seq-1])
					}
				}
			}
		}
		for _, x := range s.Extras {
			if x.Seq == 0 {
				share, ok := m.extras[s.Block]
				if !ok || share.Account != x.Account || share.Credit != x.Credit {
					t.Fatalf("slice %d counts a share that nobody found: %+v", number, x)
				}
				add(share)
				continue
			}
			if early[x.Epoch] == nil {
				early[x.Epoch] = map[uint64]bool{}
			}
			if early[x.Epoch][x.Seq] {
				t.Fatalf("share %d of %x is an extra twice", x.Seq, x.Epoch)
			}
			early[x.Epoch][x.Seq] = true
			for _, e := range m.edges {
				if e.id.Epoch == x.Epoch {
					add(e.shares[x.Seq-1])
				}
			}
		}
		if count != s.Shares {
			t.Fatalf("slice %d counts %d shares, its ranges have %d", number, s.Shares, count)
		}
		total += count
		if len(sum) != len(s.Weight) {
			t.Fatalf("slice %d weighs %d accounts, its shares are of %d", number, len(s.Weight), len(sum))
		}
		for _, x := range s.Weight {
			if sum[x.Account] == nil || sum[x.Account].Cmp(x.Score.Big()) != 0 {
				t.Fatalf("slice %d: account %s has %s, its shares give %s", number, x.Account, x.Score, sum[x.Account])
			}
		}
		if number <= store.Last() {
			sums = append(sums, sum)
		}
	}
	for _, e := range m.edges {
		if n := uint64(len(e.shares)); n > 0 && next[e.id] != n+1 {
			t.Fatalf("%s is counted up to %d of %d", e.id, next[e.id], n)
		}
	}
	return sums
}

// credited recomputes every block from the slices' raw sums, and the balances from the chain.
func (m *model) credited(t *rapid.T, sums []map[pool.AccountID]*big.Int) {
	w := m.w
	n, _ := new(big.Rat).SetString(w.n)
	size := new(big.Int).Quo(new(big.Int).Lsh(n.Num(), 64), n.Denom())
	active := map[pool.Hash]int64{}
	for h, id := range w.node.active {
		active[id] = int64(h)
	}
	want := map[ledger.Account]pool.Amount{}
	for _, c := range m.found {
		doc := w.doc(c.Hash)
		height, is := active[c.Hash]
		depth := w.node.tip() - height + 1
		switch doc.State {
		case ledger.BlockImmature, ledger.BlockMature:
			if !is {
				t.Fatalf("block %s is %s at height %d and not in the chain of %d (once %d, watched: %v)",
					c.Hash, doc.State, doc.Height, w.node.tip(), m.highest, w.s.blocks[c.Hash] != nil)
			}
			if mature := depth >= maturity; mature != (doc.State == ledger.BlockMature) && doc.State != ledger.BlockMature {
				t.Fatalf("block %s is %s at depth %d", c.Hash, doc.State, depth)
			}
		default:
			if is {
				t.Fatalf("block %s is %s at height %d and in the chain of %d (once %d, watched: %v)",
					c.Hash, doc.State, doc.Height, w.node.tip(), m.highest, w.s.blocks[c.Hash] != nil)
			}
			continue
		}
		coinbase, err := toyChain{}.ParseCoinbase(w.node.raw[c.Hash])
		if err != nil {
			t.Fatal(err)
		}
		value := coinbase.Outputs[0].Value
		if doc.Value != value {
			t.Fatalf("block %s pays %d, booked is %d", c.Hash, value, doc.Value)
		}
		shared := map[pool.AccountID]pool.Amount{}
		fee, carry := value, pool.Amount(0)
		if !m.solo[c.Hash] {
			fee, carry, shared = referenceCredits(t, &doc, sums, size, value)
		}
		if doc.Fee != fee || doc.Carry != carry || len(doc.Credits) != len(shared) {
			t.Fatalf("block %s: fee %d carry %d to %d accounts, the reference says %d, %d, %d", c.Hash, doc.Fee, doc.Carry, len(doc.Credits), fee, carry, len(shared))
		}
		side, asset, income := ledger.Immature, ledger.CoinbaseImmature, ledger.PoolFeeImmature
		if doc.State == ledger.BlockMature {
			side, asset, income = ledger.Available, ledger.Wallet, ledger.PoolFee
		}
		for _, x := range doc.Credits {
			if shared[x.Account] != x.Amount {
				t.Fatalf("block %s credits %s %d, the reference says %d", c.Hash, x.Account, x.Amount, shared[x.Account])
			}
			want[ledger.Miner(x.Account, side)] += x.Amount
		}
		want[asset] += value
		want[income] += fee
		want[ledger.Carry] += carry
	}
	for account, balance := range w.book.Balances() {
		if want[account] != balance {
			t.Fatalf("%s is %d, the chain says %d", account, balance, want[account])
		}
		delete(want, account)
	}
	for account, balance := range want {
		if balance != 0 {
			t.Fatalf("%s is 0, the chain says %d", account, balance)
		}
	}
}

// referenceCredits walks the window from its last slice and divides by largest remainders, in rationals.
func referenceCredits(t *rapid.T, doc *ledger.BlockDoc, sums []map[pool.AccountID]*big.Int, size *big.Int, value pool.Amount) (fee, carry pool.Amount, credits map[pool.AccountID]pool.Amount) {
	w := doc.Window
	left := new(big.Int).Set(size)
	window := map[pool.AccountID]*big.Int{}
	all := new(big.Int)
	first := uint64(0)
	for number := w.Last; number > 0 && left.Sign() > 0; number-- {
		first = number
		slice := sums[number-1]
		score := new(big.Int)
		for _, v := range slice {
			score.Add(score, v)
		}
		rest := score
		if left.Cmp(score) < 0 {
			rest = new(big.Int).Set(left)
		}
		for account, v := range slice {
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(v, rest), score)
			part := new(big.Int).Quo(exact.Num(), exact.Denom())
			if window[account] == nil {
				window[account] = new(big.Int)
			}
			window[account].Add(window[account], part)
			all.Add(all, part)
		}
		left.Sub(left, rest)
	}
	if first != w.First {
		t.Fatalf("window begins at slice %d, the reference says %d", w.First, first)
	}
	fee = pool.Amount(new(big.Int).Quo(new(big.Int).Mul(big.NewInt(int64(value)), big.NewInt(testPPM)), big.NewInt(1_000_000)).Int64())
	pot := value - fee
	credits = map[pool.AccountID]pool.Amount{}
	if all.Sign() == 0 {
		return fee, pot, credits
	}
	type part struct {
		account pool.AccountID
		frac    *big.Rat
	}
	var parts []part
	rest := pot
	for account, v := range window {
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(v, big.NewInt(int64(pot))), all)
		floor := new(big.Int).Quo(exact.Num(), exact.Denom())
		credits[account] = pool.Amount(floor.Int64())
		rest -= credits[account]
		parts = append(parts, part{account, exact.Sub(exact, new(big.Rat).SetInt(floor))})
	}
	sort.Slice(parts, func(i, j int) bool {
		if c := parts[i].frac.Cmp(parts[j].frac); c != 0 {
			return c > 0
		}
		return referenceRow(doc.Hash, parts[i].account) < referenceRow(doc.Hash, parts[j].account)
	})
	for _, p := range parts[:rest] {
		credits[p.account]++
	}
	for account, amount := range credits {
		if amount == 0 {
			delete(credits, account)
		}
	}
	return fee, 0, credits
}

// referenceRow is the row id: HMAC-SHA-256(secret, block ‖ account).
func referenceRow(block pool.Hash, account pool.AccountID) string {
	h := hmac.New(sha256.New, testSecret[:])
	h.Write(block[:])
	h.Write(account[:])
	return string(h.Sum(nil))
}
