package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

var (
	errFakeNoDoc = errors.New("fake store: no such document")
	errFakeAway  = errors.New("dial tcp 127.0.0.1:6379: connection refused")
)

// fakeStore holds a pool in memory.
type fakeStore struct {
	mu       sync.Mutex
	calls    map[string]int // by method
	away     error          // returned by every call
	gate     chan struct{}  // when not nil, calls wait for it
	view     pool.PoolView  // what View returns
	head     ledger.Head    // what Head returns
	docs     map[string][]fakeDoc
	accounts map[pool.AccountID]fakeAccount
}

type fakeDoc struct {
	id   string
	body json.RawMessage
}

type fakeAccount struct {
	view                                pool.AccountView
	immature, available, inPayout, paid pool.Amount
	score, total                        pool.Work
}

func (f *fakeStore) enter(ctx context.Context, method string) error {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = make(map[string]int)
	}
	f.calls[method]++
	return f.away
}

func (f *fakeStore) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// change runs with the store's values locked.
func (f *fakeStore) change(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
}

func (f *fakeStore) View(ctx context.Context) (pool.PoolView, error) {
	err := f.enter(ctx, "View")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, err
}

func (f *fakeStore) AccountView(ctx context.Context, id pool.AccountID) (pool.AccountView, error) {
	err := f.enter(ctx, "AccountView")
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.accounts[id].view
	v.Account = id
	return v, err
}

func (f *fakeStore) Docs(ctx context.Context, set string, offset, limit int) ([]json.RawMessage, int, error) {
	if err := f.enter(ctx, "Docs"); err != nil {
		return nil, 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.docs[set]
	var out []json.RawMessage
	for i := offset; i < min(offset+limit, len(all)); i++ {
		out = append(out, all[i].body)
	}
	return out, len(all), nil
}

func (f *fakeStore) Doc(ctx context.Context, set, id string) (json.RawMessage, error) {
	if err := f.enter(ctx, "Doc"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.docs[set] {
		if d.id == id {
			return d.body, nil
		}
	}
	return nil, fmt.Errorf("read %s/%s: %w", set, id, errFakeNoDoc)
}

func (f *fakeStore) Balances(ctx context.Context, id pool.AccountID) (immature, available, inPayout, paid pool.Amount, err error) {
	err = f.enter(ctx, "Balances")
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.accounts[id]
	return a.immature, a.available, a.inPayout, a.paid, err
}

func (f *fakeStore) WindowShare(ctx context.Context, id pool.AccountID) (score, total pool.Work, err error) {
	err = f.enter(ctx, "WindowShare")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accounts[id].score, f.accounts[id].total, err
}

func (f *fakeStore) Head(ctx context.Context) (ledger.Head, error) {
	err := f.enter(ctx, "Head")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, err
}

func (f *fakeStore) Health(ctx context.Context) error { return f.enter(ctx, "Health") }

// add puts documents in front.
func (f *fakeStore) add(set, id string, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.docs == nil {
		f.docs = make(map[string][]fakeDoc)
	}
	f.docs[set] = append([]fakeDoc{{id, body}}, f.docs[set]...)
	f.head.Seq++
	f.head.Hash = sha256.Sum256(append(f.head.Hash[:], body...))
}

// fakePool fills a store with a pool that has been running for a day: as many found blocks as asked for,
// one every gap, and some payouts. addresses are its miners; script gives their output scripts.
func fakePool(id string, now time.Time, blocks int, gap time.Duration, addresses []string, script func(string) []byte) *fakeStore {
	random := rand.New(rand.NewPCG(1, uint64(len(id))))
	f := &fakeStore{accounts: make(map[pool.AccountID]fakeAccount)}
	f.head = ledger.Head{Seq: 4210, Term: 3}
	const height = 20_480
	const work = 131_072 * 60
	rate := func(t int64) float64 {
		day := float64(t%86400) / 86400
		return 41e3 * (1 + 0.25*math.Sin(2*math.Pi*day) + 0.1*math.Sin(14*math.Pi*day))
	}
	for t := now.Add(-24*time.Hour).Unix() / 60; t < now.Unix()/60; t++ {
		f.view.History = append(f.view.History, pool.HistoryPoint{Time: t * 60, Hashrate: rate(t*60) * (1 + 0.18*random.NormFloat64()), Workers: 6 + int(t/240%3)})
	}
	f.view.Hashrate = rate(now.Unix())
	f.view.Miners, f.view.Workers, f.view.Sessions = len(addresses), 2*len(addresses)+1, 2*len(addresses)+2
	f.view.Height, f.view.NetworkDifficulty, f.view.NetworkWork = height, 1.831e-3, fmt.Sprint(work)
	f.view.JobTime = now.Add(-9 * time.Second).UnixMilli()
	f.view.Reported = now.Add(-3 * time.Second).UnixMilli()
	f.view.Accepted, f.view.Rejected = 184_203, map[string]uint64{"stale": 412, "low-difficulty": 31, "duplicate": 2}
	f.view.Nodes = []pool.NodeReport{
		{Name: "btcd-a", Up: true, Height: height - 1, Since: now.Add(-20 * time.Hour)},
		{Name: "btcd-b", Up: true, Height: height - 1, Since: now.Add(-2 * time.Hour)},
	}
	hash := func(what string, i int) pool.Hash { return sha256.Sum256([]byte(fmt.Sprint(id, what, i))) }
	ids := make([]pool.AccountID, len(addresses))
	for i, a := range addresses {
		ids[i] = pool.AccountOf(id, script(a))
		f.add(ledger.SetAccounts, ids[i].String(), ledger.AccountDoc{Account: ids[i], Script: script(a), Address: a})
	}
	weights := []int64{500, 260, 140, 70, 30}
	for i := range blocks {
		n := blocks - 1 - i // newest last, so that it comes first in the list
		d := ledger.BlockDoc{
			Hash: hash("block", n), Height: height - 1 - int64(n)*7, Time: now.Add(-time.Duration(n)*gap - 14*time.Minute).UnixMilli(),
			State: ledger.BlockMature, Bits: 0x1e00ffff, Value: 5_000_012_345, FeeVersion: 1, FeePPM: 10_000, Scheme: "pplns",
			Epoch: 0xfedcba9876543210, Seq: uint64(90_000 + i*811), Window: &ledger.BlockWindow{First: uint64(i*900 + 1), Last: uint64(i*900 + 2048), Rest: pool.WorkOf(7_203_685_477)},
		}
		switch {
		case n == 0:
			d.State = ledger.BlockSubmitted
		case n == 4:
			d.State = ledger.BlockOrphaned
		case height-d.Height < 100:
			d.State = ledger.BlockImmature
		}
		finder := ids[random.IntN(len(ids))]
		d.Finder, d.Worker = &finder, []string{"rig1", "garage", "s19-04"}[i%3]
		d.Fee = d.Value / 100
		left := d.Value - d.Fee
		for j, account := range ids {
			amount := left
			if j < len(ids)-1 {
				amount = (d.Value - d.Fee) * pool.Amount(weights[j]) / 1000
			}
			left -= amount
			d.Credits = append(d.Credits, pool.Credit{Account: account, Amount: amount})
		}
		if d.State != ledger.BlockSubmitted {
			d.Coinbase = &ledger.Coinbase{TxID: hash("coinbase", n), Outputs: []ledger.Output{{Value: d.Value, Script: []byte{0x51}}}}
		} else {
			d.Credits, d.Window = nil, nil
		}
		f.add(ledger.SetBlocks, d.Hash.String(), d)
	}
	states := []payout.State{payout.StateFinal, payout.StateFinal, payout.StateFinal, payout.StateCancelled, payout.StateConfirmed, payout.StateBroadcast}
	for i, state := range states {
		d := payout.BatchDoc{V: 1, ID: hex.EncodeToString(hash8(id, i)), Pool: id, State: state, Seq: uint64(1000 + i*400), Version: payout.Version{Fee: 1_410}}
		at := now.Add(-time.Duration(len(states)-1-i)*3*time.Hour - 6*time.Minute)
		d.Steps = []payout.Step{{State: payout.StateDraft, Time: at.Add(-time.Minute).UnixMilli()}, {State: state, Time: at.UnixMilli()}}
		for j, a := range addresses {
			d.Payees = append(d.Payees, payout.Payee{Account: ids[j], Address: a, Script: script(a), Amount: pool.Amount(weights[j]) * 12_345_678})
			d.Total += d.Payees[j].Amount
		}
		if state == payout.StateCancelled {
			d.Reason = "the baton was not confirmed yet"
		} else {
			txid := hash("payout", i)
			d.TxID, d.Raw = &txid, []byte("signed bytes")
		}
		if state == payout.StateFinal || state == payout.StateConfirmed {
			block := hash("holder", i)
			d.Block, d.Height = &block, height-int64(len(states)-i)*40
		}
		f.add(payout.SetPayouts, d.ID, d)
	}
	for i, account := range ids {
		a := fakeAccount{immature: pool.Amount(weights[i]) * 38_112_004, available: pool.Amount(weights[i]) * 81_321,
			inPayout: pool.Amount(weights[i]) * 12_345_678, paid: pool.Amount(weights[i]) * 49_382_712,
			score: pool.Work{Hi: uint64(weights[i]) * 2}, total: pool.Work{Hi: 2000}}
		part := float64(weights[i]) / 1000
		a.view = pool.AccountView{Account: account, Address: addresses[i], Hashrate: f.view.Hashrate * part}
		for t := now.Add(-24*time.Hour).Unix() / 600; t < now.Unix()/600; t++ {
			a.view.History = append(a.view.History, pool.HistoryPoint{Time: t * 600, Hashrate: rate(t*600) * part * (1 + 0.06*random.NormFloat64())})
		}
		a.view.Workers = []pool.WorkerView{
			{Name: "", Agent: "cpuminer/2.5.1", Hashrate: f.view.Hashrate * part * 0.1, Difficulty: 0.0000121, LastShare: now.Add(-4 * time.Minute).UnixMilli(), BestShare: 0.00041, Accepted: 1204},
			{Name: "garage", Agent: "adit/0.1.0", Hashrate: f.view.Hashrate * part * 0.6, Difficulty: 0.000488, LastShare: now.Add(-2 * time.Second).UnixMilli(), BestShare: 0.0192, Accepted: 40_211, Rejected: map[string]uint64{"stale": 120, "low-difficulty": 4}},
			{Name: "rig1", Agent: "bosminer-plus-tuner 2.0", Hashrate: f.view.Hashrate * part * 0.3, Difficulty: 0.000244, LastShare: now.Add(-11 * time.Second).UnixMilli(), BestShare: 0.0087, Accepted: 21_877, Rejected: map[string]uint64{"stale": 61}},
		}
		f.accounts[account] = a
	}
	return f
}

func hash8(id string, i int) []byte {
	h := sha256.Sum256([]byte(fmt.Sprint(id, "batch", i)))
	return h[:]
}
