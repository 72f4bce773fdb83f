package kernels_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGenerated runs the generator of every go:generate line below this folder
// and compares what it writes with what is checked in.
func TestGenerated(t *testing.T) {
	download := exec.Command("go", "mod", "download")
	download.Dir = "_asm"
	if out, err := download.CombinedOutput(); err != nil {
		skip := t.Skipf
		if os.Getenv("CI") == "true" {
			skip = t.Fatalf
		}
		skip("the generator's modules cannot be had: %v\n%s", err, out)
	}
	dir := t.TempDir()
	generator := filepath.Join(dir, "generator")
	build := exec.Command("go", "build", "-o", generator, ".")
	build.Dir = "_asm"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the generator: %v\n%s", err, out)
	}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^//go:generate go run -C (\S+) \. -out (\S+) -stubs (\S+) -pkg (\S+) (\S+)$`)
	written := map[string]bool{}
	for _, file := range append(here, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := line.FindAllStringSubmatch(string(text), -1)
		if len(found) != bytes.Count(text, []byte("\n//go:generate ")) {
			t.Errorf("%s: a go:generate line that this test does not know", file)
		}
		for _, m := range found {
			if at := filepath.Join(filepath.Dir(file), m[1]); at != "_asm" {
				t.Errorf("%s: generator in %s", file, at)
			}
			out, stubs := filepath.Join(dir, "out.s"), filepath.Join(dir, "stubs.go")
			run := exec.Command(generator, "-out", out, "-stubs", stubs, "-pkg", m[4], m[5])
			if text, err := run.CombinedOutput(); err != nil {
				t.Fatalf("write %s: %v\n%s", m[5], err, text)
			}
			for to, checkedIn := range map[string]string{out: m[2], stubs: m[3]} {
				path := filepath.Join("_asm", checkedIn)
				written[path] = true
				if !bytes.Equal(code(t, to), code(t, path)) {
					t.Errorf("%s is not what the generator writes: run go generate ./kernels/...", path)
				}
			}
		}
	}
	for _, pattern := range []string{"*.s", "*/*.s"} {
		all, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			if !written[path] && strings.HasSuffix(path, "_amd64.s") {
				t.Errorf("%s has no go:generate line", path)
			}
		}
	}
	if len(written) == 0 {
		t.Error("nothing is generated")
	}
}

// code is a file without its first line, which holds the command.
func code(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	return rest
}

// TestAssemblyDoesNotMixEncodings reads the assembly: a legacy SSE instruction
// amid VEX ones costs a hundred cycles on some CPUs, and so does every SSE
// instruction after a function that left the upper halves of registers in use.
// The SHA instructions exist in the legacy encoding only; they stand in files
// that use no register wider than 128 bits.
func TestAssemblyDoesNotMixEncodings(t *testing.T) {
	files, err := filepath.Glob("*/*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no assembly: %v", err)
	}
	vector := regexp.MustCompile(`\b[XYZ][0-9]+\b`)
	wide := regexp.MustCompile(`\b[YZ][0-9]+\b`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var legacy, usesWide bool
		var before string
		dirty := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "TEXT"):
				dirty = false
			case strings.HasPrefix(line, "SHA256"):
				legacy = true
			case line == "VZEROUPPER":
				dirty = false
			case line == "RET" && dirty:
				t.Errorf("%s: RET after %q without VZEROUPPER", file, before)
			case vector.MatchString(line) && !strings.HasPrefix(line, "V"):
				t.Errorf("%s: %q is not VEX encoded", file, line)
			}
			if wide.MatchString(line) {
				dirty, usesWide, before = true, true, line
			}
		}
		if legacy && usesWide {
			t.Errorf("%s: the SHA instructions beside registers wider than 128 bits", file)
		}
	}
}
