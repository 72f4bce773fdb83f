package view

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// memory remembers values for a while, and for as long as the store is away.
type memory[K comparable, V any] struct {
	pool  *Pool         // static
	fresh time.Duration // static
	most  int           // static

	flight singleflight.Group
	mu     sync.Mutex
	known  map[K]remembered[V] // guarded by mu
}

type remembered[V any] struct {
	at    time.Time
	value V
}

// get returns a value not older than fresh. When the read fails an older one is returned with the error;
// at is zero when there is none.
func (m *memory[K, V]) get(key K, read func(context.Context) (V, error)) (v V, at time.Time, err error) {
	m.mu.Lock()
	last := m.known[key]
	m.mu.Unlock()
	now := m.pool.board.now()
	if !last.at.IsZero() && now.Sub(last.at) < m.fresh {
		return last.value, last.at, nil
	}
	var got remembered[V]
	done := make(chan struct{})
	m.pool.board.loads.Go(func() {
		defer close(done)
		got, err = m.load(key, now, read)
	})
	wait := patience
	if last.at.IsZero() {
		wait = 2 * storeTime
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		return last.value, last.at, errSlow
	}
	if err != nil {
		return last.value, last.at, err
	}
	return got.value, got.at, nil
}

// errSlow reports a read that goes on behind the answer.
var errSlow = errors.New("the store is slow")

// load reads a value, once for all who ask for it at a time.
func (m *memory[K, V]) load(key K, now time.Time, read func(context.Context) (V, error)) (remembered[V], error) {
	got, err, _ := m.flight.Do(fmt.Sprint(key), func() (any, error) {
		m.mu.Lock()
		last := m.known[key]
		m.mu.Unlock()
		if !last.at.IsZero() && now.Sub(last.at) < m.fresh { // read since the caller looked
			return last, nil
		}
		var v V
		err := m.pool.call(func(ctx context.Context) (err error) {
			v, err = read(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.known == nil || len(m.known) >= m.most {
			m.known = make(map[K]remembered[V])
		}
		m.known[key] = remembered[V]{now, v}
		return remembered[V]{now, v}, nil
	})
	if err != nil {
		return remembered[V]{}, err
	}
	return got.(remembered[V]), nil
}
