package repo_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/invariants.md names exists in the package that it names before it.
func TestInvariantsAreProven(t *testing.T) {
	text, err := os.ReadFile("docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`([a-z0-9/]+)` |\\b(Test[A-Za-z0-9]+)")
	rows := 0
	for line := range strings.Lines(string(text)) {
		dir, proofs := "", 0
		for _, m := range names.FindAllStringSubmatch(line, -1) {
			if m[1] != "" {
				dir = m[1]
				continue
			}
			if dir == "" {
				continue // prose
			}
			proofs++
			files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				found = found || strings.Contains(string(b), "func "+m[2]+"(t *testing.T)")
			}
			if !found {
				t.Errorf("%s is not in %s", m[2], dir)
			}
		}
		if regexp.MustCompile(`^\| [0-9]+ \|`).MatchString(line) {
			if rows++; proofs == 0 {
				t.Errorf("nothing proves: %s", line)
			}
		}
	}
	if rows != 12 {
		t.Errorf("%d invariants", rows)
	}
}
