package pool

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
)

// space is a set of work that no other edge or run has: an id that stands in every coinbase before
// extranonce1, and the extranonce1 values that were given out behind it. The first one's id is the
// journal's epoch; when its values are used up another begins, and every session is numbered anew with the
// next job.
type space struct {
	id   uint64        // static
	last atomic.Uint64 // extranonce1 given last
}

// number gives the next extranonce1; most is how many there are, 0 for all.
func (in *space) number(most uint32) (uint32, bool) {
	if most == 0 {
		most = math.MaxUint32
	}
	n := in.last.Add(1)
	return uint32(n), n <= uint64(most)
}

// number gives an extranonce1 of the newest space, and begins another one when that is used up.
func (e *Engine) number() (*space, uint32, error) {
	for {
		e.mu.Lock()
		in := e.space
		e.mu.Unlock()
		if n, ok := in.number(e.cfg.Extranonces); ok {
			return in, n, nil
		}
		if err := e.begin(in); err != nil {
			return nil, 0, err
		}
	}
}

// begin replaces a space that is used up, unless another call has done so, and makes the current job anew
// in the new one: extranonce1 values of two spaces never meet in one job.
func (e *Engine) begin(used *space) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.space != used {
		return nil
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	e.space = &space{id: binary.BigEndian.Uint64(id[:])}
	now := e.now.Load()
	if now == nil {
		return nil
	}
	again := *now.base
	if err := e.adopt(&again, again.Created); err != nil {
		return fmt.Errorf("begin another space of extranonce1 values: %w", err)
	}
	return nil
}
