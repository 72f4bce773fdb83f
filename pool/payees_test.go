package pool_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
)

var payeesNow = time.Unix(1_700_000_000, 0)

// payScript is an output script of one of four usual kinds.
func payScript(n byte) []byte {
	fill := func(size int) []byte { return bytes.Repeat([]byte{n}, size) }
	switch n % 4 {
	case 0: // P2PKH
		return append(append([]byte{0x76, 0xa9, 20}, fill(20)...), 0x88, 0xac)
	case 1: // P2SH
		return append(append([]byte{0xa9, 20}, fill(20)...), 0x87)
	case 2: // P2WPKH
		return append([]byte{0, 20}, fill(20)...)
	}
	return append([]byte{0x51, 32}, fill(32)...) // P2TR
}

func payList(tip pool.Hash, amounts ...pool.Amount) *pool.PayeeList {
	l := &pool.PayeeList{Tip: tip, Expires: payeesNow.Add(time.Hour).UnixMilli()}
	for i, a := range amounts {
		script := payScript(byte(10 + i))
		l.Payees = append(l.Payees, pool.CoinbasePayee{Account: pool.AccountOf("toy", script), Script: script, Amount: a})
	}
	return l
}

// payEngine is an engine of a real chain.
type payEngine struct {
	*pool.Engine
	chain pool.Chain
	own   []byte
}

func newPayEngine(t rapid.TB, scheme pool.SchemeID) *payEngine {
	t.Helper()
	chain, err := bitcoin.New("regtest")
	if err != nil {
		t.Fatal(err)
	}
	own := append([]byte{0, 20}, bytes.Repeat([]byte{0xee}, 20)...)
	e, err := pool.NewEngine(pool.EngineConfig{PoolID: "toy", Chain: chain, Scheme: scheme, Tag: "/adit/", Epoch: 7, RewardScript: own})
	if err != nil {
		t.Fatal(err)
	}
	return &payEngine{e, chain, own}
}

func (e *payEngine) template(t rapid.TB, tip byte, value pool.Amount) {
	t.Helper()
	tm := &pool.Template{
		Height: 800_000, PrevHash: pool.Hash{tip}, Version: 0x20000000, Bits: 0x207fffff, CurTime: 1_700_000_000, MinTime: 1_699_999_000,
		CoinbaseValue: value, WitnessCommitment: append([]byte{0x6a, 36, 0xaa, 0x21, 0xa9, 0xed}, make([]byte, 32)...),
	}
	if _, err := e.SetTemplate(tm, payeesNow); err != nil {
		t.Fatal(err)
	}
}

func (e *payEngine) session(t rapid.TB, size int) *pool.Session {
	t.Helper()
	s, err := e.NewSession(pool.Limits{Start: 1, Min: 1, Max: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	script := payScript(2)
	s.Workers, s.MaxCoinbase = []pool.Worker{{User: "x", Script: script, Account: pool.AccountOf("toy", script)}}, size
	return s
}

// issue gives the outputs of the coinbase that a session gets, the commitment left out, and its size.
func (e *payEngine) issue(t rapid.TB, s *pool.Session, now time.Time) (outputs []pool.Output, size int) {
	t.Helper()
	is, j, err := e.Issue(s, now)
	if err != nil {
		t.Fatal(err)
	}
	coinbase := j.AppendCoinbase(nil, is.Salt, is.Extranonce1, new([8]byte))
	if e.Job(is.JobID) != j {
		t.Fatal("what was issued cannot be submitted for")
	}
	block, err := e.chain.Block(nil, j.Template, new([80]byte), coinbase)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := e.chain.ParseCoinbase(block)
	if err != nil {
		t.Fatal(err)
	}
	return tx.Outputs[:len(tx.Outputs)-1], len(coinbase)
}

// A coinbase pays as many accounts of the list as fit, in their order and in full, and never more; the rest is the
// pool's.
func TestDirectFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newPayEngine(t, pool.SchemePPLNS)
		value := pool.Amount(rapid.Int64Range(0, 400_000).Draw(t, "value"))
		amounts := rapid.SliceOfN(rapid.Int64Range(-2, 20_000), 0, 70).Draw(t, "amounts")
		list := &pool.PayeeList{Tip: pool.Hash{1}, Expires: payeesNow.Add(time.Hour).UnixMilli()}
		kinds := byte(rapid.IntRange(0, 255).Draw(t, "kinds"))
		step := byte(rapid.SampledFrom([]int{1, 4}).Draw(t, "step"))
		for i, a := range amounts {
			list.Payees = append(list.Payees, pool.CoinbasePayee{Script: payScript(kinds + step*byte(i)), Amount: pool.Amount(a)})
		}
		e.template(t, 1, value)
		if _, err := e.SetPayees(list); err != nil {
			t.Fatal(err)
		}
		size := rapid.SampledFrom([]int{0, 500, 730, 1400, 2250, 6500, 16 << 10}).Draw(t, "size")
		s := e.session(t, size)
		got, n := e.issue(t, s, payeesNow)
		if size > 0 && n > size {
			t.Fatalf("a coinbase of %d bytes for a miner that takes %d", n, size)
		}
		if weight := 4*(80+9+n) + 2 + 34; weight > 8000 {
			t.Fatalf("header and coinbase weigh %d", weight)
		}
		sum, sigops := pool.Amount(0), 0
		for _, o := range got {
			sum += o.Value
			if bytes.HasSuffix(o.Script, []byte{0xac}) {
				sigops += 4
			}
		}
		if sum != value || !bytes.Equal(got[0].Script, e.own) || sigops > 400 {
			t.Fatalf("outputs are worth %d of %d, the first is to %x, %d sigops", sum, value, got[0].Script, sigops)
		}
		if len(got) > 1 && got[0].Value < 1000 {
			t.Fatalf("the pool keeps %d", got[0].Value)
		}
		paid := got[1:]
		for i, o := range paid {
			if p := list.Payees[i]; o.Value != p.Amount || !bytes.Equal(o.Script, p.Script) {
				t.Fatalf("output %d pays %d, the list says %d", i, o.Value, p.Amount)
			}
		}
		if len(paid) < len(list.Payees) && len(paid) < pool.MaxCoinbasePayees { // the next one does not fit
			next, limit := list.Payees[len(paid)], 1899
			if size > 0 {
				limit = min(size, limit)
			}
			if next.Amount > 0 && next.Amount <= got[0].Value-1000 && n+9+len(next.Script) <= limit && sigops+4 <= 396 {
				t.Fatalf("payee %d was left out: coinbase of %d bytes for %d, the pool keeps %d", len(paid), n, size, got[0].Value)
			}
		}
	})
}

// Only jobs on the list's tip pay by it, only until it expires, and a list that comes later makes the job anew.
func TestDirectCounts(t *testing.T) {
	e := newPayEngine(t, pool.SchemePPLNS)
	s := e.session(t, 0)
	pays := func(why string, now time.Time, want ...pool.Amount) {
		t.Helper()
		outputs, _ := e.issue(t, s, now)
		var got []pool.Amount
		for _, o := range outputs[1:] {
			got = append(got, o.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: pays %d, want %d", why, got, want)
		}
	}
	set := func(why string, l *pool.PayeeList, renews bool) {
		t.Helper()
		if renewed, err := e.SetPayees(l); err != nil || renewed != renews {
			t.Errorf("%s: renewed %v, %v", why, renewed, err)
		}
	}
	set("before any job", payList(pool.Hash{1}, 50_000), false)
	e.template(t, 1, 1_000_000)
	pays("a list that was there first", payeesNow, 50_000)
	e.template(t, 2, 1_000_000)
	pays("a new tip", payeesNow)
	set("for the tip before", payList(pool.Hash{1}, 60_000), false)
	pays("a list of another tip", payeesNow)
	set("for this tip", payList(pool.Hash{2}, 60_000, 50_000), true)
	pays("a list of this tip", payeesNow, 60_000, 50_000)
	e.template(t, 2, 90_000)
	pays("a refreshed template that brings less", payeesNow, 60_000)
	pays("when it has expired", payeesNow.Add(time.Hour))
	pays("a little before", payeesNow.Add(time.Hour-time.Millisecond), 60_000)
	set("an empty one", payList(pool.Hash{2}), true)
	pays("an empty list", payeesNow)
	set("none", nil, false)
	if len(s.Issued) < 6 {
		t.Errorf("%d jobs can be submitted for", len(s.Issued))
	}
}

// SOLO work pays its finder, whatever list there is.
func TestDirectNotSolo(t *testing.T) {
	for _, scheme := range []pool.SchemeID{pool.SchemePPLNS, pool.SchemeSOLO} {
		e := newPayEngine(t, scheme)
		e.template(t, 1, 1_000_000)
		if _, err := e.SetPayees(payList(pool.Hash{1}, 50_000)); err != nil {
			t.Fatal(err)
		}
		s := e.session(t, 0)
		s.Scheme = pool.SchemeSOLO
		if outputs, _ := e.issue(t, s, payeesNow); !bytes.Equal(outputs[0].Script, payScript(2)) || len(outputs) != 1 {
			t.Errorf("%v: %+v", scheme, outputs)
		}
	}
}

// Many templates and sizes hold a bounded number of jobs, and those of tips long gone cannot be submitted for.
func TestDirectRetires(t *testing.T) {
	e := newPayEngine(t, pool.SchemePPLNS)
	var first pool.Issued
	for i := range 300 {
		tip := byte(1 + i/100)
		if _, err := e.SetPayees(payList(pool.Hash{tip}, 3000, 2000, 2000, 2000, 2000, 2000, 2000, 2000)); err != nil {
			t.Fatal(err)
		}
		e.template(t, tip, 1_000_000)
		for _, size := range []int{0, 500, 730} {
			is, _, err := e.Issue(e.session(t, size), payeesNow.Add(time.Duration(rand.IntN(1000))))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 && size == 0 {
				first = is
			}
		}
	}
	if e.Job(first.JobID) != nil {
		t.Error("a job of the tip before the last can be submitted for")
	}
}
