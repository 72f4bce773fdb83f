package main

import (
	"maps"
	"sync"
	"sync/atomic"
)

// tally counts what a ledger role has told of, for its metrics.
type tally struct {
	differences atomic.Int64 // that the last comparison of ledger and node found

	mu     sync.Mutex
	events map[string]uint64 // guarded by mu
}

func newTally() *tally { return &tally{events: make(map[string]uint64)} }

func (t *tally) count(event string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events[event]++
}

func (t *tally) counts() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.events)
}
