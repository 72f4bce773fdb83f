package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	books "github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/redis"
)

// FoldReport is a settler at a stream that is full already, on one core.
type FoldReport struct {
	Shares    int           `json:"shares"`
	PerBlock  int           `json:"shares_per_journal_block"`
	Elapsed   time.Duration `json:"elapsed"`
	CPU       time.Duration `json:"cpu"`
	PerSecond float64       `json:"shares_per_second"`     // of the clock
	PerCore   float64       `json:"shares_per_cpu_second"` // of processor time
}

// BlockReport is the closing of a block: from the found block's message to credits that pages can show.
type BlockReport struct {
	New         time.Duration `json:"mirrored_new"` // Mirrored of the first block, whose accounts are all new
	Accounts    int           `json:"accounts"`
	Slices      uint64        `json:"slices"`       // in the window
	FirstSum    time.Duration `json:"first_sum"`    // of the window after a start, from memory and disk
	Submitted   time.Duration `json:"submitted"`    // the window is fixed and on disk
	Credited    time.Duration `json:"credited"`     // every account's credit is in the ledger, on disk
	Mirrored    time.Duration `json:"mirrored"`     // and in Redis
	RedisLong   time.Duration `json:"redis_long"`   // longest command meanwhile, by Redis' own clock
	RedisAnswer time.Duration `json:"redis_answer"` // longest that a PING waited meanwhile
}

// MemoryReport is what Redis holds when every share is folded.
type MemoryReport struct {
	Before     int64   `json:"before"` // bytes of the empty server
	After      int64   `json:"after"`
	PerAccount float64 `json:"per_account"`
}

const (
	foldEpoch  = 0x5eed
	foldSlices = 40 // that the stream gives
	fillBytes  = 1 << 20
)

// foldBits is the network difficulty at which shares of the least work make foldSlices slices.
func foldBits(shares int) (bits uint32, err error) {
	work := pool.WorkOf(uint64(shares) * 1024 / foldSlices)
	for exponent := uint32(0x20); exponent > 3; exponent-- {
		for mantissa := uint32(0x7fffff); mantissa >= 0x8000; mantissa -= 0x4000 {
			target, err := pool.TargetFromBits(exponent<<24 | mantissa)
			if err != nil {
				continue
			}
			if target.Work().Cmp(work) >= 0 {
				return exponent<<24 | mantissa, nil
			}
		}
	}
	return 0, fmt.Errorf("no difficulty makes %d slices of %d shares", foldSlices, shares)
}

// fill writes shares of accounts into one stream, as an edge would have, each account in turn.
func fill(ctx context.Context, p *redis.Pool, accounts, shares, perBlock int, bits uint32) error {
	owners := make([]pool.Share, accounts)
	for i := range owners {
		s := script(i)
		owners[i] = pool.Share{
			Account: pool.AccountOf(poolID, s), Script: s, Worker: "rig", Scheme: pool.SchemePPLNS,
			Issued: pool.WorkOf(1), Credit: pool.WorkOf(1), Bits: bits, Job: 1,
		}
	}
	var encoder journal.Encoder
	var link [32]byte
	var blocks []journal.Block
	bytes, sent := 0, uint64(0)
	flush := func() error {
		if len(blocks) == 0 {
			return nil
		}
		last := blocks[len(blocks)-1].Last()
		got, err := p.Append(ctx, "edge-1", foldEpoch, sent, blocks)
		if err == nil && got != last {
			err = fmt.Errorf("stream ends at %d, not %d", got, last)
		}
		sent, blocks, bytes = last, nil, 0
		return err
	}
	group := make([]pool.Share, 0, perBlock)
	for n := 0; n < shares; {
		group = group[:0]
		first := uint64(n) + 1
		for ; n < shares && len(group) < perBlock; n++ {
			s := owners[n%accounts]
			s.Time = 1_700_000_000_000 + int64(n)
			s.Hash = [16]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
			group = append(group, s)
		}
		raw, err := encoder.Encode(nil, poolID, foldEpoch, first, link, group)
		if err != nil {
			return err
		}
		block := journal.Block{Pool: poolID, Epoch: foldEpoch, Count: len(group), First: first, Raw: raw}
		link = block.Hash()
		blocks = append(blocks, block)
		if bytes += len(raw); bytes >= fillBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// foldAndClose folds a prefilled stream, restarts the settler, and has a block found.
func (b *bench) foldAndClose(ctx context.Context, accounts, perBlock int) (fold FoldReport, closed BlockReport, memory MemoryReport, err error) {
	dir, err := b.fresh(ctx)
	if err != nil {
		return fold, closed, memory, err
	}
	if memory.Before, err = b.info(ctx, "memory", "used_memory"); err != nil {
		return fold, closed, memory, err
	}
	// All but the last few slices are in the window, which begins inside of one.
	window := fmt.Sprintf("%.4f", float64(foldSlices-5)/1024+0.0004)
	bits, err := foldBits(accounts + b.o.Shares)
	if err != nil {
		return fold, closed, memory, err
	}
	if fold, err = b.fold(ctx, dir, accounts, b.o.Shares, perBlock, bits, window); err != nil {
		return fold, closed, memory, err
	}
	if closed, err = b.closeBlock(ctx, dir, window); err != nil {
		return fold, closed, memory, err
	}
	if err = b.server.raw.Do(ctx, "MEMORY", "PURGE").Err(); err != nil {
		return fold, closed, memory, fmt.Errorf("ask redis to give memory back: %w", err)
	}
	if memory.After, err = b.info(ctx, "memory", "used_memory"); err != nil {
		return fold, closed, memory, err
	}
	memory.PerAccount = float64(memory.After-memory.Before) / float64(accounts)
	return fold, closed, memory, nil
}

// fold measures a settler alone with a full stream, its goroutines on one core. The stream has one share
// more an account than shares says.
func (b *bench) fold(ctx context.Context, dir string, accounts, shares, perBlock int, bits uint32, window string) (r FoldReport, err error) {
	filler, p, err := b.connect(ctx)
	if err != nil {
		return r, err
	}
	if err := errors.Join(fill(ctx, p, accounts, accounts+shares, perBlock, bits), filler.Close()); err != nil {
		return r, fmt.Errorf("fill the stream: %w", err)
	}
	chain, err := findChain()
	if err != nil {
		return r, err
	}
	s, err := b.openSettler(ctx, dir, chain, newMemoryNode(), window)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	runtime.GC()
	cores := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(cores)
	inner, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = s.settler.Run(inner, 1) })
	// The first share of an account costs more than the others: it is no part of the measure.
	err = s.await(ctx, func() bool { return s.folded.Load() >= uint64(accounts) })
	began, cpu, at := time.Now(), processCPU(), s.folded.Load()
	if err == nil {
		err = s.await(ctx, func() bool { return s.folded.Load() >= uint64(accounts+shares) })
	}
	r.Elapsed, r.CPU = time.Since(began), processCPU()-cpu
	stop()
	wg.Wait()
	if err = errors.Join(err, failed); err != nil {
		return r, err
	}
	shares = accounts + shares - int(at)
	r.Shares, r.PerBlock = shares, perBlock
	r.PerSecond, r.PerCore = float64(shares)/r.Elapsed.Seconds(), float64(shares)/r.CPU.Seconds()
	return r, nil
}

// closeBlock starts a settler on what fold left and has it take in a found block.
func (b *bench) closeBlock(ctx context.Context, dir string, window string) (r BlockReport, err error) {
	chain, err := findChain()
	if err != nil {
		return r, err
	}
	node := newMemoryNode()
	s, err := b.openSettler(ctx, dir, chain, node, window)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	inner, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	began := time.Now()
	wg.Go(func() { failed = s.settler.Run(inner, 1) })
	defer func() {
		stop()
		wg.Wait()
		err = errors.Join(err, failed)
	}()
	// The window is published once the settler has summed it.
	someone := pool.AccountOf(poolID, script(0))
	if err := s.await(ctx, func() bool {
		share, _, err := s.pool.WindowShare(ctx, someone)
		return err == nil && !share.IsZero() && s.folded.Load() > 0
	}); err != nil {
		return r, err
	}
	r.FirstSum = time.Since(began)

	first, err := b.block(ctx, s, node, chain)
	if err != nil {
		return r, err
	}
	again, err := b.block(ctx, s, node, chain)
	if err != nil {
		return r, err
	}
	again.FirstSum, again.New = r.FirstSum, first.Mirrored
	return again, nil
}

// block has the settler take in a block on the tip, and waits for its credits.
func (b *bench) block(ctx context.Context, s *bookkeeper, node *memoryNode, chain pool.Chain) (r BlockReport, err error) {
	tip, err := node.Tip(ctx)
	if err != nil {
		return r, err
	}
	t := template(0x207fffff, time.Now().Unix())
	t.Height, t.PrevHash = tip.Height+1, tip.Hash
	c, err := found(chain, t, foldEpoch)
	if err != nil {
		return r, err
	}
	unwatch, err := b.server.watch(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := s.pool.PublishCandidate(ctx, *c); err != nil {
		return r, err
	}
	node.add(c.Hash, c.Block)
	before := s.book.Balance(books.CoinbaseImmature)
	for _, step := range []struct {
		done func() bool
		took *time.Duration
	}{
		{func() bool { return s.book.Has(books.SetBlocks, c.Hash.String()) }, &r.Submitted},
		{func() bool { return s.book.Balance(books.CoinbaseImmature) > before }, &r.Credited},
	} {
		if err := s.await(ctx, step.done); err != nil {
			return r, err
		}
		*step.took = time.Since(began)
	}
	if err := s.await(ctx, func() bool {
		head, err := s.pool.Head(ctx)
		return err == nil && head.Seq == s.book.Head().Seq
	}); err != nil {
		return r, err
	}
	r.Mirrored = time.Since(began)
	if r.RedisLong, r.RedisAnswer, err = unwatch(); err != nil {
		return r, err
	}
	var doc books.BlockDoc
	if _, err := books.Decode(s.book, books.SetBlocks, c.Hash.String(), &doc); err != nil {
		return r, err
	}
	r.Accounts = len(doc.Credits)
	if doc.Window != nil {
		r.Slices = doc.Window.Last - doc.Window.First + 1
	}
	return r, nil
}

// FlatReport compares few accounts with all, in alternated pairs.
type FlatReport struct {
	Few       int     `json:"few"`
	All       int     `json:"all"`
	FoldFew   float64 `json:"fold_few"` // nanoseconds of processor time a share, medians
	FoldAll   float64 `json:"fold_all"`
	FoldRatio float64 `json:"fold_ratio"` // median of the pairs' ratios
	WayFew    float64 `json:"way_few"`    // edge, settler and Redis at the offered rate
	WayAll    float64 `json:"way_all"`
	WayRatio  float64 `json:"way_ratio"`
}

func (b *bench) flat(ctx context.Context, perBlock int) (r FlatReport, err error) {
	r.Few, r.All = b.o.Few, b.o.Accounts
	var costs [4][]float64 // fold few, fold all, whole way few, all
	for pair := range b.o.Pairs {
		b.say("comparing %d with %d accounts, pair %d of %d", r.Few, r.All, pair+1, b.o.Pairs)
		order := []int{0, 1}
		if pair%2 == 1 {
			slices.Reverse(order)
		}
		for _, which := range order {
			accounts := []int{r.Few, r.All}[which]
			dir, err := b.fresh(ctx)
			if err != nil {
				return r, err
			}
			fold, err := b.fold(ctx, dir, accounts, b.o.Shares/2, perBlock, minuteBits, "2")
			if err != nil {
				return r, err
			}
			costs[which] = append(costs[which], float64(fold.CPU.Nanoseconds())/float64(fold.Shares))
			offer, err := b.offer(ctx, accounts, b.o.For/4)
			if err != nil {
				return r, err
			}
			costs[2+which] = append(costs[2+which], float64((offer.CPU + offer.RedisCPU).Nanoseconds()))
		}
	}
	r.FoldFew, r.FoldAll, r.WayFew, r.WayAll = median(costs[0]), median(costs[1]), median(costs[2]), median(costs[3])
	r.FoldRatio, r.WayRatio = ratio(costs[0], costs[1]), ratio(costs[2], costs[3])
	return r, nil
}

// ratio is the median over pairs of what all cost by what few cost.
func ratio(few, all []float64) float64 {
	var of []float64
	for i := range few {
		of = append(of, all[i]/few[i])
	}
	return median(of)
}
