package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/all"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// need gives the first device that can be used, such as PoCL's.
func need(t *testing.T) (*Library, Device) {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	library, err := Load("")
	if err != nil {
		missing("tests on a device need OpenCL (tools/deps): %v", err)
	}
	devices, err := library.Devices()
	for _, d := range devices {
		if d.Off == "" {
			return library, d
		}
	}
	missing("tests on a device need PoCL (tools/deps): %v", err)
	return nil, Device{}
}

// faulty is library with calls changed by fault.
func faulty(library *Library, fault func(cl *opencl)) *Library {
	cl := *library.cl
	fault(&cl)
	return &Library{&cl}
}

// small keeps launches short: a device that is a CPU shares it with other tests.
var small = Size{Group: 8, Items: 1 << 10}

func opened(t *testing.T, l *Library, d Device) *Search {
	t.Helper()
	s, err := l.Open(d, sha256d.Program(), small)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestDevices(t *testing.T) {
	library, first := need(t)
	devices, err := library.Devices()
	if err != nil {
		t.Error(err)
	}
	for i, d := range devices {
		if d.Index != i || d.Name == "" || d.Platform == "" || d.Driver == "" || d.Units < 1 || d.Memory == 0 {
			t.Errorf("device %d is described as %+v", i, d)
		}
	}
	if !strings.Contains(first.String(), first.Name) {
		t.Errorf("%v does not tell the name %s", first, first.Name)
	}
}

func TestVerifyAndRecord(t *testing.T) {
	library, device := need(t)
	path := filepath.Join(t.TempDir(), "adit", "devices.json")
	for _, p := range all.Programs() {
		t.Run(p.Kernel.Name(), func(t *testing.T) {
			report, err := library.Verify(t.Context(), device, p, 500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%v", report)
			if report.Ranges < 4 || report.Found == 0 || report.Rate <= 0 {
				t.Errorf("%+v", report)
			}
			records, err := OpenRecords(path)
			if err != nil {
				t.Fatal(err)
			}
			if records.Verified(device, p) {
				t.Error("verified before")
			}
			if err := records.Add(report); err != nil {
				t.Fatal(err)
			}
			if records, err = OpenRecords(path); err != nil || !records.Verified(device, p) {
				t.Errorf("not verified after: %v", err)
			}
			updated := device
			updated.Driver += ".1"
			if records.Verified(updated, p) {
				t.Error("verified with another driver")
			}
		})
	}
	// Both are kept, and a failure takes one away.
	records, err := OpenRecords(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := records.reports[0]
	failed.Error = "wrong"
	if err := records.Add(failed); err != nil {
		t.Fatal(err)
	}
	verified := 0
	for _, p := range all.Programs() {
		if records.Verified(device, p) {
			verified++
		}
	}
	if verified != len(all.Programs())-1 || len(records.reports) != len(all.Programs()) {
		t.Errorf("%d verified, %d reports", verified, len(records.reports))
	}
}

func TestRecordsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	if err := os.WriteFile(path, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRecords(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("damaged file: %v", err)
	}
}

// A search finds what the CPU finds: in ranges that are no multiple of a
// launch, that end at the last nonce, with few finds and with more than fit.
func TestScan(t *testing.T) {
	library, device := need(t)
	s := opened(t, library, device)
	f := func(first uint32, count uint64, target [32]byte) {
		t.Helper()
		header := [kernels.HeaderSize]byte{1, 2, 3, 76: 9, 77: 9}
		before := header
		var want, got []uint32
		kernel := sha256d.Generic{}
		hashes := kernel.Scan(&header, first, count, &target, func(n uint32) bool { want = append(want, n); return true })
		tried, err := s.Scan(t.Context(), &header, first, count, &target, func(n uint32) bool { got = append(got, n); return true })
		if err != nil || tried != hashes || !slices.Equal(got, want) || header != before {
			t.Errorf("Scan(%#x, %d): %d hashes, found %d, want %d and %d (%v)", first, count, tried, len(got), hashes, len(want), err)
		}
	}
	rare, often, always := [32]byte{0: 1}, [32]byte{0: 0x60}, [32]byte{0: 0xff, 1: 0xff}
	f(0, 0, often)
	f(5, 1, always)
	f(5, 7, always)
	f(0, 1<<10, always)
	f(77, 5000, rare)
	f(77, 5000, often)
	f(0xffffff00, 1<<40, often)
	f(0xffffffff, 1, always)
	if s.Wrong() != 0 {
		t.Errorf("%d wrong nonces", s.Wrong())
	}
}

// A search told to stop has tried exactly the nonces up to the last one found.
func TestStop(t *testing.T) {
	library, device := need(t)
	s := opened(t, library, device)
	var header [kernels.HeaderSize]byte
	often := [32]byte{0: 0x04}
	var whole, parts []uint32
	const count = 5000
	kernel := sha256d.Generic{}
	kernel.Scan(&header, 3, count, &often, func(n uint32) bool { whole = append(whole, n); return true })
	for at := uint64(0); at < count; {
		hashes, err := s.Scan(t.Context(), &header, uint32(3+at), count-at, &often, func(n uint32) bool { parts = append(parts, n); return false })
		if err != nil {
			t.Fatal(err)
		}
		at += hashes
	}
	if !slices.Equal(parts, whole) || len(whole) < 10 {
		t.Errorf("in parts %x, in one go %x", parts, whole)
	}
}

func TestContextEndsScan(t *testing.T) {
	library, device := need(t)
	s := opened(t, library, device)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var header [kernels.HeaderSize]byte
	often := [32]byte{0: 0x10}
	hashes, err := s.Scan(ctx, &header, 0, 1<<32, &often, func(uint32) bool { cancel(); return true })
	if err != nil || hashes == 0 || hashes > 100*small.Items {
		t.Errorf("%d hashes, %v", hashes, err)
	}
	if hashes, err = s.Scan(ctx, &header, 0, 1<<32, &often, nil); hashes != 0 || err != nil {
		t.Errorf("after its end: %d hashes, %v", hashes, err)
	}
}

func TestMissingLibrary(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "libOpenCL.so.1"), "libc.so.6"} {
		if _, err := Load(path); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestNoDriver(t *testing.T) {
	library, _ := need(t)
	f := func(code int32, platforms uint32) {
		t.Helper()
		l := faulty(library, func(cl *opencl) {
			cl.getPlatformIDs = func(_ uint32, _ *handle, total *uint32) int32 { *total = platforms; return code }
		})
		if devices, err := l.Devices(); !errors.Is(err, ErrNoDevice) || len(devices) != 0 || !strings.Contains(err.Error(), "ICD") {
			t.Errorf("%v, %v", devices, err)
		}
	}
	f(noPlatform, 0)
	f(0, 0)
}

// One platform fails, the devices of the others are listed; a card that two
// platforms show is used once.
func TestPlatforms(t *testing.T) {
	library, device := need(t)
	real := device.platform
	l := faulty(library, func(cl *opencl) {
		cl.getPlatformIDs = func(n uint32, platforms *handle, total *uint32) int32 {
			if total != nil {
				*total = 3
			}
			if n == 3 {
				copy(unsafe.Slice(platforms, 3), []handle{real, 77, real})
			}
			return 0
		}
		name, ids, info := cl.getPlatformInfo, cl.getDeviceIDs, cl.getDeviceInfo
		cl.getPlatformInfo = func(p handle, what uint32, size uintptr, to *byte, needed *uintptr) int32 {
			if p == 77 {
				return -32
			}
			return name(p, what, size, to, needed)
		}
		cl.getDeviceIDs = func(p handle, kind uint64, n uint32, to *handle, total *uint32) int32 {
			if p == 77 {
				return -6
			}
			return ids(p, kind, n, to, total)
		}
		cl.getDeviceInfo = func(d handle, what uint32, size uintptr, to *byte, needed *uintptr) int32 {
			switch what {
			case deviceExtensions:
				if needed != nil {
					*needed = 20
				} else {
					copy(unsafe.Slice(to, 20), "cl_khr_pci_bus_info\x00")
				}
				return 0
			case devicePCI:
				copy(unsafe.Slice(to, 16), []byte{0, 0, 0, 0, 0x2a, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0})
				return 0
			}
			return info(d, what, size, to, needed)
		}
	})
	devices, err := l.Devices()
	var failed *Error
	if !errors.As(err, &failed) || failed.Call != "clGetDeviceIDs" || !strings.Contains(err.Error(), "platform 1") {
		t.Errorf("the platform's error is %v", err)
	}
	if len(devices) < 2 || devices[0].Off != "" || devices[0].Bus != "0000:2a:03.1" {
		t.Fatalf("%+v", devices)
	}
	if last := devices[len(devices)-1]; last.Off != "the same card as device 0" {
		t.Errorf("%+v", last)
	}
}
