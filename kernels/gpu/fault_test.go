package gpu

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/all"
	"github.com/adit-pool/adit/kernels/sha256d"
)

var often = [32]byte{0: 0x10}

// A device that dies while others mine: its search gives an error and stays
// failed, the other finds all.
func TestLostDevice(t *testing.T) {
	library, device := need(t)
	healthy := opened(t, library, device)
	f := func(name string, want error, text string, fault func(cl *opencl)) {
		t.Run(name, func(t *testing.T) {
			cl := *library.cl
			s := opened(t, &Library{&cl}, device)
			s.patience = 50 * time.Millisecond
			fault(&cl)
			var header [kernels.HeaderSize]byte
			hashes, err := s.Scan(t.Context(), &header, 0, 1<<32, &often, func(uint32) bool { return true })
			if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), device.Name) {
				t.Fatalf("%d hashes, %v", hashes, err)
			}
			if again, err2 := s.Scan(t.Context(), &header, 0, 1, &often, nil); again != 0 || !errors.Is(err2, err) {
				t.Errorf("used again: %d, %v", again, err2)
			}
			found := 0
			if hashes, err := healthy.Scan(t.Context(), &header, 0, 5000, &often, func(uint32) bool { found++; return true }); err != nil || hashes != 5000 || found == 0 {
				t.Errorf("the other device: %d hashes, %d found, %v", hashes, found, err)
			}
		})
	}
	f("launch", nil, "clEnqueueNDRangeKernel: out of resources (-5)", func(cl *opencl) {
		launch, calls := cl.launch, 0
		cl.launch = func(queue, kernel handle, dimensions uint32, offset, global, local *uintptr, n uint32, wait, event *handle) int32 {
			if calls++; calls > 3 {
				return -5
			}
			return launch(queue, kernel, dimensions, offset, global, local, n, wait, event)
		}
	})
	f("while it runs", nil, "the commands before it failed (-14)", func(cl *opencl) {
		cl.getEventInfo = func(_ handle, _ uint32, _ uintptr, status *int32, _ *uintptr) int32 { *status = -14; return 0 }
	})
	f("event", nil, "clGetEventInfo", func(cl *opencl) {
		cl.getEventInfo = func(handle, uint32, uintptr, *int32, *uintptr) int32 { return -36 }
	})
	f("silence", ErrLost, "no result for 50ms", func(cl *opencl) {
		cl.getEventInfo = func(_ handle, _ uint32, _ uintptr, status *int32, _ *uintptr) int32 { *status = 1; return 0 }
	})
	f("read", nil, "clEnqueueReadBuffer", func(cl *opencl) {
		cl.readBuffer = func(handle, handle, uint32, uintptr, uintptr, unsafe.Pointer, uint32, *handle, *handle) int32 {
			return -5
		}
	})
	f("write", nil, "clEnqueueWriteBuffer", func(cl *opencl) {
		cl.writeBuffer = func(handle, handle, uint32, uintptr, uintptr, unsafe.Pointer, uint32, *handle, *handle) int32 {
			return -36
		}
	})
}

// Nonces that a device invents are counted and not handed on.
func TestInventedNonces(t *testing.T) {
	library, device := need(t)
	cl := *library.cl
	s := opened(t, &Library{&cl}, device)
	read := cl.readBuffer
	spoilt := uint32(0)
	cl.readBuffer = func(queue, buffer handle, blocking uint32, offset, size uintptr, to unsafe.Pointer, n uint32, wait, event *handle) int32 {
		code := read(queue, buffer, blocking, offset, size, to, n, wait, event)
		if offset == 4 { // the nonces
			nonces := unsafe.Slice((*uint32)(to), size/4)
			nonces[0] ^= 1 << (spoilt % 31)
			spoilt++
		}
		return code
	}
	var header [kernels.HeaderSize]byte
	target := [32]byte{0: 1}
	var want, got []uint32
	const count = 50 << 10
	kernel := sha256d.Generic{}
	kernel.Scan(&header, 0, count, &target, func(n uint32) bool { want = append(want, n); return true })
	hashes, err := s.Scan(t.Context(), &header, 0, count, &target, func(n uint32) bool { got = append(got, n); return true })
	if err != nil || hashes != count {
		t.Fatalf("%d hashes, %v", hashes, err)
	}
	for _, n := range got {
		if !slices.Contains(want, n) {
			t.Errorf("invented nonce %x was handed on", n)
		}
	}
	if s.Wrong() == 0 || uint32(s.Wrong()) > spoilt || len(got) == 0 {
		t.Errorf("%d spoilt, %d counted, %d of %d found", spoilt, s.Wrong(), len(got), len(want))
	}
}

// A program that computes something else is noticed before it is used.
func TestWrongProgram(t *testing.T) {
	library, device := need(t)
	f := func(name, from, to string, want error, text string) {
		t.Run(name, func(t *testing.T) {
			p := sha256d.Program()
			if p.Source = strings.Replace(p.Source, from, to, 1); !strings.Contains(sha256d.Program().Source, from) {
				t.Fatalf("the program has no %q", from)
			}
			s, err := library.Open(device, p, small)
			if err == nil {
				s.Close()
			}
			if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Errorf("got %v", err)
			}
		})
	}
	f("another constant", "0x428a2f98", "0x428a2f99", ErrWrong, device.Name)
	f("finds everything", "REVERSE(highest) <= job[32]", "true", ErrWrong, "reported")
	f("finds nothing", "REVERSE(highest) <= job[32]", "false", ErrWrong, "it found 0")
	f("misses some", "if (index >= count)", "if (index >= count || index % 8 == 7)", ErrWrong, "it found")
	f("does not build", "uint n = REVERSE(nonce);", "uint n = REVERSE(nonce)", nil, "program does not build (-11)")
	f("no entry", "__kernel void search(", "__kernel void other(", nil, "invalid kernel name (-46)")
}

// A counter that cannot be is not believed.
func TestWrongCounter(t *testing.T) {
	library, device := need(t)
	cl := *library.cl
	s := opened(t, &Library{&cl}, device)
	read := cl.readBuffer
	cl.readBuffer = func(queue, buffer handle, blocking uint32, offset, size uintptr, to unsafe.Pointer, n uint32, wait, event *handle) int32 {
		code := read(queue, buffer, blocking, offset, size, to, n, wait, event)
		if offset == 0 {
			*(*uint32)(to) = uint32(small.Items) + 1
		}
		return code
	}
	var header [kernels.HeaderSize]byte
	if _, err := s.Scan(t.Context(), &header, 0, 5000, &often, nil); !errors.Is(err, ErrWrong) {
		t.Errorf("got %v", err)
	}
}

// A card whose memory is used by others gets smaller launches.
func TestLittleMemory(t *testing.T) {
	library, device := need(t)
	p, err := all.Program("scrypt")
	if err != nil {
		t.Fatal(err)
	}
	const most = 20   // hashes that there is room for
	device.Units = 64 // the first launch tried is too large
	l := faulty(library, func(cl *opencl) {
		create := cl.createBuffer
		cl.createBuffer = func(context handle, flags uint64, size, host uintptr, code *int32) handle {
			if size > uintptr(most*p.Scratch) {
				*code = -4
				return 0
			}
			return create(context, flags, size, host, code)
		}
	})
	s, err := l.Open(device, p, Size{Group: 4, Launch: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if items := s.Size().Items; items == 0 || items > most {
		t.Errorf("launches of %d, there is room for %d", items, most)
	}
}

func TestDisabled(t *testing.T) {
	library, device := need(t)
	t.Setenv(kernels.DisableVariable, "sha256d/opencl")
	if _, err := library.Open(device, sha256d.Program(), small); err == nil || !strings.Contains(err.Error(), kernels.DisableVariable) {
		t.Errorf("opened: %v", err)
	}
	device.Off = "it is big-endian"
	if _, err := library.Open(device, sha256d.Program(), small); err == nil || !strings.Contains(err.Error(), device.Off) {
		t.Errorf("opened: %v", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	library, device := need(t)
	f := func(call string, fault func(cl *opencl)) {
		t.Helper()
		_, err := faulty(library, fault).Open(device, sha256d.Program(), small)
		var failed *Error
		if !errors.As(err, &failed) || failed.Call != call {
			t.Errorf("%s: %v", call, err)
		}
	}
	f("clCreateContext", func(cl *opencl) {
		cl.createContext = func(_ *handle, _ uint32, _ *handle, _, _ uintptr, code *int32) handle { *code = -2; return 0 }
	})
	f("clCreateCommandQueue", func(cl *opencl) {
		cl.createCommandQueue = func(_, _ handle, _ uint64, code *int32) handle { *code = -6; return 0 }
	})
	f("clCreateBuffer", func(cl *opencl) {
		cl.createBuffer = func(_ handle, _ uint64, _, _ uintptr, code *int32) handle { *code = -4; return 0 }
	})
}
