package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

const (
	forwardBytes = 1 << 20 // read from the journal, and appended, at once
	callTimeout  = 5 * time.Second
	retryFirst   = 100 * time.Millisecond
	retryLimit   = 5 * time.Second
)

// errNoProgress is a stream that is where the block belongs and does not take it.
var errNoProgress = errors.New("stream did not take the block that follows its last")

// forwarder copies journal blocks to their streams, earlier epochs first. What a stream has is known
// only from its own answers: a stream that went back is sent everything from there again, one that is
// lost from the oldest block that the journal retains.
type forwarder struct {
	// static
	edge       string
	journal    *journal.Journal
	stream     Stream
	probeEvery time.Duration
	gatherFor  time.Duration
	log        zerolog.Logger

	mu     sync.Mutex // guards what is in epochs
	epochs map[uint64]*progress
}

// progress is what is known of one epoch's stream.
type progress struct {
	last       uint64 // sequence it ends with, as it said last
	known      bool   // it has said so
	registered bool
	ahead      bool // it has more than the journal: told once
}

func newForwarder(o *Options) *forwarder {
	return &forwarder{
		edge: o.Name, journal: o.Journal, stream: o.Stream, probeEvery: o.ProbeEvery,
		gatherFor: o.GatherFor, log: o.Log,
		epochs: make(map[uint64]*progress),
	}
}

// run forwards until ctx ends. A block that comes after a quiet time goes at once; while they keep coming,
// those of gatherFor go together.
func (f *forwarder) run(ctx context.Context) {
	probe := time.NewTicker(f.probeEvery)
	defer probe.Stop()
	failures, look := 0, true
	for ctx.Err() == nil {
		changed := f.journal.Changed()
		began := time.Now()
		err := f.pass(ctx, look)
		if err != nil && ctx.Err() == nil {
			if failures == 0 {
				f.log.Warn().Err(err).Msg("shares cannot be forwarded; they stay in the journal until they can")
			}
			look = true // nobody knows what the stream has now
			pause(ctx, failures, retryFirst, retryLimit)
			failures++
			continue
		}
		if failures > 0 && ctx.Err() == nil {
			f.log.Info().Int("attempts", failures).Msg("shares are forwarded again")
			failures = 0
		}
		look = false
		select {
		case <-ctx.Done():
		case <-changed:
			wait(ctx, f.gatherFor-time.Since(began))
		case <-probe.C:
			look = true
		}
	}
}

// pass brings every stream up to the journal. look also sends each last block again, to learn whether
// the stream still has it.
func (f *forwarder) pass(ctx context.Context, look bool) error {
	infos := f.journal.Epochs()
	f.forget(infos)
	for _, info := range infos {
		if info.First > info.Last {
			continue // nothing retained
		}
		if err := f.epoch(ctx, info, look); err != nil && !errors.Is(err, journal.ErrNoEpoch) {
			return fmt.Errorf("forward epoch %016x: %w", info.Epoch, err)
		}
	}
	return nil
}

// forget drops what is known of epochs that the journal has released.
func (f *forwarder) forget(infos []journal.EpochInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	retained := make(map[uint64]bool, len(infos))
	for _, info := range infos {
		retained[info.Epoch] = true
		if f.epochs[info.Epoch] == nil {
			f.epochs[info.Epoch] = &progress{}
		}
	}
	for id := range f.epochs {
		if !retained[id] {
			delete(f.epochs, id)
		}
	}
}

func (f *forwarder) epoch(ctx context.Context, info journal.EpochInfo, look bool) error {
	f.mu.Lock()
	p := *f.epochs[info.Epoch]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		*f.epochs[info.Epoch] = p
		f.mu.Unlock()
	}()
	if !p.registered {
		if err := f.register(ctx, info.Epoch, &p); err != nil {
			return err
		}
	}
	if look || !p.known {
		blocks, err := f.journal.Read(info.Epoch, info.Last-1, 1)
		if err != nil {
			return err
		}
		if len(blocks) > 0 {
			if _, err := f.send(ctx, info, &p, blocks[0].First-1, blocks[:1]); err != nil {
				return err
			}
		}
	}
	for p.last < info.Last {
		blocks, err := f.journal.Read(info.Epoch, p.last, forwardBytes)
		if err != nil || len(blocks) == 0 {
			return err
		}
		prev := p.last
		took, err := f.send(ctx, info, &p, prev, blocks)
		if err != nil {
			return err
		}
		if !took && p.last == prev {
			return errNoProgress
		}
		f.mu.Lock()
		*f.epochs[info.Epoch] = p // for the backlog
		f.mu.Unlock()
	}
	if p.last > info.Last {
		f.outrun(info, &p)
	}
	return nil
}

func (f *forwarder) register(ctx context.Context, epoch uint64, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := f.stream.Register(ctx, f.edge, epoch); err != nil {
		return err
	}
	p.registered = true
	return nil
}

// send offers blocks behind prev and notes what the stream has after that.
func (f *forwarder) send(ctx context.Context, info journal.EpochInfo, p *progress, prev uint64, blocks []journal.Block) (took bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	last, err := f.stream.Append(ctx, f.edge, info.Epoch, prev, blocks)
	if err != nil {
		return false, err
	}
	if p.known && last < p.last {
		f.log.Warn().Str("epoch", fmt.Sprintf("%016x", info.Epoch)).Uint64("had", p.last).Uint64("has", last).
			Msg("stream went back; its shares are sent again")
		p.registered = last > 0 // a lost stream is made known anew
		if !p.registered {
			if err := f.register(ctx, info.Epoch, p); err != nil {
				return false, err
			}
		}
	}
	if last <= info.Last {
		p.ahead = false
	}
	p.last, p.known = last, true
	return last == blocks[len(blocks)-1].Last(), nil
}

// outrun handles a stream that ends behind the journal's last share.
func (f *forwarder) outrun(info journal.EpochInfo, p *progress) {
	if info.Current && p.last <= f.journal.Durable() {
		return // more became durable, and another forwarder sent it
	}
	if p.ahead {
		return
	}
	p.ahead = true
	if info.Damage != nil {
		f.log.Warn().Str("epoch", fmt.Sprintf("%016x", info.Epoch)).Uint64("stream", p.last).Uint64("journal", info.Last).
			Msg("the stream has shares that the damaged journal lost")
		return
	}
	f.log.Error().Str(pool.EventField, pool.EventStreamAhead).Str("epoch", fmt.Sprintf("%016x", info.Epoch)).Uint64("stream", p.last).Uint64("journal", info.Last).
		Msg("the stream has more shares than this journal: a restored or copied data directory, two forwarders, or the wrong redis")
}

// backlog is how many durable shares the streams are not known to have.
func (f *forwarder) backlog() uint64 {
	infos := f.journal.Epochs()
	f.mu.Lock()
	defer f.mu.Unlock()
	var n uint64
	for _, info := range infos {
		sent := info.First - 1
		if p := f.epochs[info.Epoch]; p != nil {
			sent = max(sent, p.last)
		}
		if sent < info.Last {
			n += info.Last - sent
		}
	}
	return n
}
