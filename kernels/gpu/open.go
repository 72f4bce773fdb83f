package gpu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/adit-pool/adit/kernels"
)

// Open readies d for p: it compiles the program, finds the best size and lets the
// device try a range of nonces whose answers the CPU knows. It takes some
// seconds. A device that gives other answers is ErrWrong.
func (l *Library) Open(d Device, p kernels.Program, size Size) (*Search, error) {
	if d.Off != "" {
		return nil, fmt.Errorf("%v: %s", d, d.Off)
	}
	if kernels.Disabled(p.Kernel.Name(), "opencl") {
		return nil, fmt.Errorf("%v: turned off by %s", d, kernels.DisableVariable)
	}
	s := &Search{cl: l.cl, device: d, program: p, patience: patience}
	err := s.prepare()
	if err == nil {
		err = s.tune(size)
	}
	if err == nil {
		err = s.examine()
	}
	if err != nil {
		s.failed = err
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare makes all but the scratch memory, whose size is not known yet.
func (s *Search) prepare() error {
	var code int32
	properties := [3]handle{contextPlatform, s.device.platform}
	if s.context = s.cl.createContext(&properties[0], 1, &s.device.id, 0, 0, &code); code != 0 {
		return s.error("clCreateContext", code)
	}
	for _, queue := range []*handle{&s.compute, &s.transfer} {
		if *queue = s.cl.createCommandQueue(s.context, s.device.id, 0, &code); code != 0 {
			return s.error("clCreateCommandQueue", code)
		}
	}
	if err := s.build(); err != nil {
		return err
	}
	if err := s.buffer(&s.job, readOnly, 4*uint64(s.program.Words)); err != nil {
		return err
	}
	for i := range s.found {
		if err := s.buffer(&s.found[i], readWrite, 4*(1+foundMost)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Search) build() error {
	var code int32
	source := append([]byte(s.program.Source), 0)
	at, length := &source[0], uintptr(len(source)-1)
	if s.built = s.cl.createProgram(s.context, 1, &at, &length, &code); code != 0 {
		return s.error("clCreateProgramWithSource", code)
	}
	options := fmt.Appendf(nil, "-cl-std=CL1.2 -DFOUND=%d", foundMost)
	if s.device.Kind == "cpu" {
		options = append(options, " -DROLLED"...)
	}
	options = append(options, 0)
	if code := s.cl.buildProgram(s.built, 1, &s.device.id, &options[0], 0, 0); code != 0 {
		log := text(func(size uintptr, to *byte, needed *uintptr) int32 {
			return s.cl.getBuildInfo(s.built, s.device.id, buildLog, size, to, needed)
		})
		const most = 2000
		return &Error{Where: s.device.String(), Call: "clBuildProgram", Code: code, Text: log[:min(len(log), most)]}
	}
	name := []byte(entry + "\x00")
	if s.kernel = s.cl.createKernel(s.built, &name[0], &code); code != 0 {
		return s.error("clCreateKernel", code)
	}
	return nil
}

func (s *Search) buffer(to *handle, flags, size uint64) error {
	var code int32
	made := s.cl.createBuffer(s.context, flags, uintptr(size), 0, &code)
	if code == 0 {
		*to = made
	}
	return s.error("clCreateBuffer", code)
}

// groups are the sizes of a group worth trying: the device's preferred multiple,
// and more of it.
func (s *Search) groups() (sizes []uint64, err error) {
	ask := func(what uint32) uint64 {
		var b [8]byte
		if s.cl.getKernelWorkGroup(s.kernel, s.device.id, what, 8, &b[0], nil) != 0 {
			return 0
		}
		return binary.NativeEndian.Uint64(b[:])
	}
	most := min(ask(kernelMaxGroup), s.device.maxGroup)
	if most == 0 {
		return nil, fmt.Errorf("%v: the driver names no group size", s.device)
	}
	least := min(max(ask(kernelMultiple), 1), most)
	for size := least; size <= min(most, 512) && len(sizes) < 4; size *= 2 {
		if size >= 32 || size*2 > most {
			sizes = append(sizes, size)
		}
	}
	if len(sizes) == 0 || s.device.Kind == "cpu" { // PoCL compiles the program for each size again
		sizes = []uint64{least}
	}
	return sizes, nil
}

// tune finds the group and the number of items by trying: the number doubles
// until a launch takes about as long as is wanted.
func (s *Search) tune(size Size) error {
	groups, err := s.groups()
	if err != nil {
		return err
	}
	if size.Group != 0 {
		groups = []uint64{size.Group}
	}
	wanted := size.Launch
	if wanted == 0 {
		wanted = 50 * time.Millisecond
	}
	most := uint64(1 << 28)
	if scratch := uint64(s.program.Scratch); scratch > 0 {
		most = min(s.device.maxAlloc, s.device.Memory/2) / scratch
	}
	if size.Items != 0 {
		most = min(most, size.Items)
	}
	fixed := size.Items
	best := 0.0 // nonces a second
	for _, group := range groups {
		items := max(min(group*uint64(max(s.device.Units, 1)), most/group*group), group)
		if fixed != 0 {
			items = max(fixed/group*group, group)
		}
		if items > most && s.program.Scratch > 0 {
			return fmt.Errorf("%v: it has no memory for a group of %d", s.device, group)
		}
		for {
			took, err := s.try(group, items)
			if full(err) && best > 0 {
				break // others use the card's memory too
			}
			if full(err) && items > group {
				items = max(items/2/group*group, group)
				continue
			}
			if err != nil {
				return err
			}
			rate := float64(items) / took.Seconds()
			if rate > best {
				best = rate
				size.Group, size.Items = group, items
			}
			if items*2 > most || took > wanted*2/3 {
				break
			}
			items *= 2
		}
	}
	s.size = Size{Items: size.Items, Group: size.Group, Launch: wanted}
	return s.scratchFor(s.size.Items)
}

// full tells whether err is that the device has no memory for so much.
func full(err error) bool {
	const noMemory, noResources, tooLarge = -4, -5, -61
	var failed *Error
	return errors.As(err, &failed) && (failed.Code == noMemory || failed.Code == noResources || failed.Code == tooLarge)
}

// try is how long a launch takes, by the better of two.
func (s *Search) try(group, items uint64) (time.Duration, error) {
	s.size = Size{Items: items, Group: group}
	if err := s.scratchFor(items); err != nil {
		return 0, err
	}
	var header [kernels.HeaderSize]byte
	var none [32]byte
	best := time.Duration(1<<63 - 1)
	for range 2 {
		began := time.Now()
		if _, err := s.scan(context.Background(), &header, 0, items, &none, nil); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began))
	}
	return best, nil
}

// scratchFor makes the scratch memory of a launch.
func (s *Search) scratchFor(items uint64) error {
	size := uint64(s.program.Scratch) * items
	if size == 0 {
		size = 16 // drivers differ in what they say to none
	}
	if size == s.scratchSize {
		return nil
	}
	release(s.scratch, s.cl.releaseMemory)
	s.scratch, s.scratchSize = 0, 0
	if err := s.buffer(&s.scratch, readWrite, size); err != nil {
		return err
	}
	s.scratchSize = size
	return nil
}

// examine compares what the device finds with what the CPU finds in a range that
// takes the CPU some milliseconds.
func (s *Search) examine() error {
	count, rare := uint64(1<<14), [32]byte{0: 1} // one nonce of 256
	if s.program.Scratch > 0 {
		count, rare = 128, [32]byte{0: 0x20}
	}
	var header [kernels.HeaderSize]byte
	for i := range header {
		header[i] = byte(i*211 + 17)
	}
	_, err := s.compare(&header, 0x7ffffff0, count, &rare)
	return err
}

// compare searches count nonces with the device and with the CPU. It gives how
// many there are to be found.
func (s *Search) compare(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte) (int, error) {
	var want, got []uint32
	s.program.Kernel.Scan(header, first, count, target, func(n uint32) bool {
		want = append(want, n)
		return true
	})
	wrong := s.Wrong()
	if _, err := s.scan(context.Background(), header, first, count, target, func(n uint32) bool {
		got = append(got, n)
		return true
	}); err != nil {
		return 0, err
	}
	if wrong = s.Wrong() - wrong; wrong > 0 || !slices.Equal(got, want) {
		return 0, fmt.Errorf("%v: %w: of %d nonces to be found it found %d, and reported %d that are none", s.device, ErrWrong, len(want), len(got), wrong)
	}
	return len(want), nil
}

// Close gives back what the device holds. A lost device is left alone: its
// driver may never answer.
func (s *Search) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if errors.Is(s.failed, ErrLost) {
		return
	}
	if s.failed == nil {
		s.failed = fmt.Errorf("%v is closed", s.device)
	}
	for _, buffer := range append(s.found[:], s.job, s.scratch) {
		release(buffer, s.cl.releaseMemory)
	}
	release(s.kernel, s.cl.releaseKernel)
	release(s.built, s.cl.releaseProgram)
	release(s.compute, s.cl.releaseQueue)
	release(s.transfer, s.cl.releaseQueue)
	release(s.context, s.cl.releaseContext)
}

func release(h handle, by func(handle) int32) {
	if h != 0 {
		by(h)
	}
}
