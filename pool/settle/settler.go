package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// Options say what a settler works with. Mirror, Windows, Copied, FS and the durations may be left out.
type Options struct {
	Pool         string
	Chain        pool.Chain
	Node         pool.Node
	Book         *ledger.Book
	Dir          string // of slices
	Streams      Streams
	Mirror       Mirror
	Windows      Windows
	Scheme       pool.Scheme
	FeePPM       uint32            // of fee version 1, when the book has none
	RewardScript []byte            // whose outputs are the pool's
	Secret       allocation.Secret // that names rows of allocation files
	Allocations  string            // directory of allocation files
	HeadKey      ledger.HeadKey    // signs the heads; without one there are none
	Heads        string            // directory of their files
	// Copied returns once every file that was written through FS is on as many disks as it has to be.
	// Shares are released only after it.
	Copied func(ctx context.Context) error
	FS     journal.FS
	Log    zerolog.Logger

	Poll     time.Duration // between looks at streams and candidates while nothing comes; 50 ms
	TipPoll  time.Duration // between looks at the chain; 500 ms
	ScanLag  time.Duration // age of a block on chain from which it counts as unknown to every edge; 10 s
	Publish  time.Duration // between window sums published; 5 s
	Deadline time.Duration // of one call to node or Redis; 10 s

	HeadEvery time.Duration // a period of UTC in which one head is signed; 24 h
}

const checkpointInterval = time.Second

// Settler is the one writer of a pool's slices and of its blocks in the ledger. Run's goroutine owns all
// that is not static; a second goroutine of Run's keeps the mirror up and touches only the book.
type Settler struct {
	o   Options // static
	log zerolog.Logger

	fold    *fold
	chain   *chainView
	blocks  map[pool.Hash]*tracked
	scanned scanMark
	leaves  map[pool.Hash]ledger.BlockLeaf // of every block with an allocation file
	headed  time.Time                      // period of the last signed head
	headSeq uint64                         // its entry
	streams map[slice.StreamID]*streamState
	warned  map[string]time.Time // last time that a recurring trouble was logged

	listed, looked, published, saved time.Time
	repeated                         time.Time // that all releases were told
	publishEvery, saveEvery          time.Duration
	dirty                            bool // something was folded since the checkpoint
}

// streamState is how a stream is being read.
type streamState struct {
	listed   bool // by the last look at the list
	due      time.Time
	idle     time.Duration
	released uint64 // told to the edges
	trimmed  uint64
}

// The refusals of [New] and [Settler.Run] that a person has to look at.
var (
	// ErrDiskBehind: Redis, a signed head or the other disk tells of entries that the ledger's disk has not.
	ErrDiskBehind = errors.New("the ledger on disk is behind what was published of it: it was restored from an older copy, or belongs to another pool; " +
		"bring the newest copy back (adit ledger recover), or decide that there is none (adit ledger forget)")
	// ErrOtherHistory: Redis or a signed head tells of other entries than the ledger's disk.
	ErrOtherHistory = errors.New("what was published shows another ledger than the one on disk: this is the data directory of another pool, or was changed")
)

// New restores the state from disk. It does not talk to node or Redis. Close gives the files back.
func New(o Options) (*Settler, error) {
	if o.FS == nil {
		o.FS = journal.Disk{}
	}
	for _, d := range []struct {
		v    *time.Duration
		want time.Duration
	}{{&o.Poll, 50 * time.Millisecond}, {&o.TipPoll, 500 * time.Millisecond}, {&o.ScanLag, 10 * time.Second},
		{&o.Publish, 5 * time.Second}, {&o.Deadline, 10 * time.Second}, {&o.HeadEvery, 24 * time.Hour}} {
		if *d.v == 0 {
			*d.v = d.want
		}
	}
	s := &Settler{
		o: o, log: o.Log, chain: newChainView(o.Node), blocks: make(map[pool.Hash]*tracked),
		leaves:  make(map[pool.Hash]ledger.BlockLeaf),
		streams: make(map[slice.StreamID]*streamState), warned: make(map[string]time.Time),
		publishEvery: o.Publish, saveEvery: checkpointInterval,
		dirty: true, // what an earlier process left may not be durable: the first save sees to that
	}
	ledgerSlice, err := s.loadBlocks()
	if err != nil {
		return nil, err
	}
	headSlice, err := s.loadHeads()
	if err != nil {
		return nil, err
	}
	ledgerSlice = max(ledgerSlice, headSlice)
	if s.fold, err = openFold(o.Pool, o.FS, o.Dir, ledgerSlice, o.Log); err != nil {
		return nil, err
	}
	if err := s.loadScan(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, id := range s.fold.streams() {
		s.streams[id] = &streamState{}
	}
	return s, nil
}

// Close gives the files back; not while Run runs.
func (s *Settler) Close() error { return s.fold.store.Close() }

// Run settles under the lease of the given token until ctx ends. The caller holds the lease and ends ctx
// with [ErrLeaseLost] as its cause when it is lost; any other end is an orderly one, and what the streams
// have by then is folded first. Trouble with node, Redis or a stream is logged and tried again; an error is
// returned when the disk fails or when ledger and mirror contradict each other.
func (s *Settler) Run(ctx context.Context, token uint64) error {
	if err := s.term(ctx, token); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	if s.o.Mirror != nil {
		group.Go(func() error { return s.mirror(gctx) })
	}
	group.Go(func() error { return s.work(gctx) })
	err := group.Wait()
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(context.Cause(ctx), ErrLeaseLost)) {
		return nil
	}
	return err
}

// term begins a new term of the book above whatever the mirror has seen.
func (s *Settler) term(ctx context.Context, token uint64) error {
	floor := s.o.Book.Head().Term
	for s.o.Mirror != nil {
		head, err := s.mirrorHead(ctx)
		if errors.Is(err, ErrDiskBehind) || errors.Is(err, ErrOtherHistory) {
			return err
		}
		if err == nil {
			floor = max(floor, head.Term)
			break
		}
		s.warn("mirror", err, "waiting for Redis")
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	s.o.Book.SetTermFloor(floor)
	body, err := ledger.Body(struct {
		Token uint64 `json:"token"`
	}{token})
	if err != nil {
		return err
	}
	if err := s.publishedHeads(); err != nil {
		return err
	}
	if err := s.notBehind(ctx); err != nil {
		return err
	}
	term := s.o.Book.Term()
	if _, err := s.o.Book.Post(ledger.Entry{Kind: "term", Key: fmt.Sprintf("term/%d", term), Body: body}); err != nil {
		return fmt.Errorf("begin term %d: %w", term, err)
	}
	return ledger.OpenFees(s.o.Book, s.o.FeePPM, s.log)
}

// notBehind checks that the slices hold every share that edges were told to drop.
func (s *Settler) notBehind(ctx context.Context) error {
	for {
		call, cancel := context.WithTimeout(ctx, s.o.Deadline)
		released, err := s.o.Streams.Releases(call)
		cancel()
		if err == nil {
			for id, through := range released {
				if have := s.fold.next(id) - 1; have < through {
					return fmt.Errorf("%w (edges were told that share %d of %s is kept, the slices end at %d)", ErrDiskBehind, through, id, have)
				}
			}
			return nil
		}
		s.warn("streams", err, "waiting for Redis")
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// work is the loop of the settling goroutine.
func (s *Settler) work(ctx context.Context) error {
	for ctx.Err() == nil {
		worked, err := s.turn(ctx, time.Now())
		if err != nil {
			return err
		}
		if !worked {
			_ = sleep(ctx, s.o.Poll)
		}
	}
	if errors.Is(context.Cause(ctx), ErrLeaseLost) { // another settles already
		return nil
	}
	return s.finish(context.WithoutCancel(ctx))
}

// stopGrace is how long a settler that is told to stop goes on folding.
const stopGrace = 3 * time.Second

// finish folds what the streams have by now and saves, so that after an orderly stop of the edges every
// share is in a slice.
func (s *Settler) finish(ctx context.Context) error {
	grace, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	found := s.delivered(grace)
	for grace.Err() == nil {
		s.listed = time.Time{}
		for _, state := range s.streams {
			state.due = time.Time{}
		}
		more, err := s.read(grace, time.Now())
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if err := s.candidates(grace, found); err != nil {
		return err
	}
	return s.save(ctx)
}

// turn does all that is due. It reports whether there may be more to do at once; the error is one that
// the settler cannot go on after.
func (s *Settler) turn(ctx context.Context, now time.Time) (worked bool, err error) {
	found := s.delivered(ctx)
	if len(found) > 0 { // their windows shall hold what is there already
		for _, state := range s.streams {
			state.due = time.Time{}
		}
	}
	if worked, err = s.read(ctx, now); err != nil {
		return false, err
	}
	if err := s.candidates(ctx, found); err != nil {
		return false, err
	}
	if now.Sub(s.looked) >= s.o.TipPoll {
		s.looked = now
		if err := s.look(ctx, now); err != nil {
			return false, err
		}
	}
	if now.Sub(s.saved) >= s.saveEvery {
		if err := s.save(ctx); err != nil {
			return false, err
		}
		s.saved = now
	}
	if err := s.heads(ctx, now); err != nil {
		return false, err
	}
	if now.Sub(s.published) >= s.publishEvery {
		s.published = now
		s.publish(ctx)
	}
	return worked, nil
}

// repeatRelease is how often edges are told again what was released: Redis may have lost it.
const repeatRelease = 30 * time.Second

// save checkpoints the open slice, then tells edges and streams what they need not keep any more.
func (s *Settler) save(ctx context.Context) error {
	if s.dirty {
		n, err := s.fold.checkpoint()
		if err != nil {
			return fmt.Errorf("checkpoint the open slice: %w", err)
		}
		s.dirty = false
		s.saveEvery = max(checkpointInterval, time.Duration(n>>20)*time.Second) // at most 1 MiB a second
	}
	if err := s.saveScan(); err != nil {
		return err
	}
	if s.o.Copied != nil {
		if err := s.o.Copied(ctx); err != nil {
			return err
		}
	}
	if !s.release(ctx) {
		return nil
	}
	for _, id := range s.fold.streams() {
		state, through := s.stream(id), s.fold.next(id)-1
		if through == state.trimmed || ctx.Err() != nil {
			continue
		}
		call, cancel := context.WithTimeout(ctx, s.o.Deadline)
		err := s.o.Streams.Trim(call, id, through)
		cancel()
		if err != nil {
			s.warn("trim", err, "a stream could not be trimmed")
			break
		}
		state.trimmed = through
	}
	return nil
}

// release tells the edges what their journals need not keep any more, and reports whether it could.
func (s *Settler) release(ctx context.Context) bool {
	all := time.Since(s.repeated) > repeatRelease
	through := make(map[slice.StreamID]uint64)
	for _, id := range s.fold.streams() {
		if n := s.fold.next(id) - 1; all || n > s.stream(id).released {
			through[id] = n
		}
	}
	if len(through) == 0 {
		return true
	}
	call, cancel := context.WithTimeout(ctx, s.o.Deadline)
	defer cancel()
	if err := s.o.Streams.PublishReleases(call, through); err != nil {
		s.warn("release", err, "edges cannot be told what was settled: their journals keep it")
		return false
	}
	for id, n := range through {
		s.stream(id).released = n
	}
	if all {
		s.repeated = time.Now()
		for _, state := range s.streams { // an emptied Redis was sent again what is folded long since
			state.trimmed = 0
		}
	}
	return true
}

// publish shows what a block found now would be split over.
func (s *Settler) publish(ctx context.Context) {
	if s.o.Windows == nil || s.o.Scheme.ID() == pool.SchemeSOLO {
		return
	}
	start := time.Now()
	total, weights, err := s.window()
	if err == nil {
		call, cancel := context.WithTimeout(ctx, s.o.Deadline)
		err = s.o.Windows.PublishWindow(call, total, weights)
		cancel()
	}
	if err != nil {
		s.warn("window", err, "the window's sums could not be published")
	}
	s.publishEvery = max(s.o.Publish, 20*time.Since(start)) // at most a twentieth of the time
}

// warn logs a recurring trouble that goes by itself.
func (s *Settler) warn(kind string, err error, message string) {
	if s.again(kind, 10*time.Second) {
		s.log.Warn().Err(err).Msg(message)
	}
}

// again reports whether a trouble was not logged in the last while, and notes that it is now.
func (s *Settler) again(kind string, while time.Duration) bool {
	now := time.Now()
	if now.Sub(s.warned[kind]) < while {
		return false
	}
	if len(s.warned) > 1000 {
		clear(s.warned)
	}
	s.warned[kind] = now
	return true
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
