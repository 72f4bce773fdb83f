package pool

import (
	"errors"
	"testing"
)

func smallEngine(t *testing.T, scheme SchemeID, extranonces uint32) *Engine {
	t.Helper()
	e, err := NewEngine(EngineConfig{
		PoolID: "toy", Chain: newToyChain(), Scheme: scheme, Tag: "/adit/", Epoch: 7,
		RewardScript: []byte("reward"), Extranonces: extranonces,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// When all extranonce1 values are given out another space begins: who can take another value gets one with
// the next job, its old jobs stay valid, and nobody else's work is ever given out again.
func TestAnotherSpace(t *testing.T) {
	for _, scheme := range []SchemeID{SchemePPLNS, SchemeSOLO} {
		e := smallEngine(t, scheme, 2)
		first := setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
		a, b := toySession(t, e, fixed64, "alice"), toySession(t, e, fixed64, "bob")
		a.Movable = true
		old, last := issue(t, e, a, 64), issue(t, e, b, 64)
		sent := find(e, a, old, old.Target, first.NetworkTarget)
		c := toySession(t, e, fixed64, "carol")
		if c.Space == a.Space || e.Current().ID == first.ID || e.Current().Template != first.Template {
			t.Fatalf("%v: no other space: %x", scheme, c.Space)
		}
		newest := issue(t, e, c, 64)
		moved := issue(t, e, a, 64)
		if a.Space != c.Space || moved.Extranonce1 == newest.Extranonce1 || !moved.Clean {
			t.Errorf("%v: moved to %x/%d beside %x/%d, clean %v", scheme, a.Space, moved.Extranonce1, c.Space, newest.Extranonce1, moved.Clean)
		}
		if v := e.Submit(a, sent, toyNow); v.Reject != Accepted {
			t.Errorf("%v: a share of the extranonce1 of before: %v", scheme, v.Reject)
		}
		if v := e.Submit(a, find(e, a, moved, moved.Target, first.NetworkTarget), toyNow); v.Reject != Accepted {
			t.Errorf("%v: a share of the new one: %v", scheme, v.Reject)
		}
		if _, _, err := e.Issue(b, toyNow); !errors.Is(err, ErrMoved) {
			t.Errorf("%v: a miner that cannot move: %v", scheme, err)
		}
		if v := e.Submit(b, find(e, b, last, last.Target, first.NetworkTarget), toyNow); v.Reject != Accepted {
			t.Errorf("%v: its share: %v", scheme, v.Reject)
		}
		back := toySession(t, e, fixed64, "bob")
		fresh := back.Extranonce1
		back.Resume(b)
		if is := issue(t, e, back, 64); is.Extranonce1 != fresh || is.Extranonce1 == moved.Extranonce1 {
			t.Errorf("%v: back with %d, had %d", scheme, is.Extranonce1, fresh)
		}
	}
}

// A coinbase that this kind of miner cannot take is not given to it.
func TestMaxCoinbase(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	j := setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
	s := toySession(t, e, fixed64, "alice")
	s.MaxCoinbase = j.CoinbaseSize()
	issue(t, e, s, 64)
	s.MaxCoinbase--
	if _, _, err := e.Issue(s, toyNow); !errors.Is(err, ErrMaxCoinbase) {
		t.Errorf("got %v", err)
	}
}

// What a kind of miner needs counts where listener and network reach it, and the miner's own wish above it.
func TestLeast(t *testing.T) {
	f := func(least, minimum Difficulty, l Limits, network, want Difficulty) {
		t.Helper()
		s := &Session{Wanted: 1, Least: least, Minimum: minimum, Limits: l}
		if got := s.Assignable(network); got != want {
			t.Errorf("least %v, minimum %v, network %v: %v, want %v", least, minimum, network, got, want)
		}
	}
	wide := Limits{Min: 1, Max: 1 << 30}
	f(500_000, 0, wide, 1<<40, 500_000)
	f(500_000, 0, wide, 1000, 1)
	f(500_000, 0, Limits{Min: 1, Max: 1000}, 1<<40, 1)
	f(500_000, 600_000, wide, 1<<40, 600_000)
	f(500_000, 8, wide, 1<<40, 500_000)
}
