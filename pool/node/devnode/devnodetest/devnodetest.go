// Package devnodetest finds the programs that tests run as real nodes. A program
// that is missing is built where it can be, else the test is skipped with the
// reason; with CI=true in the environment a skip is a failure.
package devnodetest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const module = "module github.com/adit-pool/adit\n"

// Btcd returns the path of btcd: $ADIT_BTCD, else bin/btcd of the repository,
// which is built when it is missing.
func Btcd(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ADIT_BTCD"); path != "" {
		return path
	}
	root := Root(t)
	path := filepath.Join(root, "bin", "btcd")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	t.Log("building bin/btcd, some 30 seconds")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// Several packages' tests may build at once: each renames its own file.
	own, err := os.MkdirTemp(filepath.Dir(path), "btcd-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(own)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(own, "btcd"), "github.com/btcsuite/btcd")
	build.Dir = filepath.Join(root, "tools", "btcd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build btcd: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(own, "btcd"), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Litecoind returns the path of litecoind.
func Litecoind(t testing.TB) string {
	t.Helper()
	return onPath(t, "litecoind")
}

// Redis returns the path of redis-server.
func Redis(t testing.TB) string {
	t.Helper()
	return onPath(t, "redis-server")
}

func onPath(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not on PATH, and in CI this test must run (make deps)", name)
	default:
		t.Skipf("%s is not on PATH (make deps installs it)", name)
	}
	return path
}

// Root returns the directory of the repository, found upwards from the working
// directory.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte(module)) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the repository's go.mod is not above the working directory")
		}
		dir = parent
	}
}
