package redis

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/slice"
	goredis "github.com/redis/go-redis/v9"
)

// emptyStreamTTL is how long a stream without blocks stays: long enough to remember its last id for an
// edge that pauses. When it is gone, the edge sends its oldest block again.
const emptyStreamTTL = 7 * 24 * time.Hour

// Append puts journal blocks, each the next one of the one before, behind the block that ends with
// prevLast, if that is where the edge's stream ends: one entry a block, all of them or none. In any case it
// returns the sequence that the stream ends with now: another number than the last block's means that none
// was appended, and that the edge goes on behind the one returned. 0 is an empty stream: it takes any block
// as its first, with prevLast 0.
func (p *Pool) Append(ctx context.Context, edge string, epoch, prevLast uint64, blocks []journal.Block) (uint64, error) {
	at := prevLast
	for i := range blocks {
		if b := &blocks[i]; b.Last() <= at || b.Count <= 0 || len(b.Raw) == 0 {
			return 0, fmt.Errorf("append block %d..%d of epoch %016x behind %d: no new shares in it", b.First, b.Last(), epoch, at)
		}
		at = blocks[i].Last()
	}
	if len(blocks) == 0 {
		return 0, fmt.Errorf("append to epoch %016x behind %d: no blocks", epoch, prevLast)
	}
	return p.append(ctx, edge, epoch, prevLast, blocks)
}

// Register checks the stream of an epoch before its first block. The settler hears of it with that block.
func (p *Pool) Register(ctx context.Context, edge string, epoch uint64) error {
	_, err := p.Last(ctx, edge, epoch)
	return err
}

// Last is the sequence that a stream ends with, 0 for an empty one.
func (p *Pool) Last(ctx context.Context, edge string, epoch uint64) (uint64, error) {
	return p.append(ctx, edge, epoch, 0, nil)
}

func (p *Pool) append(ctx context.Context, edge string, epoch, prevLast uint64, blocks []journal.Block) (uint64, error) {
	args := make([]any, 0, 3+2*len(blocks))
	args = append(args, streamField(edge, epoch), strconv.FormatUint(prevLast, 10), emptyStreamTTL.Milliseconds())
	for i := range blocks {
		args = append(args, strconv.FormatUint(blocks[i].Last(), 10), blocks[i].Raw)
	}
	v, err := p.run(ctx, appendLua, []string{p.k.streams(), p.k.shares(epoch)}, args...)
	if err != nil {
		return 0, fmt.Errorf("append to the stream of edge %s, epoch %016x: %w", edge, epoch, err)
	}
	s, _ := v.(string)
	got, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("append to the stream of edge %s, epoch %016x: script answered %q", edge, epoch, s)
	}
	return got, nil
}

// Epochs lists the streams that ever had a block and are not gone.
func (p *Pool) Epochs(ctx context.Context) ([]slice.StreamID, error) {
	fields, err := p.r.client.HKeys(ctx, p.k.streams()).Result()
	if err != nil {
		return nil, fmt.Errorf("list the streams: %w", err)
	}
	pipe := p.r.client.Pipeline()
	ids := make([]slice.StreamID, len(fields))
	exists := make([]*goredis.IntCmd, len(fields))
	for i, f := range fields {
		if ids[i].Edge, ids[i].Epoch, err = parseStreamField(f); err != nil {
			return nil, fmt.Errorf("list the streams: %w", err)
		}
		exists[i] = pipe.Exists(ctx, p.k.shares(ids[i].Epoch))
	}
	if len(fields) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("list the streams: %w", err)
		}
	}
	keys, gone := []string{p.k.streams()}, []any{}
	var present []slice.StreamID
	for i, id := range ids {
		if exists[i].Val() == 1 {
			present = append(present, id)
			continue
		}
		keys, gone = append(keys, p.k.shares(id.Epoch)), append(gone, fields[i])
	}
	if len(gone) > 0 {
		if _, err := p.run(ctx, forgetLua, keys, gone...); err != nil {
			return nil, fmt.Errorf("forget streams that are gone: %w", err)
		}
	}
	return present, nil
}

// Read returns up to limit blocks whose last sequence is above afterSeq, oldest first.
func (p *Pool) Read(ctx context.Context, id slice.StreamID, afterSeq uint64, limit int) ([][]byte, error) {
	if afterSeq == math.MaxUint64 || limit <= 0 {
		return nil, nil
	}
	from := strconv.FormatUint(afterSeq+1, 10) + "-0"
	messages, err := p.r.client.XRangeN(ctx, p.k.shares(id.Epoch), from, "+", int64(limit)).Result()
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", id, err)
	}
	blocks := make([][]byte, len(messages))
	for i, m := range messages {
		b, ok := m.Values["b"].(string)
		if !ok {
			return nil, fmt.Errorf("read stream %s: entry %s holds no block", id, m.ID)
		}
		blocks[i] = []byte(b)
	}
	return blocks, nil
}

// Trim deletes the blocks up to a sequence that the ledger has. A stream that does not reach that far was
// rolled back: it is dropped, so that the edge sends from its oldest block.
func (p *Pool) Trim(ctx context.Context, id slice.StreamID, throughSeq uint64) error {
	if throughSeq == math.MaxUint64 {
		return fmt.Errorf("trim stream %s: no sequence is that high", id)
	}
	_, err := p.runFenced(ctx, trimLua, []string{p.k.streams(), p.k.shares(id.Epoch)}, streamField(id.Edge, id.Epoch),
		strconv.FormatUint(throughSeq, 10), strconv.FormatUint(throughSeq+1, 10), emptyStreamTTL.Milliseconds())
	if err != nil {
		return fmt.Errorf("trim stream %s: %w", id, err)
	}
	return nil
}
