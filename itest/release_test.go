//go:build itest

package itest

import (
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A program whose formats all have the next version goes on from what the previous release wrote, and from
// what it reads it writes on: see TestPreviousRelease in pool/settle and elsewhere, which make test runs with today's.
func TestNextFormat(t *testing.T) {
	name, err := os.ReadFile("previous-release")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := hex.DecodeString(strings.TrimSpace(string(name))); err != nil || len(b) != 20 {
		t.Errorf("previous-release names no commit: %q", name)
	}
	cmd := exec.Command("go", "test", "-count=1", "-tags", "nextformat", "-run", "^TestPreviousRelease", "-v", "./pool/settle", "./pool/edge", "./pool/redis")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n--- PASS: TestPreviousRelease") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
}
