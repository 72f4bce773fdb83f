package settle

import (
	"context"
	"errors"
	"fmt"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/slice"
	"maps"
	"slices"
	"time"
)

const (
	readBlocks  = 64               // journal blocks asked for at once
	readTurn    = 8                // times in a turn that one stream is asked
	listEvery   = time.Second      // between looks for new streams
	idleLongest = time.Second      // between looks at a stream that gives nothing
	brokenWait  = 10 * time.Second // before a stream with damage is looked at again
)

func (s *Settler) stream(id slice.StreamID) *streamState {
	state := s.streams[id]
	if state == nil {
		state = &streamState{}
		s.streams[id] = state
	}
	return state
}

// read folds what the streams have. Redis being away is logged; the error is one of the disk.
func (s *Settler) read(ctx context.Context, now time.Time) (worked bool, err error) {
	if now.Sub(s.listed) >= listEvery {
		call, cancel := context.WithTimeout(ctx, s.o.Deadline)
		ids, err := s.o.Streams.Epochs(call)
		cancel()
		if err != nil {
			s.warn("streams", err, "the streams cannot be listed")
		} else {
			s.listed = now
			for _, state := range s.streams {
				state.listed = false
			}
			for _, id := range ids {
				s.stream(id).listed = true
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.streams), slice.Compare) {
		state := s.streams[id]
		if !state.listed || now.Before(state.due) {
			continue
		}
		n, more, err := s.readStream(ctx, id)
		switch {
		case errors.Is(err, ErrStream):
			state.due = now.Add(brokenWait)
			s.log.Error().Str(pool.EventField, pool.EventSettleWaits).Err(err).Msg("a stream cannot be folded: its shares wait")
			continue
		case errors.Is(err, errRead):
			state.due = now.Add(s.o.Poll)
			s.warn("streams", err, "a stream cannot be read")
			continue
		case err != nil:
			return false, err
		}
		if n > 0 {
			s.dirty, state.idle = true, 0
			worked = worked || more
			continue
		}
		state.idle = min(max(2*state.idle, s.o.Poll), idleLongest)
		state.due = now.Add(state.idle)
	}
	return worked, nil
}

// errRead wraps what Redis said.
var errRead = errors.New("read stream")

// readStream folds what one stream has, up to a limit; more says that it was reached.
func (s *Settler) readStream(ctx context.Context, id slice.StreamID) (n int, more bool, err error) {
	for range readTurn {
		call, cancel := context.WithTimeout(ctx, s.o.Deadline)
		blocks, err := s.o.Streams.Read(call, id, s.fold.next(id)-1, readBlocks)
		cancel()
		if err != nil {
			return n, false, fmt.Errorf("%w %s: %w", errRead, id, err)
		}
		for _, raw := range blocks {
			fresh, err := s.fold.block(id, raw)
			n += fresh
			if err != nil {
				return n, false, err
			}
		}
		if len(blocks) < readBlocks {
			return n, false, nil
		}
	}
	return n, true, nil
}
