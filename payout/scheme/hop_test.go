package scheme_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/adit-pool/adit/payout/scheme/pplns"
	"github.com/adit-pool/adit/payout/scheme/prop"
	"github.com/adit-pool/adit/pool"
)

// hopping simulates a pool: one miner stays, another mines only while the round is young. A step is one
// share; the network's difficulty changes at random times. It returns what each got for a unit of score,
// in blocks, batch by batch.
func hopping(t *testing.T, s pool.Scheme, seed uint64) (stays, hops []float64) {
	t.Helper()
	stayer, hopper := pool.AccountID{1}, pool.AccountID{2}
	random := rand.New(rand.NewPCG(seed, 1))
	const (
		batches = 60
		blocks  = 150 // of a batch
		reward  = 1_000_000_000
	)
	for range batches {
		var chain []*pool.Slice // a slice a share
		var paid, work [3]float64
		perBlock := 60.0 // shares
		fill := func(who int, score pool.Work, block bool) {
			chain = append(chain, &pool.Slice{
				Number: uint64(len(chain)) + 1, Score: score, Block: block,
				Weight: []pool.Weight{{Account: pool.AccountID{byte(who)}, Score: score}},
			})
		}
		expected := 0.0 // blocks of work in the round so far
		for found := 0; found < blocks; {
			if random.Float64() < 0.002 {
				perBlock = 30 + 60*random.Float64() // a retarget
			}
			score := pool.Work{Lo: uint64(math.Ldexp(1/perBlock, 64))}
			who := 1
			if expected < 0.43 && random.Float64() < 0.5 { // young: Rosenfeld's threshold
				who = 2
			}
			block := random.Float64() < 1/perBlock
			fill(who, score, block)
			expected += 1 / perBlock
			// What is found before a window can be full is not counted: both are paid too much there.
			counts := found >= 20 && found < blocks-20
			if counts {
				work[who] += 1 / perBlock
			}
			if !block {
				continue
			}
			found++
			expected = 0
			i := len(chain)
			w, err := s.Window(func() (*pool.Slice, error) {
				if i == 0 {
					return nil, nil
				}
				i--
				return chain[i], nil
			})
			if err != nil {
				t.Fatal(err)
			}
			sums := make(pool.Sums)
			for number := w.First; number != 0 && number <= w.Last; number++ {
				rest := chain[number-1].Score
				if number == w.First {
					rest = w.Rest
				}
				if err := sums.Add(chain[number-1], rest); err != nil {
					t.Fatal(err)
				}
			}
			w.Weight = sums.Weights()
			split, err := s.Split(&w, reward, 0)
			if err != nil {
				t.Fatal(err)
			}
			if counts {
				for _, c := range split.Credits {
					switch c.Account {
					case stayer:
						paid[1] += float64(c.Amount) / reward
					case hopper:
						paid[2] += float64(c.Amount) / reward
					}
				}
			}
		}
		stays, hops = append(stays, paid[1]/work[1]), append(hops, paid[2]/work[2])
	}
	return stays, hops
}

// advantage is the mean of hops - stays and its standard error.
func advantage(stays, hops []float64) (mean, deviation float64) {
	for i := range hops {
		mean += (hops[i] - stays[i]) / float64(len(hops))
	}
	for i := range hops {
		d := hops[i] - stays[i] - mean
		deviation += d * d / float64(len(hops)-1)
	}
	return mean, math.Sqrt(deviation / float64(len(hops)))
}

// Coming only to young rounds gains nothing under PPLNS. Under PROP it does, which shows that the test
// can tell.
func TestHopping(t *testing.T) {
	const seed = 20_261_122
	two, err := pplns.New("2")
	if err != nil {
		t.Fatal(err)
	}
	mean, deviation := advantage(hopping(t, two, seed))
	t.Logf("pplns: the hopper earns %+.4f ± %.4f blocks per block's work", mean, deviation)
	if math.Abs(mean) > 3*deviation {
		t.Errorf("pplns: hopping changes what a hash earns by %.4f ± %.4f", mean, deviation)
	}
	mean, deviation = advantage(hopping(t, prop.Scheme{}, seed))
	t.Logf("prop: the hopper earns %+.4f ± %.4f blocks per block's work", mean, deviation)
	if mean < 5*deviation || mean < 0.1 {
		t.Errorf("prop: hopping gains only %.4f ± %.4f: this test could not find a scheme that can be hopped", mean, deviation)
	}
}
