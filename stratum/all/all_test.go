package all_test

import (
	"os"
	"strings"
	"testing"

	"github.com/adit-pool/adit/stratum/all"
)

// Every folder beside this one is a dialect of that name, or one of the two that are not dialects.
func TestDialectsListsEveryFolder(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	folders := 0
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "all" || e.Name() == "stratumtest" || e.Name() == "testdata" {
			continue
		}
		folders++
		d, err := all.Named(e.Name())
		if err != nil || d.Name() != e.Name() {
			t.Errorf("folder %s: %v", e.Name(), err)
		}
	}
	if listed := len(all.Dialects()); listed != folders {
		t.Errorf("%d dialects listed, %d folders", listed, folders)
	}
}

func TestNamedUnknown(t *testing.T) {
	_, err := all.Named("v9")
	if err == nil || !strings.Contains(err.Error(), `"v9"`) || !strings.Contains(err.Error(), "v1") {
		t.Errorf("got %v", err)
	}
}
