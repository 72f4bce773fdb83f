package all_test

import (
	"os"
	"strings"
	"testing"

	"github.com/adit-pool/adit/payout/scheme/all"
)

// Every folder beside this one is in the list, once.
func TestListIsComplete(t *testing.T) {
	listed := map[string]bool{}
	for _, m := range all.Schemes() {
		name := m.ID.String()
		if listed[name] {
			t.Errorf("%s is listed twice", name)
		}
		listed[name] = true
		s, err := all.Find(name, "2.5")
		if err != nil || s.ID() != m.ID {
			t.Errorf("Find(%q) = %v, %v", name, s, err)
		}
	}
	dirs, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if d.IsDir() && d.Name() != "all" && d.Name() != "testdata" && !listed[d.Name()] {
			t.Errorf("folder %s is not in the list", d.Name())
		}
	}
}

func TestFindRefuses(t *testing.T) {
	if _, err := all.Find("fpps", "2"); err == nil || !strings.Contains(err.Error(), "pplns, prop, solo") {
		t.Errorf("unknown scheme: %v", err)
	}
	if _, err := all.Find("pplns", "many"); err == nil {
		t.Error("bad window")
	}
}
