package repo_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

type importRule struct {
	pkg string
	may []string
	why string
}

// file is one parsed Go file of the repository.
type file struct {
	path string // relative to the root, with slashes
	dir  string // "." for the root
	test bool
	gen  bool
	size int // lines
	ast  *ast.File
}

// load parses every Go file of the module under root. Folders with a go.mod of
// their own are other modules.
func load(root fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != "." && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(p, "go.mod")); p != "." && err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, file{
			path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"),
			gen: ast.IsGenerated(tree), size: strings.Count(string(text), "\n"), ast: tree,
		})
		return nil
	})
	return files, err
}

// in reports whether pkg matches one of the patterns.
func in(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "..." {
			return true
		}
		if tree, ok := strings.CutSuffix(p, "/..."); ok {
			return pkg == tree || strings.HasPrefix(pkg, tree+"/")
		}
		return pkg == p
	})
}

// imported returns what f imports.
func (f file) imported() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// forTests reports whether only tests use f's package, or f is one.
func (f file) forTests() bool {
	return f.test || strings.HasSuffix(f.dir, "test") && f.dir != "itest"
}

func checkImports(files []file) (bad []string) {
	for _, f := range files {
		for _, p := range f.imported() {
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				continue
			}
			switch {
			case in(to, []string{"cmd/..."}) && !in(f.dir, []string{"cmd/..."}):
				bad = append(bad, fmt.Sprintf("%s imports %s: nothing imports cmd", f.path, to))
				continue
			case strings.HasSuffix(to, "test") && !f.forTests() && !in(f.dir, []string{"bench/...", "itest/..."}):
				bad = append(bad, fmt.Sprintf("%s imports %s, which is for tests", f.path, to))
				continue
			case f.forTests(), to == path.Dir(f.dir), path.Base(f.dir) == "all" && path.Dir(to) == path.Dir(f.dir):
				continue
			}
			for _, rule := range imports {
				if in(f.dir, []string{rule.pkg}) {
					if !in(to, rule.may) {
						bad = append(bad, fmt.Sprintf("%s imports %s; %s may import %v: %s", f.path, to, f.dir, rule.may, rule.why))
					}
					break
				}
			}
		}
		known := func(r importRule) bool { return in(f.dir, []string{r.pkg}) }
		if !f.forTests() && path.Base(f.dir) != "all" && !slices.ContainsFunc(imports, known) {
			bad = append(bad, fmt.Sprintf("%s: package %s is not in the import table", f.path, f.dir))
		}
	}
	return bad
}

func checkFences(files []file) (bad []string) {
	for _, f := range files {
		if f.forTests() || in(f.dir, []string{"bench/...", "itest/..."}) {
			continue
		}
		for _, p := range f.imported() {
			for _, fence := range fenced {
				if (p == fence.path || strings.HasPrefix(p, fence.path+"/")) && !in(f.dir, fence.where) {
					bad = append(bad, fmt.Sprintf("%s imports %s, allowed in %v: %s", f.path, p, fence.where, fence.why))
				}
			}
			if in(f.dir, pure) && slices.Contains(impure, p) {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s does no I/O", f.path, p, f.dir))
			}
		}
	}
	return bad
}

func checkFloats(files []file) (bad []string) {
	for _, f := range files {
		if f.forTests() || !in(f.dir, integer) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "float32" || n.Name == "float64" {
					bad = append(bad, fmt.Sprintf("%s uses %s: money is integer", f.path, n.Name))
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					bad = append(bad, fmt.Sprintf("%s uses %s: money is integer", f.path, n.Value))
				}
			}
			return true
		})
	}
	return bad
}

// checkComments wants one package comment per package, in a file that is no
// test unless the package is nothing but tests, and names that say something.
func checkComments(files []file) (bad []string) {
	comments, source := map[string]int{}, map[string]bool{}
	for _, f := range files {
		if !f.test {
			source[f.dir] = true
		}
	}
	for _, f := range files {
		comments[f.dir] += 0
		if f.ast.Doc != nil && (!f.test || !source[f.dir]) {
			comments[f.dir]++
		}
		for _, name := range []string{path.Base(f.dir), strings.TrimSuffix(f.ast.Name.Name, "_test")} {
			if slices.Contains(forbiddenNames, name) {
				bad = append(bad, fmt.Sprintf("%s: the name %s says nothing; name the thing", f.path, name))
			}
		}
	}
	for dir, n := range comments {
		if n != 1 {
			bad = append(bad, fmt.Sprintf("package %s has %d package comments, want 1", dir, n))
		}
	}
	return bad
}

func checkFiles(files []file) (bad []string) {
	for _, f := range files {
		if f.size > fileLimit && !f.gen {
			bad = append(bad, fmt.Sprintf("%s has %d lines, the limit is %d", f.path, f.size, fileLimit))
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && !f.test && !f.gen && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, fmt.Sprintf("%s has an init function: register in all.go, build in a constructor", f.path))
			}
		}
	}
	return bad
}

// checkAreas wants every extension of an area used by its all package.
func checkAreas(files []file) (bad []string) {
	for area, exceptions := range areas {
		listed, present := map[string]bool{}, map[string]bool{}
		for _, f := range files {
			if f.forTests() {
				continue
			}
			if f.dir == area+"/all" {
				for _, spec := range f.ast.Imports {
					p, _ := strconv.Unquote(spec.Path.Value)
					listed[strings.TrimPrefix(p, module+"/")] = true
					if spec.Name != nil && spec.Name.Name == "_" {
						bad = append(bad, fmt.Sprintf("%s imports %s for its side effects: list it", f.path, p))
					}
				}
			} else if path.Dir(f.dir) == area && exceptions[path.Base(f.dir)] == "" {
				present[f.dir] = true
			}
		}
		for dir := range present {
			if !listed[dir] {
				bad = append(bad, fmt.Sprintf("%s/all/all.go does not list %s", area, path.Base(dir)))
			}
		}
	}
	return bad
}

// TestChecksCatch shows every check a tree that breaks it, and one beside it
// that does not.
func TestChecksCatch(t *testing.T) {
	const ours = `import _ "` + module + "/"
	f := func(check string, path, source string, want ...string) {
		t.Helper()
		files, err := load(fstest.MapFS{path: {Data: []byte(source)}})
		if err != nil {
			t.Fatal(err)
		}
		got := checks[check](files)
		if len(got) != len(want) {
			t.Errorf("%s, %s: got %q, want %q", check, path, got, want)
			return
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s, %s: got %q, want %q", check, path, got[i], want[i])
			}
		}
	}
	f("imports", "pool/x.go", "package pool\n"+ours+`kernels"`, "depend on nothing")
	f("imports", "pool/x_test.go", "package pool\n"+ours+`kernels"`)
	f("imports", "pool/edge/x.go", "package edge\n"+ours+`pool/redis"`, "serves miners without Redis")
	f("imports", "pool/edge/x.go", "package edge\n"+ours+`pool/journal"`)
	f("imports", "pool/node/devnode/x.go", "package devnode\n"+ours+`pool/node"`)
	f("imports", "pool/chain/litecoin/x.go", "package litecoin\n"+ours+`pool/chain/bitcoin"`, "a coin is pure")
	f("imports", "pool/chain/all/x.go", "package all\n"+ours+`pool/chain/bitcoin"`)
	f("imports", "pool/chain/all/x.go", "package all\n"+ours+`stratum/v1"`, "a coin is pure")
	f("imports", "worker/x.go", "package worker\n"+ours+`stratum/v1"`, "byte-order bug")
	f("imports", "stratum/v1/x.go", "package v1\n"+ours+`stratum/stratumtest"`, "is for tests")
	f("imports", "stratum/v1/x_test.go", "package v1\n"+ours+`cmd/adit"`, "nothing imports cmd")
	f("imports", "bench/x.go", "package bench\n"+ours+`stratum/stratumtest"`)
	f("imports", "pool/stray/x.go", "package stray", "not in the import table")

	f("fences", "pool/redis/x.go", `package redis; import _ "github.com/redis/go-redis/v9"`)
	f("fences", "pool/settle/x.go", `package settle; import _ "github.com/redis/go-redis/v9"`, "one place")
	f("fences", "cmd/adit/x.go", `package main; import _ "github.com/valyala/fasthttp"`, "one HTTP server")
	f("fences", "pool/x.go", `package pool; import _ "testing/synctest"`, "tests only")
	f("fences", "pool/chain/bitcoin/x.go", `package bitcoin; import _ "net/http"`, "no I/O")
	f("fences", "pool/x.go", `package pool; import _ "net/netip"`)

	f("floats", "payout/scheme/pplns/x.go", "package pplns; var x float64", "float64")
	f("floats", "pool/ledger/x.go", "package ledger; const x = 1.5", "1.5")
	f("floats", "pool/ledger/x_test.go", "package ledger; const x = 1.5")
	f("floats", "pool/x.go", "package pool; var x float64")

	f("comments", "pool/x.go", "package pool", "0 package comments")
	f("comments", "pool/x.go", "// Package pool is.\npackage pool")
	f("comments", "itest/x_test.go", "// Package itest is.\npackage itest")
	f("comments", "pool/util/x.go", "// Package tools is.\npackage tools", "the name util")
	f("comments", "pool/x.go", "// Package common is.\npackage common", "the name common")

	f("files", "pool/x.go", "package pool"+strings.Repeat("\n", fileLimit+1), "the limit")
	f("files", "pool/x.go", "// Code generated by x. DO NOT EDIT.\npackage pool"+strings.Repeat("\n", fileLimit+1))
	f("files", "pool/x.go", "package pool; func init() {}", "init function")
	f("files", "pool/x.go", "package pool; type t int; func (t) init() {}")

	f("areas", "payout/scheme/prop/x.go", "package prop", "does not list prop")
	f("areas", "kernels/gpu/x.go", "package gpu")
	f("areas", "kernels/kerneltest/x.go", "package kerneltest")
	f("areas", "stratum/all/x.go", "package all\n"+ours+`stratum/v1"`, "side effects")
}
