package pool

import (
	"math/rand/v2"
	"testing"
	"time"
)

// simulate mines at a hashrate (difficulty units a second) and returns the difficulty reached and the
// number of changes in the second half.
func simulate(rate float64, start Difficulty, l Limits, d time.Duration, seed uint64) (Difficulty, int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	now := toyNow
	end := now.Add(d)
	var v Vardiff
	v.Assigned(now)
	assigned, late := start, 0
	change := func() {
		if next, ok := v.Next(now, assigned, l); ok {
			assigned = l.Clamp(next, 0, 1e15)
			v.Assigned(now)
			if now.After(toyNow.Add(d / 2)) {
				late++
			}
		}
	}
	timer := now.Add(10 * time.Second)
	for now.Before(end) {
		wait := time.Duration(rng.ExpFloat64() * float64(assigned) / rate * float64(time.Second))
		share := now.Add(wait)
		for timer.Before(share) && timer.Before(end) {
			now = timer
			timer = timer.Add(10 * time.Second)
			before := assigned
			if change(); assigned != before { // a new job: the wait starts again
				share = now.Add(time.Duration(rng.ExpFloat64() * float64(assigned) / rate * float64(time.Second)))
			}
		}
		now = share
		v.Share(now, assigned)
		change()
	}
	return assigned, late
}

func TestVardiffConverges(t *testing.T) {
	l := Limits{Min: 1e-6, Max: 1e12, SharesPerMinute: 12}
	for _, c := range []struct {
		name  string
		rate  float64 // difficulty a second
		start Difficulty
	}{
		{"asic from low", 60000, 1000},
		{"asic from high", 60000, 1e7},
		{"usb stick", 0.001, 1},
		{"farm proxy", 5e6, 16},
	} {
		for seed := range uint64(5) {
			got, late := simulate(c.rate, c.start, l, 30*time.Minute, seed)
			want := c.rate * 60 / l.SharesPerMinute
			if ratio := float64(got) / want; ratio < 0.4 || ratio > 2.5 {
				t.Errorf("%s, seed %d: difficulty %v, aim %.6g", c.name, seed, got, want)
			}
			if late > 12 {
				t.Errorf("%s, seed %d: %d changes in 15 minutes of steady mining", c.name, seed, late)
			}
		}
	}
}

func TestVardiffPinned(t *testing.T) {
	var v Vardiff
	v.Assigned(toyNow)
	for range 1000 {
		v.Share(toyNow.Add(time.Second), 5)
	}
	for _, l := range []Limits{{Min: 5, Max: 5, SharesPerMinute: 10}, {Min: 1, Max: 10}} {
		if d, ok := v.Next(toyNow.Add(time.Minute), 5, l); ok || d != 5 {
			t.Errorf("%+v: changed to %v", l, d)
		}
	}
}

func TestVardiffLowersTheSilent(t *testing.T) {
	var v Vardiff
	v.Assigned(toyNow)
	l := Limits{Min: 1, Max: 1e6, SharesPerMinute: 10}
	if _, ok := v.Next(toyNow.Add(10*time.Second), 1000, l); ok {
		t.Error("lowered after ten seconds")
	}
	if d, ok := v.Next(toyNow.Add(time.Minute), 1000, l); !ok || d != 125 {
		t.Errorf("after a minute of silence: %v %v", d, ok)
	}
}

func TestClamp(t *testing.T) {
	l := Limits{Min: 2, Max: 100}
	f := func(wanted, minimum, network, want Difficulty) {
		t.Helper()
		if got := l.Clamp(wanted, minimum, network); got != want {
			t.Errorf("Clamp(%v, %v, %v) = %v, want %v", wanted, minimum, network, got, want)
		}
	}
	f(50, 0, 1000, 50)
	f(1, 0, 1000, 2)
	f(500, 0, 1000, 100)
	f(50, 0, 10, 10) // never above the network
	f(50, 0, 0.1, 2) // but never below the listener
	f(5, 20, 1000, 20)
	f(5, 500, 1000, 100)
	f(50, 60, 10, 10)
}
