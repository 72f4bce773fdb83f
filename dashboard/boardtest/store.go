// Package boardtest has a pool in memory, for tests of what shows pools.
package boardtest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

var (
	ErrNoDoc  = errors.New("fake store: no such document")
	ErrCursor = errors.New("fake store: no such place")
	ErrAway   = errors.New("dial tcp 127.0.0.1:6379: connection refused")
)

// Store holds a pool in memory.
type Store struct {
	mu       sync.Mutex
	Calls    map[string]int // by method
	Away     error          // returned by every call
	Gate     chan struct{}  // when not nil, calls wait for it
	Pool     pool.PoolView  // what View returns
	Ledger   ledger.Head    // what Head returns
	Set      map[string][]storedDoc
	Accounts map[pool.AccountID]Account
}

type storedDoc struct {
	ID   string
	Body json.RawMessage
}

// Account is what the store has of one.
type Account struct {
	View                                pool.AccountView
	Immature, Available, InPayout, Paid pool.Amount
	Score, Total                        pool.Work
	History                             []pool.HistoryPoint // by ten minutes
}

func (f *Store) enter(ctx context.Context, method string) error {
	f.mu.Lock()
	gate := f.Gate
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
	if f.Calls == nil {
		f.Calls = make(map[string]int)
	}
	f.Calls[method]++
	return f.Away
}

func (f *Store) Called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Calls[method]
}

// Change runs with the store's values locked.
func (f *Store) Change(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
}

// View answers as the store of a pool does.
func (f *Store) View(ctx context.Context) (pool.PoolView, error) {
	err := f.enter(ctx, "View")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Pool, err
}

// AccountView answers as the store of a pool does.
func (f *Store) AccountView(ctx context.Context, id pool.AccountID) (pool.AccountView, error) {
	err := f.enter(ctx, "AccountView")
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.Accounts[id].View
	v.Account = id
	return v, err
}

// Docs lists documents; a place is the id of the last document that was given.
func (f *Store) Docs(ctx context.Context, set, after string, limit int) ([]json.RawMessage, string, int, error) {
	if err := f.enter(ctx, "Docs"); err != nil {
		return nil, "", 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.Set[set]
	from := 0
	if after != "" {
		at := slices.IndexFunc(all, func(d storedDoc) bool { return d.ID == after })
		if at < 0 {
			return nil, "", 0, ErrCursor
		}
		from = at + 1
	}
	var out []json.RawMessage
	next := ""
	for i := from; i < min(from+limit, len(all)); i++ {
		out = append(out, all[i].Body)
		if i == from+limit-1 && i+1 < len(all) {
			next = all[i].ID
		}
	}
	return out, next, len(all), nil
}

// Doc answers as the store of a pool does.
func (f *Store) Doc(ctx context.Context, set, id string) (json.RawMessage, error) {
	if err := f.enter(ctx, "Doc"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.Set[set] {
		if d.ID == id {
			return d.Body, nil
		}
	}
	return nil, fmt.Errorf("read %s/%s: %w", set, id, ErrNoDoc)
}

// Balances answers as the store of a pool does.
func (f *Store) Balances(ctx context.Context, id pool.AccountID) (immature, available, inPayout, paid pool.Amount, err error) {
	err = f.enter(ctx, "Balances")
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.Accounts[id]
	return a.Immature, a.Available, a.InPayout, a.Paid, err
}

// WindowShare answers as the store of a pool does.
func (f *Store) WindowShare(ctx context.Context, id pool.AccountID) (score, total pool.Work, err error) {
	err = f.enter(ctx, "WindowShare")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Accounts[id].Score, f.Accounts[id].Total, err
}

// Credits lists what the documents of blocks have of an account; a place is the id of the last row's block.
func (f *Store) Credits(ctx context.Context, id pool.AccountID, after string, limit int) ([]ledger.CreditRow, string, int, error) {
	if err := f.enter(ctx, "Credits"); err != nil {
		return nil, "", 0, err
	}
	var all []ledger.CreditRow
	for _, body := range f.bodies(ledger.SetBlocks) {
		doc := new(ledger.BlockDoc)
		if err := json.Unmarshal(body, doc); err != nil {
			return nil, "", 0, err
		}
		scores := ledger.BlockDoc{Credits: doc.Credits, Scores: doc.Scores}
		doc.Credits, doc.Scores = nil, nil
		for i, c := range scores.Credits {
			if c.Account == id {
				all = append(all, ledger.CreditRow{Block: doc, Amount: c.Amount, Score: scores.Scores[i], FeePPM: doc.FeeOf(id)})
			}
		}
	}
	return cutRows(all, after, limit, func(r ledger.CreditRow) string { return r.Block.Hash.String() })
}

// Payouts lists what the documents of payouts have of an account.
func (f *Store) Payouts(ctx context.Context, id pool.AccountID, after string, limit int) ([]ledger.PayoutRow, string, int, error) {
	if err := f.enter(ctx, "Payouts"); err != nil {
		return nil, "", 0, err
	}
	var all []ledger.PayoutRow
	for _, body := range f.bodies(payout.SetPayouts) {
		var doc payout.BatchDoc
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, "", 0, err
		}
		for _, y := range doc.Payees {
			if y.Account == id {
				all = append(all, ledger.PayoutRow{Payout: body, Amount: y.Amount})
			}
		}
	}
	return cutRows(all, after, limit, func(r ledger.PayoutRow) string { return string(r.Payout[:40]) })
}

func (f *Store) bodies(set string) (out []json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.Set[set] {
		out = append(out, d.Body)
	}
	return out
}

func cutRows[T any](all []T, after string, limit int, place func(T) string) ([]T, string, int, error) {
	from := 0
	if after != "" {
		at := slices.IndexFunc(all, func(r T) bool { return place(r) == after })
		if at < 0 {
			return nil, "", 0, ErrCursor
		}
		from = at + 1
	}
	to, next := min(from+limit, len(all)), ""
	if to < len(all) {
		next = place(all[to-1])
	}
	return all[from:to], next, len(all), nil
}

// Head answers as the store of a pool does.
func (f *Store) Head(ctx context.Context) (ledger.Head, error) {
	err := f.enter(ctx, "Head")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Ledger, err
}

// PoolHistory is the day by minutes, averaged to the step.
func (f *Store) PoolHistory(ctx context.Context, step time.Duration) ([]pool.HistoryPoint, error) {
	err := f.enter(ctx, "PoolHistory")
	f.mu.Lock()
	defer f.mu.Unlock()
	if step == time.Minute {
		return f.Pool.History, err
	}
	return thinned(f.Pool.History, step), err
}

func thinned(minutes []pool.HistoryPoint, step time.Duration) (out []pool.HistoryPoint) {
	every := int64(step / time.Second)
	for _, h := range minutes {
		begin := h.Time - h.Time%every
		if n := len(out); n == 0 || out[n-1].Time != begin {
			out = append(out, pool.HistoryPoint{Time: begin, Workers: h.Workers})
		}
		last := &out[len(out)-1]
		last.Hashrate += h.Hashrate * 60 / float64(every)
		last.Accepted += h.Accepted
	}
	return out
}

// AccountHistory is the account's day by ten minutes for every step.
func (f *Store) AccountHistory(ctx context.Context, id pool.AccountID, _ time.Duration) ([]pool.HistoryPoint, error) {
	err := f.enter(ctx, "AccountHistory")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Accounts[id].History, err
}

// WorkerHistory is a third of its account's.
func (f *Store) WorkerHistory(ctx context.Context, id pool.AccountID, _ string) ([]pool.HistoryPoint, error) {
	err := f.enter(ctx, "WorkerHistory")
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Clone(f.Accounts[id].History)
	for i := range out {
		out[i].Hashrate /= 3
	}
	return out, err
}

// Leaders are all accounts.
func (f *Store) Leaders(ctx context.Context, limit int) (rates, shares []pool.Leader, err error) {
	err = f.enter(ctx, "Leaders")
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, a := range f.Accounts {
		rates = append(rates, pool.Leader{Account: id, Address: a.View.Address, Value: a.View.Hashrate})
		shares = append(shares, pool.Leader{Account: id, Address: a.View.Address, Value: 0.0192})
	}
	slices.SortFunc(rates, func(a, b pool.Leader) int { return cmp.Compare(b.Value, a.Value) })
	slices.SortFunc(shares, func(a, b pool.Leader) int { return cmp.Compare(a.Address, b.Address) })
	return rates[:min(len(rates), limit)], shares[:min(len(shares), limit)], err
}

// Health answers as the store of a pool does.
func (f *Store) Health(ctx context.Context) error { return f.enter(ctx, "Health") }

// Add puts documents in front.
func (f *Store) Add(set, id string, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Set == nil {
		f.Set = make(map[string][]storedDoc)
	}
	f.Set[set] = append([]storedDoc{{id, body}}, f.Set[set]...)
	f.Ledger.Seq++
	f.Ledger.Hash = sha256.Sum256(append(f.Ledger.Hash[:], body...))
}

// NewStore fills a store with a pool that has been running for a day: as many found blocks as asked for,
// one every gap, and some payouts. addresses are its miners; script gives their output scripts.
func NewStore(id string, now time.Time, blocks int, gap time.Duration, addresses []string, script func(string) []byte) *Store {
	random := rand.New(rand.NewPCG(1, uint64(len(id))))
	f := &Store{Accounts: make(map[pool.AccountID]Account)}
	f.Ledger = ledger.Head{Seq: 4210, Term: 3}
	const height = 20_480
	const work = 131_072 * 60
	rate := func(t int64) float64 {
		day := float64(t%86400) / 86400
		return 41e3 * (1 + 0.25*math.Sin(2*math.Pi*day) + 0.1*math.Sin(14*math.Pi*day))
	}
	for t := now.Add(-24*time.Hour).Unix() / 60; t < now.Unix()/60; t++ {
		f.Pool.History = append(f.Pool.History, pool.HistoryPoint{Time: t * 60, Hashrate: rate(t*60) * (1 + 0.18*random.NormFloat64()), Workers: 6 + int(t/240%3), Accepted: 120})
	}
	f.Pool.Hashrate = rate(now.Unix())
	f.Pool.Miners, f.Pool.Workers, f.Pool.Sessions = len(addresses), 2*len(addresses)+1, 2*len(addresses)+2
	f.Pool.Height, f.Pool.NetworkDifficulty, f.Pool.NetworkWork = height, 1.831e-3, fmt.Sprint(work)
	f.Pool.JobTime = now.Add(-9 * time.Second).UnixMilli()
	f.Pool.Reported = now.Add(-3 * time.Second).UnixMilli()
	f.Pool.Accepted, f.Pool.Rejected = 184_203, map[string]uint64{"stale": 412, "low-difficulty": 31, "duplicate": 2}
	f.Pool.Nodes = []pool.NodeReport{
		{Name: "btcd-a", Up: true, Height: height - 1, Since: now.Add(-20 * time.Hour)},
		{Name: "btcd-b", Up: true, Height: height - 1, Since: now.Add(-2 * time.Hour)},
	}
	hash := func(what string, i int) pool.Hash { return sha256.Sum256([]byte(fmt.Sprint(id, what, i))) }
	ids := make([]pool.AccountID, len(addresses))
	for i, a := range addresses {
		ids[i] = pool.AccountOf(id, script(a))
		f.Add(ledger.SetAccounts, ids[i].String(), ledger.AccountDoc{Account: ids[i], Script: script(a), Address: a})
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
		d.Fee, d.Score = d.Value/100, pool.Work{Hi: 2000}
		left := d.Value - d.Fee
		for j, account := range ids {
			amount := left
			if j < len(ids)-1 {
				amount = (d.Value - d.Fee) * pool.Amount(weights[j]) / 1000
			}
			left -= amount
			d.Credits = append(d.Credits, pool.Credit{Account: account, Amount: amount})
			d.Scores = append(d.Scores, pool.Work{Hi: uint64(weights[j]) * 2})
		}
		if d.State != ledger.BlockSubmitted {
			d.Coinbase = &ledger.Coinbase{TxID: hash("coinbase", n), Outputs: []ledger.Output{{Value: d.Value, Script: []byte{0x51}}}}
		} else {
			d.Credits, d.Scores, d.Window = nil, nil, nil
		}
		f.Add(ledger.SetBlocks, d.Hash.String(), d)
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
		f.Add(payout.SetPayouts, d.ID, d)
	}
	for i, account := range ids {
		a := Account{Immature: pool.Amount(weights[i]) * 38_112_004, Available: pool.Amount(weights[i]) * 81_321,
			InPayout: pool.Amount(weights[i]) * 12_345_678, Paid: pool.Amount(weights[i]) * 49_382_712,
			Score: pool.Work{Hi: uint64(weights[i]) * 2}, Total: pool.Work{Hi: 2000}}
		part := float64(weights[i]) / 1000
		a.View = pool.AccountView{Account: account, Address: addresses[i], Hashrate: f.Pool.Hashrate * part, FiveMinutes: f.Pool.Hashrate * part * 0.96}
		for t := now.Add(-24*time.Hour).Unix() / 600; t < now.Unix()/600; t++ {
			a.History = append(a.History, pool.HistoryPoint{Time: t * 600, Hashrate: rate(t*600) * part * (1 + 0.06*random.NormFloat64()), Workers: 3, Accepted: 40, Rejected: map[string]uint64{"stale": uint64(t % 3)}})
		}
		a.View.Workers = []pool.WorkerView{
			{Name: "", Agent: "cpuminer/2.5.1", Hashrate: f.Pool.Hashrate * part * 0.1, Difficulty: 0.0000121, LastShare: now.Add(-4 * time.Minute).UnixMilli(), BestShare: 0.00041, Accepted: 1204},
			{Name: "garage", Agent: "adit/0.1.0", Hashrate: f.Pool.Hashrate * part * 0.6, Difficulty: 0.000488, LastShare: now.Add(-2 * time.Second).UnixMilli(), BestShare: 0.0192, Accepted: 40_211, Rejected: map[string]uint64{"stale": 120, "low-difficulty": 4}},
			{Name: "rig1", Agent: "bosminer-plus-tuner 2.0", Hashrate: f.Pool.Hashrate * part * 0.3, Difficulty: 0.000244, LastShare: now.Add(-11 * time.Second).UnixMilli(), BestShare: 0.0087, Accepted: 21_877, Rejected: map[string]uint64{"stale": 61}},
		}
		f.Accounts[account] = a
	}
	return f
}

func hash8(id string, i int) []byte {
	h := sha256.Sum256([]byte(fmt.Sprint(id, "batch", i)))
	return h[:]
}

// ID is the id of document i of a set, the newest being 0.
func (f *Store) ID(set string, i int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Set[set][i].ID
}
