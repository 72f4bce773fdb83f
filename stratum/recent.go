package stratum

import "sync"

// recent is a bounded table of what was put in of late: between limit and twice that many entries.
type recent[K comparable, V any] struct {
	limit int // static

	mu         sync.Mutex // guards all below
	young, old map[K]V
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, young: make(map[K]V)}
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store(k, v)
}

// store is put. Caller holds mu.
func (r *recent[K, V]) store(k K, v V) {
	if _, there := r.young[k]; !there && len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[K]V)
	}
	r.young[k] = v
}

// change puts what f makes of the value that is there, which may be the zero value, and returns it.
func (r *recent[K, V]) change(k K, f func(V) V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.young[k]
	if !ok {
		v = r.old[k]
	}
	v = f(v)
	r.store(k, v)
	return v
}

// get returns the value of k, or the zero value.
func (r *recent[K, V]) get(k K) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.young[k]; ok {
		return v
	}
	return r.old[k]
}

// each calls f for every entry, the youngest first, until f returns false.
func (r *recent[K, V]) each(f func(K, V) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.young {
		if !f(k, v) {
			return
		}
	}
	for k, v := range r.old {
		if _, newer := r.young[k]; !newer && !f(k, v) {
			return
		}
	}
}
