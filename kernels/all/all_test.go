package all_test

import (
	"os"
	"strings"
	"testing"

	"github.com/adit-pool/adit/kernels/all"
)

// Every folder beside this one is a kernel of that name, or one of the four that
// are not kernels.
func TestKernelsListsEveryFolder(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	folders := 0
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "all" || e.Name() == "kerneltest" || e.Name() == "gpu" || e.Name() == "_asm" {
			continue
		}
		folders++
		if _, err := all.Named(e.Name()); err != nil {
			t.Errorf("folder %s: %v", e.Name(), err)
		}
	}
	if listed := len(all.Kernels()); listed != folders {
		t.Errorf("%d kernels listed, %d folders", listed, folders)
	}
}

func TestNamedUnknown(t *testing.T) {
	_, err := all.Named("x11")
	if err == nil || !strings.Contains(err.Error(), `"x11"`) || !strings.Contains(err.Error(), "sha256d") {
		t.Errorf("got %v", err)
	}
}
