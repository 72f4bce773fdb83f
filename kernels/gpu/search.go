package gpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/adit-pool/adit/kernels"
)

const (
	entry     = "search" // the function in a program
	foundMost = 255      // nonces that a launch can report; more are searched for again
	flights   = 2        // launches queued at a time, so that a device does not wait for the CPU
	patience  = time.Minute
)

// Size is how much work a device gets at a time. What is 0 is tuned by Open.
type Size struct {
	Items  uint64        // nonces of a launch, a multiple of Group
	Group  uint64        // work items of a group
	Launch time.Duration // how long a launch is to last when Items is tuned; 0 is 50 ms
}

// Search is a program on an open device. Its methods may be called from several
// goroutines at once; scans take turns.
type Search struct {
	// Static after Open.
	cl       *opencl
	device   Device
	program  kernels.Program
	size     Size
	patience time.Duration
	context  handle
	compute  handle // queue of launches
	transfer handle // queue of reads and writes, which do not wait for launches
	built    handle
	kernel   handle
	job      handle
	found    [flights]handle

	scratch     handle // made anew while it is tuned
	scratchSize uint64 // bytes

	wrong atomic.Uint64

	mu     sync.Mutex
	turn   int   // slot of the next launch; guarded by mu
	failed error // why it is of no more use; guarded by mu
	closed bool  // guarded by mu
}

// Device is what it was opened with.
func (s *Search) Device() Device { return s.device }

// Size is how much work the device gets at a time.
func (s *Search) Size() Size { return s.size }

// Wrong is how many nonces the device reported that do not do what it says of
// them: they were not handed on.
func (s *Search) Wrong() uint64 { return s.wrong.Load() }

// Scan does on the device what [kernels.Kernel] says of Scan; every nonce
// found was hashed by the CPU again. When ctx ends it queues no more work and
// returns soon, with the hashes done and no error. After an error the search is of
// no more use but to be closed, and hashes are those done before it. A call
// costs the device a pause of some 100 µs, so count is better large.
func (s *Search) Scan(ctx context.Context, header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) (hashes uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	hashes, err = s.scan(ctx, header, first, kernels.Clip(first, count), target, found)
	s.failed = err
	return hashes, err
}

func (s *Search) scan(ctx context.Context, header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) (done uint64, err error) {
	job := s.program.Job(header, target)
	if err := s.write(s.job, unsafe.Pointer(&job[0]), 4*len(job)); err != nil {
		return 0, err
	}
	var queue []flight
	defer func() { // the next job's words must not reach launches of this one
		for _, f := range queue {
			if err == nil {
				_, err = s.await(f)
			}
		}
	}()
	for queued := uint64(0); done < count; {
		for queued < count && len(queue) < flights && ctx.Err() == nil {
			f := flight{first: first + uint32(queued), count: min(count-queued, s.size.Items), slot: s.turn}
			if f.event, err = s.launch(f); err != nil {
				return done, err
			}
			s.turn = (s.turn + 1) % flights
			queued += f.count
			queue = append(queue, f)
		}
		if len(queue) == 0 {
			return done, nil // ctx ended
		}
		f := queue[0]
		queue = queue[1:]
		reported, err := s.reported(f)
		if err != nil {
			return done, err
		}
		for _, n := range reported {
			if s.met(header, n, f, target) && !found(n) {
				return done + uint64(n-f.first) + 1, nil
			}
		}
		done += f.count
	}
	return done, nil
}

// flight is a launch that was queued.
type flight struct {
	first uint32
	count uint64
	slot  int // of Search.found
	event handle
}

// met tells whether the nonce n that a flight reported meets the target. A device
// looks at the highest word of a hash only.
func (s *Search) met(header *[kernels.HeaderSize]byte, n uint32, f flight, target *[32]byte) bool {
	work := *header
	binary.LittleEndian.PutUint32(work[76:], n)
	hash := s.program.Kernel.Hash(&work)
	if uint64(n-f.first) >= f.count || binary.LittleEndian.Uint32(hash[28:]) > binary.BigEndian.Uint32(target[:]) {
		s.wrong.Add(1)
		return false
	}
	return kernels.Meets(&hash, target)
}

// reported waits for f and gives the nonces it reports in ascending order. When
// there is no room for all of them it searches f's range again in parts.
func (s *Search) reported(f flight) ([]uint32, error) {
	n, err := s.await(f)
	if err != nil {
		return nil, err
	}
	if uint64(n) > f.count {
		return nil, fmt.Errorf("%v: %w: %d finds among %d nonces", s.device, ErrWrong, n, f.count)
	}
	if n > foundMost {
		var all []uint32
		const part = foundMost
		for at := uint64(0); at < f.count; at += part {
			g := flight{first: f.first + uint32(at), count: min(part, f.count-at), slot: f.slot}
			if g.event, err = s.launch(g); err != nil {
				return nil, err
			}
			some, err := s.reported(g)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		return all, nil
	}
	nonces := make([]uint32, n)
	if n > 0 {
		if err := s.read(s.found[f.slot], 4, unsafe.Pointer(&nonces[0]), int(4*n)); err != nil {
			return nil, err
		}
	}
	slices.Sort(nonces)
	return slices.Compact(nonces), nil
}

// launch queues a search of f's range.
func (s *Search) launch(f flight) (event handle, err error) {
	var zero uint32
	if err := s.write(s.found[f.slot], unsafe.Pointer(&zero), 4); err != nil {
		return 0, err
	}
	count := uint32(f.count)
	for i, arg := range []struct {
		size uintptr
		at   unsafe.Pointer
	}{
		{8, unsafe.Pointer(&s.job)}, {4, unsafe.Pointer(&f.first)}, {4, unsafe.Pointer(&count)},
		{8, unsafe.Pointer(&s.found[f.slot])}, {8, unsafe.Pointer(&s.scratch)},
	} {
		if code := s.cl.setKernelArg(s.kernel, uint32(i), arg.size, arg.at); code != 0 {
			return 0, s.error("clSetKernelArg", code)
		}
	}
	group := uintptr(s.size.Group)
	global := (uintptr(f.count) + group - 1) / group * group
	if code := s.cl.launch(s.compute, s.kernel, 1, nil, &global, &group, 0, nil, &event); code != 0 {
		return 0, s.error("clEnqueueNDRangeKernel", code)
	}
	if code := s.cl.flush(s.compute); code != 0 {
		return 0, s.error("clFlush", code)
	}
	return event, nil
}

// await waits for f and gives its counter. It asks now and then: drivers that
// are told to wait keep a processor busy, and wait for ever on a lost device.
func (s *Search) await(f flight) (reported uint32, err error) {
	defer s.cl.releaseEvent(f.event)
	const often, seldom = 50 * time.Microsecond, 2 * time.Millisecond
	pause := often
	for began := time.Now(); ; {
		var status int32
		if code := s.cl.getEventInfo(f.event, eventStatus, 4, &status, nil); code != 0 {
			return 0, s.error("clGetEventInfo", code)
		}
		if status < 0 {
			return 0, s.error("a launch", status)
		}
		if status == complete {
			break
		}
		if time.Since(began) > s.patience {
			return 0, fmt.Errorf("%v: %w: no result for %v", s.device, ErrLost, s.patience)
		}
		time.Sleep(pause)
		pause = min(pause*5/4, seldom)
	}
	err = s.read(s.found[f.slot], 0, unsafe.Pointer(&reported), 4)
	return reported, err
}

func (s *Search) write(to handle, from unsafe.Pointer, size int) error {
	return s.error("clEnqueueWriteBuffer", s.cl.writeBuffer(s.transfer, to, 1, 0, uintptr(size), from, 0, nil, nil))
}

func (s *Search) read(from handle, offset uintptr, to unsafe.Pointer, size int) error {
	return s.error("clEnqueueReadBuffer", s.cl.readBuffer(s.transfer, from, 1, offset, uintptr(size), to, 0, nil, nil))
}

// error is nil for code 0.
func (s *Search) error(call string, code int32) error {
	if code == 0 {
		return nil
	}
	return &Error{Where: s.device.String(), Call: call, Code: code}
}
