package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/adit-pool/adit/pool"
)

const (
	notesTTL = 90 * 24 * time.Hour // after the last login that noted something
	maxNoted = 64                  // notes kept an account, the newest
)

// KeepNotes keeps what rigs asked for their accounts, in place of what the same worker asked of that kind
// before.
func (p *Pool) KeepNotes(ctx context.Context, notes []pool.Note) error {
	pipe := p.r.client.Pipeline()
	lengths := make(map[pool.AccountID]*goredis.IntCmd)
	for i := range notes {
		n := &notes[i]
		body, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("keep the notes of rigs: %w", err)
		}
		key := p.k.notes(n.Account)
		pipe.HSet(ctx, key, string(n.Kind)+":"+nameHash(n.Worker), body)
		pipe.PExpire(ctx, key, notesTTL)
		lengths[n.Account] = pipe.HLen(ctx, key)
		if pipe.Len() >= 1000 {
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("keep the notes of rigs: %w", err)
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("keep the notes of rigs: %w", err)
	}
	for account, n := range lengths {
		if n.Val() <= maxNoted {
			continue
		}
		list, err := p.allNotes(ctx, account)
		if err != nil {
			return err
		}
		var gone []string
		for _, n := range list[min(len(list), maxNoted):] {
			gone = append(gone, string(n.Kind)+":"+nameHash(n.Worker))
		}
		if len(gone) > 0 {
			if err := p.r.client.HDel(ctx, p.k.notes(account), gone...).Err(); err != nil {
				return fmt.Errorf("keep the notes of account %s: %w", account, err)
			}
		}
	}
	return nil
}

// Notes are what an account's rigs asked for, the newest first: payout limits of the last 90 days, and codes that
// still count.
func (p *Pool) Notes(ctx context.Context, account pool.AccountID) ([]pool.Note, error) {
	list, err := p.allNotes(ctx, account)
	if err != nil {
		return nil, err
	}
	now := p.r.now()
	return slices.DeleteFunc(list, func(n pool.Note) bool {
		return n.Kind == pool.NoteCode && now.Sub(time.UnixMilli(n.Time)) > pool.CodeKept
	}), nil
}

// allNotes are the notes that are there, the newest first.
func (p *Pool) allNotes(ctx context.Context, account pool.AccountID) ([]pool.Note, error) {
	fields, err := p.r.client.HVals(ctx, p.k.notes(account)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the notes of account %s: %w", account, err)
	}
	list := make([]pool.Note, 0, len(fields))
	for _, body := range fields {
		n := pool.Note{Account: account}
		if err := json.Unmarshal([]byte(body), &n); err != nil {
			return nil, fmt.Errorf("read the notes of account %s: %w", account, err)
		}
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b pool.Note) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), strings.Compare(a.Worker, b.Worker), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return list, nil
}
