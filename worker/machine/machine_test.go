package machine

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/adit-pool/adit/kernels/gpu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// look is the machine with an empty place for records.
func look(t *testing.T, algorithm string) *Machine {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	m, err := Look(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestProcessor(t *testing.T) {
	m := look(t, "scrypt")
	p := m.Parts()[0]
	if p.Name != "cpu" || p.Model == "" || p.Path == "" || !p.Verified || p.Off != "" {
		t.Errorf("%+v", p)
	}
	devices, err := m.Devices(nil, Tuning{Threads: 3, CPUs: []int{0, 1}, Intensity: 50, Limit: 80})
	if err != nil || len(devices) != 1 {
		t.Fatalf("%+v, %v", devices, err)
	}
	d := devices[0]
	if d.Name != "cpu" || d.Threads != 3 || !slices.Equal(d.CPUs, []int{0, 1}) || d.Intensity != 50 || d.Limit != 80 || d.Path != p.Path {
		t.Errorf("%+v", d)
	}
	if _, err := Look("x11"); err == nil || !strings.Contains(err.Error(), `unknown kernel "x11"`) {
		t.Error(err)
	}
	if _, err := m.Devices([]string{"gpu99"}, Tuning{}); err == nil || !strings.Contains(err.Error(), `no device is named "gpu99"`) {
		t.Error(err)
	}
	if _, err := m.Verify(t.Context(), "cpu", time.Second); err == nil || !strings.Contains(err.Error(), "needs no verification") {
		t.Error(err)
	}
}

// A machine without OpenCL says so and mines with its processor.
func TestWithoutOpenCL(t *testing.T) {
	t.Setenv(gpu.LibraryVariable, "/nonexistent/libOpenCL.so")
	m := look(t, "sha256d")
	if len(m.Parts()) != 1 || !strings.Contains(strings.Join(m.Notes(), "\n"), gpu.ErrNoLibrary.Error()) {
		t.Errorf("%+v, %v", m.Parts(), m.Notes())
	}
	if devices, err := m.Devices(nil, Tuning{}); err != nil || len(devices) != 1 {
		t.Errorf("%+v, %v", devices, err)
	}
}

// An OpenCL device is refused until it is verified; then it finds what the
// processor finds.
func TestVerifyAndUse(t *testing.T) {
	m := look(t, "sha256d")
	if len(m.Parts()) < 2 || m.Parts()[1].Off != "" {
		if os.Getenv("CI") == "true" && runtime.GOOS == "linux" {
			t.Fatalf("no OpenCL device: %v", m.Notes())
		}
		t.Skipf("needs an OpenCL device, such as pocl-opencl-icd: %v", m.Notes())
	}
	if devices, err := m.Devices(nil, Tuning{}); err != nil || len(devices) != 1 {
		t.Fatalf("an unverified device is used: %+v, %v", devices, err)
	}
	if _, err := m.Devices([]string{"gpu0"}, Tuning{}); err == nil || !strings.Contains(err.Error(), "--verify-device gpu0") {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Verify(gone, "gpu0", time.Second); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	report, err := m.Verify(t.Context(), "gpu0", 200*time.Millisecond)
	if err != nil || report.Found == 0 {
		t.Fatalf("%v\n%v", err, report)
	}
	again, err := Look("sha256d")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	devices, err := again.Devices([]string{"gpu0"}, Tuning{})
	if err != nil || len(devices) != 1 || devices[0].Name != "gpu0" || devices[0].Path != "opencl" {
		t.Fatalf("%+v, %v", devices, err)
	}
	target := [32]byte{0, 0x10}
	var header [80]byte
	var got, want []uint32
	n, err := devices[0].Search.Scan(t.Context(), &header, 5, 1<<16, &target, func(n uint32) bool { got = append(got, n); return true })
	if err != nil || n != 1<<16 {
		t.Fatalf("%d, %v", n, err)
	}
	again.Kernel().Scan(&header, 5, 1<<16, &target, func(n uint32) bool { want = append(want, n); return true })
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("found %d nonces, the processor %d", len(got), len(want))
	}
	// OpenCL on a processor competes with its threads: only by name.
	if p := again.Parts()[1]; p.Kind == "cpu" {
		if devices, err := again.Devices(nil, Tuning{}); err != nil || len(devices) != 1 {
			t.Errorf("%+v, %v", devices, err)
		}
	}
}
