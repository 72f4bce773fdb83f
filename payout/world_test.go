package payout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
	"github.com/adit-pool/adit/pool/ledger"
)

const (
	testPool     = "test"
	testMaturity = 3
	testFeePPM   = 20_000
)

// shortChain is bitcoin on simnet with coinbases that mature early.
type shortChain struct {
	pool.Chain
	params pool.Params
}

func (c *shortChain) Params() *pool.Params { return &c.params }

func newChain(t testing.TB) *shortChain {
	t.Helper()
	base, err := bitcoin.New("simnet")
	if err != nil {
		t.Fatal(err)
	}
	params := *base.Params()
	params.Maturity = testMaturity
	return &shortChain{base, params}
}

// testKey is a key of a fixed secret.
func testKey(chain pool.Chain, typ sign.KeyType, secret byte) *sign.Key {
	return sign.KeyOf(chain.Params(), typ, testPrivate(secret))
}

func testPrivate(secret byte) *btcec.PrivateKey {
	var b [32]byte
	b[0], b[31] = secret, 1
	private, _ := btcec.PrivKeyFromBytes(b[:])
	return private
}

// crash is what kills a process under test.
type crash struct{ at string }

// crashBook lets events happen around every posting.
type crashBook struct {
	*ledger.Book
	event func(string)
}

func (b *crashBook) Post(e ledger.Entry) (ledger.Entry, error) {
	b.event("before " + e.Kind)
	e, err := b.Book.Post(e)
	b.event("after " + e.Kind)
	return e, err
}

// PostAll posts one entry after the other, so that a kill leaves the first few, as the book says.
func (b *crashBook) PostAll(entries []ledger.Entry) ([]ledger.Entry, error) {
	if _, err := b.dry(entries); err != nil {
		return nil, err
	}
	posted := make([]ledger.Entry, len(entries))
	for i, e := range entries {
		var err error
		if posted[i], err = b.Post(e); err != nil {
			return nil, err
		}
	}
	return posted, nil
}

// dry refuses what would be refused as a whole.
func (b *crashBook) dry(entries []ledger.Entry) ([]ledger.Entry, error) {
	need := map[ledger.Account]pool.Amount{}
	for _, e := range entries {
		for _, p := range e.Postings {
			if _, side, ok := p.Debit.Miner(); ok && side == ledger.Available {
				if need[p.Debit] += p.Amount; need[p.Debit] > b.Balance(p.Debit) && len(e.Overdraft) == 0 {
					return nil, ledger.ErrOverdraft
				}
			}
		}
	}
	return entries, nil
}

// world is a pool with its ledger on disk, a node, and a process that can be killed.
type world struct {
	t       testing.TB
	dir     string
	chain   *shortChain
	key     *sign.Key
	private *btcec.PrivateKey // of key
	node    *simNode
	book    *ledger.Book
	pay     *Payouts
	opts    Options

	reward   []byte             // script of coinbases
	own      [][]byte           // reward scripts of before
	miners   [][]byte           // output scripts
	foreign  map[pool.Hash]bool // transactions of others
	credited []pool.Amount
	blocks   []testBlock
	clock    int64

	countdown int // events until a crash, 0: none
	crashed   string
}

type testBlock struct {
	hash   pool.Hash
	height int64
	doc    ledger.BlockDoc
	mature bool
	credit []pool.Credit
}

func newWorld(t testing.TB, typ sign.KeyType) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), typ)
}

func newWorldIn(t testing.TB, dir string, typ sign.KeyType) *world {
	t.Helper()
	w := &world{t: t, dir: dir, chain: newChain(t), clock: 1_700_000_000_000}
	w.key, w.private = testKey(w.chain, typ, 7), testPrivate(7)
	w.node = newSimNode(t, testMaturity)
	w.node.event = w.event
	for i := range 5 {
		script := testKey(w.chain, []sign.KeyType{sign.WPKH, sign.TR}[i%2], byte(20+i)).Script()
		if i == 4 { // an old-style address
			script = append(append([]byte{0x76, 0xa9, 20}, script[2:22]...), 0x88, 0xac)
		}
		w.miners = append(w.miners, script)
	}
	w.reward, w.foreign = w.key.Script(), map[pool.Hash]bool{}
	w.credited = make([]pool.Amount, len(w.miners))
	w.opts = Options{
		Pool: testPool, Chain: w.chain, Node: w.node, Signer: w.key, RewardScript: w.key.Script(),
		Threshold: 10_000, ConfirmDepth: 2, FinalDepth: 4,
		Now: func() time.Time { w.clock++; return time.UnixMilli(w.clock) },
		Log: zerolog.Nop(),
	}
	w.start()
	t.Cleanup(func() { _ = w.book.Close() })
	return w
}

// start opens the book and makes a new process over it.
func (w *world) start() {
	w.t.Helper()
	book, err := ledger.Open(ledger.Options{Dir: w.dir, Pool: testPool, Log: zerolog.Nop()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.book = book
	w.opts.Book = &crashBook{book, w.event}
	if w.pay, err = New(w.opts); err != nil {
		w.t.Fatal(err)
	}
}

// restart is a kill and a new start: all that is left is the disk.
func (w *world) restart() {
	w.t.Helper()
	if err := w.book.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

func (w *world) event(at string) {
	if w.countdown > 0 {
		if w.countdown--; w.countdown == 0 {
			panic(crash{at})
		}
	}
}

// try runs act in the process. When the process is killed in it, a new one is started.
func (w *world) try(act func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crash)
			if !ok {
				panic(r)
			}
			w.crashed, err = c.at, fmt.Errorf("killed %s", c.at)
			w.countdown = 0
			w.restart()
		}
	}()
	return act()
}

func (w *world) run() error {
	return w.try(func() error { _, err := w.pay.Run(context.Background(), SystemAccount); return err })
}

func (w *world) check() error {
	return w.try(func() error { return w.pay.Check(context.Background()) })
}

// post writes an entry as settlement does, never killed.
func (w *world) post(e ledger.Entry) {
	w.t.Helper()
	if _, err := w.book.Post(e); err != nil {
		w.t.Fatal(err)
	}
}

func mustJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// find mines a block of the pool that credits miners by weight, as immature.
func (w *world) find(value pool.Amount, weight ...int) {
	w.t.Helper()
	hash, tx := w.node.mine(w.reward, value)
	fee, err := value.MulPPM(testFeePPM)
	if err != nil {
		w.t.Fatal(err)
	}
	b := testBlock{hash: hash, height: w.node.height()}
	total, rest := 0, value-fee
	for _, n := range weight {
		total += n
	}
	for i, n := range weight {
		amount := (value - fee) * pool.Amount(n) / pool.Amount(total)
		if amount == 0 {
			continue
		}
		rest -= amount
		id := pool.AccountOf(testPool, w.miners[i])
		b.credit = append(b.credit, pool.Credit{Account: id, Amount: amount})
		if !w.book.Has(ledger.SetAccounts, id.String()) {
			w.post(ledger.Entry{Kind: "account.new", Key: "account:" + id.String(), Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: id.String()},
				Body: mustJSON(w.t, ledger.AccountDoc{Account: id, Script: w.miners[i]})})
		}
		w.credited[i] += amount
	}
	b.doc = ledger.BlockDoc{
		Hash: hash, Height: b.height, Value: value, Fee: fee, Carry: rest, State: ledger.BlockImmature, Credits: b.credit,
		Coinbase: &ledger.Coinbase{TxID: pool.Hash(tx.TxHash()), Outputs: []ledger.Output{{Index: 0, Value: value, Script: w.reward}}},
	}
	post := []ledger.Posting{{Debit: ledger.CoinbaseImmature, Credit: ledger.PoolFeeImmature, Amount: fee}}
	for _, c := range b.credit {
		post = append(post, ledger.Posting{Debit: ledger.CoinbaseImmature, Credit: ledger.MinerImmature(c.Account), Amount: c.Amount})
	}
	if rest > 0 {
		post = append(post, ledger.Posting{Debit: ledger.CoinbaseImmature, Credit: ledger.Carry, Amount: rest})
	}
	w.post(ledger.Entry{Kind: "block.immature", Key: "block:" + hash.String() + ":immature",
		Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: hash.String(), Rank: b.height}, Postings: post, Body: mustJSON(w.t, b.doc)})
	w.blocks = append(w.blocks, b)
}

// mature books blocks that are deep enough.
func (w *world) mature() {
	w.t.Helper()
	for i := range w.blocks {
		b := &w.blocks[i]
		if b.mature || w.node.height()-b.height+1 < testMaturity {
			continue
		}
		b.mature = true
		b.doc.State = ledger.BlockMature
		post := []ledger.Posting{
			{Debit: ledger.Wallet, Credit: ledger.CoinbaseImmature, Amount: b.doc.Value},
			{Debit: ledger.PoolFeeImmature, Credit: ledger.PoolFee, Amount: b.doc.Fee},
		}
		for _, c := range b.credit {
			post = append(post, ledger.Posting{Debit: ledger.MinerImmature(c.Account), Credit: ledger.MinerAvailable(c.Account), Amount: c.Amount})
		}
		w.post(ledger.Entry{Kind: "block.mature", Key: "block:" + b.hash.String() + ":mature",
			Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: b.hash.String(), Rank: b.height}, Postings: post, Body: mustJSON(w.t, b.doc)})
	}
}

// rich mines blocks and lets them mature.
func (w *world) rich(blocks int) {
	w.t.Helper()
	for range blocks {
		w.find(5_000_000, 5, 3, 2, 1, 1)
	}
	w.mine(testMaturity)
}

func (w *world) mine(n int) {
	w.t.Helper()
	for range n {
		w.node.mine(nil, 0)
	}
	w.mature()
}

// safeReorg is how many blocks can be dropped without touching the pool's own blocks.
func (w *world) safeReorg() int {
	last := int64(0)
	for _, b := range w.blocks {
		last = max(last, b.height)
	}
	return int(w.node.height() - last)
}

// finish makes everything honest and goes on until no payout is open and all is final.
func (w *world) finish() {
	w.t.Helper()
	w.node.lie, w.countdown = nil, 0
	for range 80 {
		err := w.run()
		if errors.Is(err, ErrShort) { // fees have eaten what the pool had itself
			w.rich(1)
			continue
		}
		// A booked payout that a reorganisation took out stops new ones until it is back; if the node has
		// forgotten it as well, an open one that spends its baton is not taken before check has sent it.
		if err != nil && !errors.Is(err, ErrNothing) && !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrNotTaken) {
			w.dump()
			w.t.Fatalf("run: %v", err)
		}
		// One that spends what another makes is not taken before that is there again.
		if err := w.check(); err != nil && !errors.Is(err, ErrNotTaken) {
			w.t.Fatalf("check: %v", err)
		}
		if errors.Is(err, ErrNothing) {
			all := true
			for _, d := range w.list() {
				all = all && (d.State == StateFinal || d.dead())
			}
			if all {
				w.readAnew()
				return
			}
		}
		w.mine(1)
	}
	w.dump()
	w.t.Logf("run: %v, check: %v", w.run(), w.check())
	w.t.Fatal("payouts do not come to an end")
}

// readAnew checks that what the process knows of its batches is what the ledger says.
func (w *world) readAnew() {
	w.t.Helper()
	other, err := New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := other.List()
	if err != nil {
		w.t.Fatal(err)
	}
	if known, read := mustJSON(w.t, w.list()), mustJSON(w.t, all); !bytes.Equal(known, read) {
		w.t.Fatalf("known:\n%s\nread:\n%s", known, read)
	}
	if len(w.pay.fold.faults) != len(other.fold.faults) || !reflect.DeepEqual(w.pay.fold.spenders, other.fold.spenders) {
		w.t.Fatal("what follows from the batches is not what follows from the ledger")
	}
}

// dump tells what became of each batch.
func (w *world) dump() {
	for _, d := range w.list() {
		w.t.Logf("%.8s %s of %.8s, part %d of %d: %s, %d earlier, %v: %s", d.ID, d.Kind, d.Of, d.Part, d.Parts, d.State, len(d.Earlier), d.Steps, d.Reason)
	}
}

func (w *world) list() []*BatchDoc {
	w.t.Helper()
	all, err := w.pay.List()
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// approveNow has the system approve a run.
func (p *Payouts) approveNow(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateFrozen, p.approveSystem)
}

// built takes a new payout as far as built, step by step.
func (w *world) built() *BatchDoc {
	w.t.Helper()
	return w.builtAs(SystemAccount)
}

func (w *world) builtAs(author string) *BatchDoc {
	w.t.Helper()
	ctx := context.Background()
	d, err := w.pay.Draft(ctx, author)
	for _, step := range []func(context.Context, string) (*BatchDoc, error){
		w.pay.Freeze,
		w.pay.approveNow,
		w.pay.Build,
	} {
		if err != nil {
			w.t.Fatal(err)
		}
		d, err = step(ctx, d.ID)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// verify holds the chain against the ledger: each batch paid by exactly one transaction, every balance
// exact.
func (w *world) verify() {
	w.t.Helper()
	onChain := w.node.onChain()
	batches := map[pool.Hash]*BatchDoc{}
	paid := map[pool.AccountID]pool.Amount{}
	net := map[pool.AccountID]pool.Amount{} // of the fee that payees bear
	var fees pool.Amount
	for _, d := range w.list() {
		if d.dead() {
			continue
		}
		if d.TxID == nil || onChain[*d.TxID] == nil {
			w.t.Fatalf("payout %s (%s) is not on chain", d.ID, d.State)
		}
		if batches[*d.TxID] != nil {
			w.t.Fatalf("two payouts have transaction %s", d.TxID)
		}
		batches[*d.TxID] = d
		fees += d.Fee
		for _, q := range d.Payees {
			paid[q.Account] += q.Amount
			net[q.Account] += q.Amount - q.Fee
			fees -= q.Fee
			if got := onChain[*d.TxID].TxOut[*q.Vout]; string(got.PkScript) != string(q.Script) || pool.Amount(got.Value) < q.Amount-q.Fee {
				w.t.Fatalf("payout %s: output %d does not pay %s", d.ID, *q.Vout, q.Address)
			}
		}
	}
	for txid := range onChain {
		if batches[txid] == nil && !w.foreign[txid] {
			w.t.Fatalf("transaction %s on chain belongs to no payout", txid)
		}
	}
	versions := map[pool.Hash]bool{}
	for _, d := range w.list() {
		for _, v := range d.versions() {
			versions[*v.TxID] = true
		}
	}
	for txid := range w.node.received {
		if !versions[txid] {
			w.t.Fatalf("transaction %s was sent for no payout", txid)
		}
	}
	for i, script := range w.miners {
		id := pool.AccountOf(testPool, script)
		if got := w.node.paidTo(script, w.foreign); got != net[id] {
			w.t.Fatalf("miner %d got %d on chain, %d by the batches", i, got, net[id])
		}
		immature, available, inPayout := w.book.Balance(ledger.MinerImmature(id)), w.book.Balance(ledger.MinerAvailable(id)), w.book.Balance(ledger.MinerInPayout(id))
		if immature+available+inPayout+paid[id] != w.credited[i] || inPayout != 0 {
			w.t.Fatalf("miner %d: credited %d, immature %d, available %d, in payout %d, paid %d", i, w.credited[i], immature, available, inPayout, paid[id])
		}
	}
	if got := w.book.Balance(ledger.NetworkFee); got != fees {
		w.t.Fatalf("network fees are %d in the ledger, %d by the batches", got, fees)
	}
	var wallet pool.Amount
	for point, o := range w.node.utxo(false) {
		if !slices.ContainsFunc(append(w.own, w.reward), func(s []byte) bool { return string(s) == string(o.out.PkScript) }) {
			continue
		}
		mature := !o.coinbase
		for _, b := range w.blocks {
			mature = mature || b.mature && pool.Hash(point.Hash) == b.doc.Coinbase.TxID
		}
		if mature {
			wallet += pool.Amount(o.out.Value)
		}
	}
	if got := w.book.Balance(ledger.Wallet); got != wallet {
		w.t.Fatalf("the wallet is %d in the ledger, %d on the node", got, wallet)
	}
	r, err := w.pay.Reconcile(context.Background(), false)
	if err != nil {
		w.t.Fatal(err)
	}
	if !r.OK() {
		w.t.Fatalf("reconciliation: %+v", r.Unequal)
	}
}

// copyLedger saves the ledger as a backup would.
func (w *world) copyLedger(to string) {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "ledger.log"))
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "ledger.log"), b, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func contains(t testing.TB, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
