package ledger

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	schemes "github.com/adit-pool/adit/payout/scheme/all"
	"github.com/adit-pool/adit/pool"
	books "github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/redis"
	"github.com/adit-pool/adit/pool/settle"
	"github.com/adit-pool/adit/pool/slice"
)

// bookkeeper is the ledger role of a run.
type bookkeeper struct {
	redis   *redis.Redis
	pool    *redis.Pool
	book    *books.Book
	settler *settle.Settler
	folded  atomic.Uint64 // sequence up to which the settler asked for no more
}

// openSettler opens a ledger role whose window is n blocks of work.
func (b *bench) openSettler(ctx context.Context, dir string, chain pool.Chain, node pool.Node, n string) (_ *bookkeeper, err error) {
	k := &bookkeeper{}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	if k.redis, k.pool, err = b.connect(ctx); err != nil {
		return nil, err
	}
	if k.book, err = books.Open(books.Options{Dir: filepath.Join(dir, "ledger"), Pool: poolID, Log: b.o.Log}); err != nil {
		return nil, err
	}
	scheme, err := schemes.Find("pplns", n)
	if err != nil {
		return nil, err
	}
	k.settler, err = settle.New(settle.Options{
		Pool: poolID, Chain: chain, Node: node, Book: k.book, Dir: filepath.Join(dir, "slices"),
		Streams: streams{k.pool, &k.folded}, Mirror: k.pool, Windows: k.pool, Scheme: scheme, FeePPM: 10_000,
		RewardScript: rewardScript, Allocations: filepath.Join(dir, "allocations"), Log: b.o.Log,
	})
	return k, err
}

func (k *bookkeeper) close() error {
	var err error
	if k.settler != nil {
		err = k.settler.Close()
	}
	if k.book != nil {
		err = errors.Join(err, k.book.Close())
	}
	if k.redis != nil {
		err = errors.Join(err, k.redis.Close())
	}
	return err
}

// await polls until ok is true.
func (k *bookkeeper) await(ctx context.Context, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return errors.New("the settler does not get there within five minutes")
		case <-tick.C:
		}
	}
	return nil
}

// streams notes how far the settler has read: what it asks to come after is folded.
type streams struct {
	*redis.Pool
	folded *atomic.Uint64
}

// Read implements [settle.Streams].
func (s streams) Read(ctx context.Context, id slice.StreamID, afterSeq uint64, limit int) ([][]byte, error) {
	s.folded.Store(afterSeq)
	return s.Pool.Read(ctx, id, afterSeq, limit)
}
