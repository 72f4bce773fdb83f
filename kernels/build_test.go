package kernels_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var passed = regexp.MustCompile(`(?m)^ +--- PASS: TestImplementations/sha2-2x `)

// The kernels' tests pass without any assembly.
func TestPurego(t *testing.T) {
	tests(t, "go", "test", "-tags", "purego", "-run", "TestKernel|TestSums|TestHashBatch", "./sha256d", "./scrypt")
}

// The arm64 code is right as far as an emulator can tell.
func TestARM64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		skip := t.Skipf
		if os.Getenv("CI") == "true" {
			skip = t.Fatalf
		}
		skip("the emulator is missing (tools/deps): %v", err)
	}
	for _, pkg := range []string{".", "./sha256d"} {
		program := filepath.Join(t.TempDir(), "arm64.test")
		build := exec.Command("go", "test", "-c", "-o", program, pkg)
		build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s for arm64: %v\n%s", pkg, err, out)
		}
		// On an emulator that has the instructions a skip is a failure, too.
		out := tests(t, qemu, "-cpu", "max", program, "-test.v", "-test.run", "^(TestKernel|TestImplementations|TestSums|TestClock|FuzzImplementations|FuzzSum)$")
		if pkg == "./sha256d" && !passed.Match(out) {
			t.Errorf("the SHA-2 instructions were not used:\n%s", out)
		}
	}
}

func tests(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", program, args, err, out)
	}
	return out
}
