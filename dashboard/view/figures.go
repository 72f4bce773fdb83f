package view

import (
	"math"
	"slices"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// effort estimates the work since the newest found block in expected blocks: 1 is par. Work is known in
// buckets of a minute, so nothing is said until ten minutes after a block, or when the chart does not
// reach from it to the present.
func effort(v *pool.PoolView, blocks []*ledger.BlockDoc, now time.Time) (float64, bool) {
	var found int64 // Unix seconds
	for _, b := range blocks {
		if b.State != ledger.BlockRejected {
			found = max(found, b.Time/1000)
		}
	}
	expected := ExpectedHashes(v)
	if found == 0 || expected == 0 || now.Unix()-found < 600 || len(v.History) == 0 || v.History[0].Time > found {
		return 0, false
	}
	var work float64
	end := found
	for _, h := range v.History {
		if part := min(h.Time+60-found, 60); part > 0 {
			work += h.Hashrate * float64(part)
			end = h.Time + 60
		}
	}
	if now.Unix()-end > 180 {
		return 0, false
	}
	work += v.Hashrate * float64(max(now.Unix()-end, 0))
	e := work / expected
	return e, e >= 0 && !math.IsInf(e, 0) && !math.IsNaN(e)
}

// trivial reports a chain, such as a development one, where a block takes hardly more work than a share of
// the last hour: what its shares are worth then says nothing about how many blocks were to be expected.
func trivial(v *pool.PoolView) bool {
	var work float64
	var shares uint64
	for _, h := range v.History[max(len(v.History)-60, 0):] {
		work += h.Hashrate * 60
		shares += h.Accepted
	}
	expected := ExpectedHashes(v)
	return shares > 0 && expected > 0 && expected < 4*work/float64(shares)
}

// ExpectedHashes is the network's expected number of hashes per block, 0 when it is not known.
func ExpectedHashes(v *pool.PoolView) float64 {
	var w pool.Work
	if w.UnmarshalText([]byte(v.NetworkWork)) != nil {
		return 0
	}
	return w.Float64()
}

// Odds are the chances of one hashrate to find at least one block alone.
type Odds struct {
	Day, Month, Year float64 // probabilities; a month is 30 days, a year 365
	Seconds          float64 // mean time to a block, 0 when there is no hashrate
}

// OddsOf computes the chances; expected is the number of hashes that a block takes on average.
func OddsOf(hashrate, expected float64) (o Odds) {
	if !(hashrate > 0) || !(expected > 0) {
		return o
	}
	o.Seconds = expected / hashrate
	within := func(days float64) float64 { return -math.Expm1(-days * 86400 / o.Seconds) }
	return Odds{within(1), within(30), within(365), o.Seconds}
}

// Luck is how many blocks a stretch of time brought against what its work should have brought.
type Luck struct {
	Name      string
	Found     int     // blocks that stand in the chain, or may
	Expected  float64 // by the work of the pool in that time and the present difficulty
	Low, High float64 // of Found/Expected, within which 95 of 100 stretches lie when nothing is wrong
}

// Ratio is Found over Expected, 0 when nothing was to be expected.
func (l Luck) Ratio() float64 {
	if l.Expected <= 0 {
		return 0
	}
	return float64(l.Found) / l.Expected
}

// Odd reports a stretch whose luck is outside of the band.
func (l Luck) Odd() bool { return l.Expected > 0 && (l.Ratio() < l.Low || l.Ratio() > l.High) }

// LuckOf compares the blocks found since a moment with the work since then. history is the pool's, oldest
// first, step its length of a point. ok is false when the newest blocks at hand do not reach back so far.
func LuckOf(name string, since time.Time, history []pool.HistoryPoint, step time.Duration, blocks []*ledger.BlockDoc, all bool, expected float64) (l Luck, ok bool) {
	l.Name = name
	var work float64
	for _, h := range history {
		if h.Time >= since.Unix() {
			work += h.Hashrate * step.Seconds()
		}
	}
	if expected > 0 {
		l.Expected = work / expected
	}
	reached := all
	for _, b := range blocks {
		if b.Time < since.UnixMilli() {
			reached = true
			continue
		}
		if b.State != ledger.BlockRejected && b.State != ledger.BlockOrphaned {
			l.Found++
		}
	}
	if l.Expected > 0 {
		low, high := poissonBand(l.Expected)
		l.Low, l.High = float64(low)/l.Expected, float64(high)/l.Expected
	}
	return l, reached
}

// poissonBand returns the 2.5 % and 97.5 % quantiles of a Poisson distribution.
func poissonBand(mean float64) (low, high int) {
	if mean > 1000 {
		d := 1.96 * math.Sqrt(mean)
		return int(mean - d), int(math.Ceil(mean + d))
	}
	p := math.Exp(-mean)
	sum, k := p, 0
	for ; sum < 0.025; k++ {
		p *= mean / float64(k+1)
		sum += p
	}
	low = k
	for ; sum < 0.975 && k < 5000; k++ {
		p *= mean / float64(k+1)
		sum += p
	}
	return low, k
}

// Estimate is what the next block would bring an account, if it were found now.
type Estimate struct {
	Reward pool.Amount // of the newest credited block, taken for the next
	Share  float64     // of the window
	Fee    float64     // part of the reward
	Credit pool.Amount
	Every  float64 // seconds between blocks on average, 0 when unknown
}

// EstimateOf is the next credit of an account; ok is false when nothing can be said yet.
func (p *Pool) EstimateOf(snap *Snapshot, a *Account) (e Estimate, ok bool) {
	if a.Total.IsZero() {
		return e, false
	}
	for _, b := range snap.Blocks.Docs {
		if b.State == ledger.BlockImmature || b.State == ledger.BlockMature || b.State == ledger.BlockSubmitted {
			e.Reward = b.Reward()
			break
		}
	}
	e.Share = min(a.Score.Float64()/a.Total.Float64(), 1)
	e.Fee = float64(p.Now(snap).FeePPM) / 1e6
	e.Credit = pool.Amount(float64(e.Reward) * (1 - e.Fee) * e.Share)
	e.Every = OddsOf(snap.View.Hashrate, ExpectedHashes(&snap.View)).Seconds
	return e, e.Reward > 0
}

// Finite makes a statistic fit for showing.
func Finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// luckBlocks is how many of the newest blocks luck looks at.
const luckBlocks = 500

// Luck compares blocks with work over a day, a week and 30 days. A window that the newest 500 blocks do
// not reach back over, or that is longer than the pool's history, is left out. On a trivial chain there is none.
func (p *Pool) Luck(snap *Snapshot) ([]Luck, error) {
	if snap.Trivial {
		return nil, nil
	}
	step := PoolSteps[1]
	history, err := p.PoolHistory(step)
	if err != nil {
		return nil, err
	}
	if len(history) == 0 {
		return nil, nil
	}
	rows, err := p.Blocks.Page(snap, "", luckBlocks)
	if err != nil {
		return nil, err
	}
	now := p.board.now()
	var out []Luck
	for _, w := range []struct {
		name string
		span time.Duration
	}{{"24h", day}, {"7d", 7 * day}, {"30d", 30 * day}} {
		since := now.Add(-w.span)
		if first := time.Unix(history[0].Time, 0); since.Before(first) {
			since = first
		}
		if l, ok := LuckOf(w.name, since, history, step.Every, rows.Docs, rows.Next == "", ExpectedHashes(&snap.View)); ok {
			out = append(out, l)
		}
	}
	return out, nil
}

// Efforts are the works that blocks, newest first, took since the one before each, in expected blocks at
// their own difficulty; below 0 where it cannot be told: the history does not reach there, or its points
// are too coarse for blocks so close together, or the chain is trivial.
func (p *Pool) Efforts(snap *Snapshot, docs []*ledger.BlockDoc) []float64 {
	if snap.Trivial {
		return slices.Repeat([]float64{-1}, len(docs))
	}
	fine, err1 := p.PoolHistory(PoolSteps[0])
	coarse, err2 := p.PoolHistory(PoolSteps[1])
	out := make([]float64, len(docs))
	for i, d := range docs {
		out[i] = -1
		t, err := pool.TargetFromBits(d.Bits)
		if err != nil || err1 != nil || err2 != nil || i+1 >= len(docs) {
			continue
		}
		expected := t.Work().Float64()
		for _, h := range []struct {
			points []pool.HistoryPoint
			step   int64
		}{{fine, 60}, {coarse, 600}} {
			if work, ok := workBetween(h.points, h.step, docs[i+1].Time/1000, d.Time/1000); ok && expected > 0 {
				out[i] = work / expected
				break
			}
		}
	}
	return out
}

// workBetween sums work from one second to another; points count in part.
func workBetween(points []pool.HistoryPoint, step, from, to int64) (work float64, ok bool) {
	if len(points) == 0 || points[0].Time > from || to-from < 2*step || points[len(points)-1].Time+step < to {
		return 0, false
	}
	for _, h := range points {
		if part := min(h.Time+step, to) - max(h.Time, from); part > 0 {
			work += h.Hashrate * float64(part)
		}
	}
	return work, true
}
