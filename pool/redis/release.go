package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
	goredis "github.com/redis/go-redis/v9"
)

// releaseChunk is how many streams one call tells of.
const releaseChunk = 1000

// PublishReleases tells edges up to which sequence of each stream their shares are on the ledger's disks.
func (p *Pool) PublishReleases(ctx context.Context, through map[slice.StreamID]uint64) error {
	var args []any
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		_, err := p.runFenced(ctx, releasedLua, []string{p.k.released()}, args...)
		args = args[:0]
		return err
	}
	for id, seq := range through {
		args = append(args, streamField(id.Edge, id.Epoch), strconv.FormatUint(seq, 10))
		if len(args) >= 2*releaseChunk {
			if err := flush(); err != nil {
				return fmt.Errorf("tell edges what was settled: %w", err)
			}
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("tell edges what was settled: %w", err)
	}
	return nil
}

// Releases is all that edges were told, as far as this server knows.
func (p *Pool) Releases(ctx context.Context) (map[slice.StreamID]uint64, error) {
	fields, err := p.r.client.HGetAll(ctx, p.k.released()).Result()
	if err != nil {
		return nil, fmt.Errorf("read what edges were told: %w", err)
	}
	through := make(map[slice.StreamID]uint64, len(fields))
	for field, v := range fields {
		edge, epoch, err := parseStreamField(field)
		if err != nil {
			return nil, fmt.Errorf("read what edges were told: %w", err)
		}
		if through[slice.StreamID{Edge: edge, Epoch: epoch}], err = strconv.ParseUint(v, 10, 64); err != nil {
			return nil, fmt.Errorf("read what edges were told of %s: %w", field, err)
		}
	}
	return through, nil
}

// Released is what one edge was told of its epochs, 0 where nothing is known.
func (p *Pool) Released(ctx context.Context, edge string, epochs []uint64) ([]uint64, error) {
	fields := make([]string, len(epochs))
	for i, epoch := range epochs {
		fields[i] = streamField(edge, epoch)
	}
	through := make([]uint64, len(epochs))
	err := p.ofThisServer(ctx, p.k.released(), fields, func(i int, v string) (err error) {
		through[i], err = strconv.ParseUint(v, 10, 64)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was settled of edge %s: %w", edge, err)
	}
	return through, nil
}

// Settled says which blocks the ledger has.
func (p *Pool) Settled(ctx context.Context, blocks []pool.Hash) ([]bool, error) {
	fields := make([]string, len(blocks))
	for i, b := range blocks {
		fields[i] = b.String()
	}
	known := make([]bool, len(blocks))
	err := p.ofThisServer(ctx, p.k.docs(ledger.SetBlocks), fields, func(i int, _ string) error {
		known[i] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask for settled blocks: %w", err)
	}
	return known, nil
}

// ofThisServer shows the fields that a hash has, if the server is the one that was meant.
func (p *Pool) ofThisServer(ctx context.Context, key string, fields []string, show func(i int, v string) error) error {
	if len(fields) == 0 {
		return nil
	}
	pipe := p.r.client.TxPipeline()
	identity := pipe.HGet(ctx, p.k.meta(), "identity")
	values := pipe.HMGet(ctx, key, fields...)
	if _, err := pipe.Exec(ctx); err != nil && err != goredis.Nil {
		return err
	}
	if identity.Err() == goredis.Nil { // emptied: it knows nothing
		return nil
	}
	if identity.Val() != p.identity {
		return ErrWrongServer
	}
	for i, v := range values.Val() {
		if s, ok := v.(string); ok {
			if err := show(i, s); err != nil {
				return err
			}
		}
	}
	return nil
}
