package gpu

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/all"
)

const (
	simulator    = "/usr/lib/oclgrind/liboclgrind-rt.so"
	simulatedVar = "ADIT_TEST_SIMULATED" // in the child: which program to run, and how
)

// The simulator oclgrind finds no race, no faulty call and no
// access beyond memory in the programs; and it does find one that is put in.
func TestSimulator(t *testing.T) {
	if os.Getenv(simulatedVar) != "" {
		t.Skip("this is the child")
	}
	if _, err := os.Stat(simulator); err != nil {
		skip := t.Skipf
		if os.Getenv("CI") == "true" {
			skip = t.Fatalf
		}
		skip("the simulator is missing (tools/deps): %v", err)
	}
	f := func(name string, want string) {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "oclgrind.log")
			child := exec.Command(os.Args[0], "-test.run=^TestSimulated$", "-test.v")
			child.Env = append(os.Environ(), LibraryVariable+"="+simulator, simulatedVar+"="+name,
				"OCLGRIND_DATA_RACES=1", "OCLGRIND_CHECK_API=1", "OCLGRIND_LOG="+log)
			out, err := child.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestSimulated") {
				t.Fatalf("the child: %v\n%s", err, out)
			}
			found, err := os.ReadFile(log)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if want == "" && len(found) > 0 || !strings.Contains(string(found), want) {
				t.Errorf("the simulator says, want %q:\n%s", want, found)
			}
		})
	}
	for _, p := range all.Programs() {
		f(p.Kernel.Name(), "")
	}
	f("sha256d with a race", "data race")
}

// TestSimulated is the child of TestSimulator.
func TestSimulated(t *testing.T) {
	name, race := strings.CutSuffix(os.Getenv(simulatedVar), " with a race")
	if name == "" {
		t.Skip("run by TestSimulator")
	}
	library, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	devices, err := library.Devices()
	if err != nil {
		t.Fatal(err)
	}
	p, err := all.Program(name)
	if err != nil {
		t.Fatal(err)
	}
	if race {
		p.Source = strings.Replace(p.Source, "atomic_inc(found)", "(*found)++", 1)
	}
	// Open would try for long here: the simulator does some 100 items a second.
	s := &Search{cl: library.cl, device: devices[0], program: p, patience: 10 * patience}
	defer s.Close()
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	count := uint64(100)
	s.size = Size{Items: 64, Group: 16}
	if p.Scratch > 0 {
		count = 3
		s.size = Size{Items: 2, Group: 2}
	}
	if err := s.scratchFor(s.size.Items); err != nil {
		t.Fatal(err)
	}
	header := [kernels.HeaderSize]byte{1, 2, 3}
	always := [32]byte{0: 0xff, 1: 0xff}
	found, err := s.compare(&header, 0x7ffffff0, count, &always)
	if !race && (err != nil || found != int(count)) {
		t.Errorf("%d found of %d: %v", found, count, err)
	}
}
