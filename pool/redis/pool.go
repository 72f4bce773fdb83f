package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/adit-pool/adit/pool/edge"
	"github.com/adit-pool/adit/pool/settle"
	goredis "github.com/redis/go-redis/v9"
)

// Pool is one pool's part of a server. It is safe for concurrent use.
type Pool struct {
	r        *Redis
	id       string
	k        keys
	identity string // of the server, as written once in meta
	chunk    int    // maxChanges

	held     atomic.Pointer[string] // token and owner of the lease that was taken last
	gathered collector              // what reports said and the histories do not have yet
}

var (
	_ edge.Stream     = (*Pool)(nil)
	_ edge.Candidates = (*Pool)(nil)
	_ edge.Reports    = (*Pool)(nil)
	_ edge.Ledger     = (*Pool)(nil)
	_ settle.Streams  = (*Pool)(nil)
	_ settle.Mirror   = (*Pool)(nil)
	_ settle.Windows  = (*Pool)(nil)
)

// Pool opens the part of the pool with the given id. known is what [Pool.Identity] was the last time, ""
// at the first: a server that carries another identity is another server, and is refused with
// ErrWrongServer. A server that carries none (new, or emptied) is given known, or a fresh one.
func (r *Redis) Pool(ctx context.Context, id, known string) (*Pool, error) {
	if !validPoolID(id) {
		return nil, fmt.Errorf("open pool %q in redis: id is not [a-z0-9-]{1,32}", id)
	}
	p := &Pool{r: r, id: id, k: poolKeys(id), chunk: maxChanges}
	fresh := known
	if fresh == "" {
		fresh = randomText(16)
	}
	pipe := r.client.TxPipeline()
	pipe.HSetNX(ctx, p.k.meta(), "identity", fresh)
	pipe.HSetNX(ctx, p.k.meta(), "format", formatVersion)
	got := pipe.HMGet(ctx, p.k.meta(), "identity", "format")
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("open pool %s in redis: %w", id, err)
	}
	p.identity = text(got.Val(), 0)
	if known != "" && p.identity != known {
		return nil, fmt.Errorf("open pool %s: %w: it says %.8s…, want %.8s…; correct the url, or remove the "+
			"stored identity if the server was replaced on purpose", id, ErrWrongServer, p.identity, known)
	}
	was := text(got.Val(), 1)
	if err := checkFormat(was); err != nil {
		return nil, fmt.Errorf("open pool %s: %w", id, err)
	}
	if was != formatVersion {
		if err := r.client.HSet(ctx, p.k.meta(), "format", formatVersion).Err(); err != nil {
			return nil, fmt.Errorf("raise the format of pool %s in redis: %w", id, err)
		}
	}
	return p, nil
}

// checkFormat refuses versions above ours.
func checkFormat(s string) error {
	got, err := strconv.Atoi(s)
	ours, _ := strconv.Atoi(formatVersion)
	if err != nil || got > ours {
		return fmt.Errorf("%w: format %q, this one knows up to %s", ErrFormat, s, formatVersion)
	}
	return nil
}

// Identity names the server. The caller keeps it with the pool's files and hands it in at the next start.
func (p *Pool) Identity() string { return p.identity }

// Health makes one round trip and checks that it is still the same server.
func (p *Pool) Health(ctx context.Context) error {
	got, err := p.r.client.HGet(ctx, p.k.meta(), "identity").Result()
	switch {
	case err == goredis.Nil: // emptied: the next write puts it back
		return nil
	case err != nil:
		return fmt.Errorf("reach redis: %w", err)
	case got != p.identity:
		return fmt.Errorf("%w: it says %.8s…, want %.8s…", ErrWrongServer, got, p.identity)
	}
	return nil
}

// text is element i of an answer as a string, "" when it is missing.
func text(v []any, i int) string {
	if i >= len(v) {
		return ""
	}
	s, _ := v[i].(string)
	return s
}
