package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	goredis "github.com/redis/go-redis/v9"
)

// ErrNoDoc reports a document that the mirror does not have.
var ErrNoDoc = errors.New("no such document")

// ErrCursor reports a place in a list that Docs never gave.
var ErrCursor = errors.New("no place in this list")

// Docs lists up to limit documents of a set, highest rank first, from behind the place that a former call
// gave as next; "" is the beginning, and as next the end. Places stay where they are when documents are
// added. total is how many there are in all.
func (p *Pool) Docs(ctx context.Context, set, after string, limit int) (docs []json.RawMessage, next string, total int, err error) {
	if limit < 1 {
		return nil, "", 0, fmt.Errorf("list documents %s: limit %d", set, limit)
	}
	rank, id, err := parsePlace(after)
	if err != nil {
		return nil, "", 0, fmt.Errorf("list documents %s: %w", set, err)
	}
	var rows []goredis.Z
	for want := limit + 1; ; want *= 2 { // more when many have the rank of the place
		pipe := p.r.client.Pipeline()
		count := pipe.ZCard(ctx, p.k.ranks(set))
		found := pipe.ZRevRangeByScoreWithScores(ctx, p.k.ranks(set), &goredis.ZRangeBy{Max: rank, Min: "-inf", Count: int64(want)})
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, "", 0, fmt.Errorf("list documents %s: %w", set, err)
		}
		total, rows = int(count.Val()), found.Val()
		full := len(rows) == want
		rows = slices.DeleteFunc(rows, func(z goredis.Z) bool {
			return after != "" && strconv.FormatInt(int64(z.Score), 10) == rank && z.Member.(string) >= id
		})
		if len(rows) > limit || !full {
			break
		}
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		next = strconv.FormatInt(int64(last.Score), 10) + "." + last.Member.(string)
	}
	if len(rows) == 0 {
		return nil, "", total, nil
	}
	ids := make([]string, len(rows))
	for i, z := range rows {
		ids[i] = z.Member.(string)
	}
	bodies, err := p.r.client.HMGet(ctx, p.k.docs(set), ids...).Result()
	if err != nil {
		return nil, "", 0, fmt.Errorf("read documents %s: %w", set, err)
	}
	for i := range bodies {
		if s := text(bodies, i); s != "" {
			docs = append(docs, json.RawMessage(s))
		}
	}
	return docs, next, total, nil
}

// parsePlace reads "rank.id"; "" is above every rank.
func parsePlace(s string) (rank, id string, err error) {
	if s == "" {
		return "+inf", "", nil
	}
	rank, id, _ = strings.Cut(s, ".")
	if n, err := strconv.ParseInt(rank, 10, 54); err != nil || strconv.FormatInt(n, 10) != rank || id == "" || len(id) > 80 {
		return "", "", fmt.Errorf("%w: %.100q", ErrCursor, s)
	}
	return rank, id, nil
}

// Doc is one document, or ErrNoDoc.
func (p *Pool) Doc(ctx context.Context, set, id string) (json.RawMessage, error) {
	s, err := p.r.client.HGet(ctx, p.k.docs(set), id).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, fmt.Errorf("read document %s/%.80q: %w", set, id, ErrNoDoc)
	}
	if err != nil {
		return nil, fmt.Errorf("read document %s/%.80q: %w", set, id, err)
	}
	return s, nil
}

// Balances are what a miner has, by the head that the mirror shows. paid is all that was ever sent.
func (p *Pool) Balances(ctx context.Context, id pool.AccountID) (immature, available, inPayout, paid pool.Amount, err error) {
	v, err := p.fields(ctx, string(ledger.MinerImmature(id)), string(ledger.MinerAvailable(id)),
		string(ledger.MinerInPayout(id)), paidField(id))
	if err != nil {
		return 0, 0, 0, 0, fmt.Errorf("read the balances of account %s: %w", id, err)
	}
	return v[0], v[1], v[2], v[3], nil
}

// Balance is the balance of one account of the book, by the head that the mirror shows.
func (p *Pool) Balance(ctx context.Context, a ledger.Account) (pool.Amount, error) {
	v, err := p.fields(ctx, string(a))
	if err != nil {
		return 0, fmt.Errorf("read the balance of %s: %w", a, err)
	}
	return v[0], nil
}

// fields reads balances at one instant, without what is pending.
func (p *Pool) fields(ctx context.Context, names ...string) ([]pool.Amount, error) {
	pipe := p.r.client.TxPipeline()
	sums := pipe.HMGet(ctx, p.k.balances(), names...)
	pending := pipe.HMGet(ctx, p.k.pending(), names...)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	out := make([]pool.Amount, len(names))
	for i := range names {
		sum, err := amount(text(sums.Val(), i))
		if err != nil {
			return nil, err
		}
		part, err := amount(text(pending.Val(), i))
		if err != nil {
			return nil, err
		}
		if out[i], err = sum.Sub(part); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func amount(s string) (pool.Amount, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("balance %.40q is not a whole number", s)
	}
	return pool.Amount(n), nil
}
