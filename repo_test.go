// Package repo_test holds the repository to its own rules: who may import whom,
// which modules it stands on, how packages are named, documented and listed, and
// how long a file may be. ARCHITECTURE.md tells the reasons.
package repo_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

const (
	module    = "github.com/adit-pool/adit"
	fileLimit = 800 // lines; generated files excepted
	fileAim   = 400
)

// imports says who may import whom, first match first. "x/..." is x and all
// below it, "..." is all. Beyond the table a package may import its parent
// folder, an "all" its siblings, and a package whose name ends in "test" what
// test files may: anything but cmd.
var imports = []importRule{
	{"cmd/...", []string{"..."}, "main wires everything and nothing imports it"},
	{"bench/...", []string{"..."}, "load generators drive every part"},
	{"itest/...", []string{"..."}, "whole-system tests"},
	{"kernels/...", nil, "hashing stands alone, so that it can be read and checked alone"},
	{"pool", nil, "the nouns and rules depend on nothing"},
	{"pool/chain/...", []string{"pool", "kernels/..."}, "a coin is pure"},
	{"pool/node", []string{"pool", "pool/node/rpc"}, "talks to nodes, knows no coin"},
	{"pool/node/rpc", []string{"pool"}, "talks to nodes, knows no coin"},
	{"pool/node/devnode", []string{"pool", "pool/node/rpc"}, "supervises nodes, knows no coin"},
	{"pool/journal", []string{"pool", "pool/format"}, "a log of shares, whoever reads it"},
	{"pool/format", nil, "one number that a build may raise"},
	{"pool/merkle", nil, "trees of hashes and sums, whatever is in them"},
	{"pool/ledger", []string{"pool", "pool/merkle", "pool/format"}, "books, whoever posts"},
	{"pool/edge", []string{"pool", "pool/journal", "pool/format"}, "serves miners without Redis"},
	{"pool/slice", []string{"pool", "pool/journal", "pool/merkle", "pool/format"}, "the order of shares on disk, whoever folds or checks it"},
	{"pool/allocation", []string{"pool", "pool/journal", "pool/ledger", "pool/merkle", "pool/slice", "pool/format"}, "one published file, whoever writes or checks it"},
	{"pool/settle", []string{"pool", "pool/journal", "pool/ledger", "pool/slice", "pool/allocation"}, "schemes come through an interface of pool"},
	{"pool/keeper", []string{"pool", "pool/journal", "pool/ledger", "pool/slice", "pool/allocation", "pool/settle"}, "a ledger role: its disk, its lease and its settler"},
	{"pool/audit", []string{"pool", "pool/journal", "pool/ledger", "pool/merkle", "pool/slice", "pool/allocation", "pool/format"}, "checks the settler's files without the settler"},
	{"pool/redis", []string{"pool", "pool/journal", "pool/ledger", "pool/edge", "pool/slice", "pool/settle", "pool/format"}, "the only door to Redis"},
	{"stratum/...", []string{"pool"}, "sessions, whatever the coin and the books"},
	{"worker/...", []string{"worker/...", "kernels/..."}, "a rig with its own codec: shared with the server's, one byte-order bug would hide in both"},
	{"payout/scheme/...", []string{"pool"}, "a scheme is a pure function"},
	{"payout/build", []string{"pool"}, "a transaction is decided by arithmetic alone"},
	{"payout/sign", []string{"pool"}, "keys know no books and no batches"},
	{"payout/claim", nil, "signatures of addresses stand alone"},
	{"payout/desk", []string{"payout", "pool", "pool/ledger"}, "answers commands, decides nothing"},
	{"payout", []string{"payout/build", "payout/sign", "payout/claim", "pool", "pool/ledger", "pool/node", "pool/node/rpc", "pool/chain/..."}, "pays from the books, by a node"},
	{"dashboard/web", nil, "HTTP, whatever is shown"},
	{"dashboard/locale", nil, "words and numbers, whatever is shown"},
	{"dashboard/view", []string{"pool", "pool/ledger", "payout"}, "what is shown, whoever asks"},
	{"dashboard/api", []string{"dashboard/view", "dashboard/web", "pool", "pool/ledger", "payout"}, "the same values for programs"},
	{"dashboard", []string{"dashboard/...", "pool", "pool/ledger", "payout"}, "shows, and calls the ledger role to act"},
}

// fenced modules and packages may be imported only where they are named. Test
// files, bench and itest are free.
var fenced = []struct {
	path  string // an import path or the start of one
	where []string
	why   string
}{
	{"github.com/valyala/fasthttp", []string{"dashboard/..."}, "one HTTP server in the product"},
	{"github.com/redis/go-redis", []string{"pool/redis"}, "every key and script in one place"},
	{"github.com/NVIDIA/go-nvml", []string{"worker/..."}, "needs cgo; only a rig has the card"},
	{"github.com/ebitengine/purego", []string{"kernels/gpu"}, "calls C without cgo; one place to watch"},
	{"github.com/chromedp", nil, "tests only"},
	{"pgregory.net/rapid", nil, "tests only"},
	{"go.uber.org/goleak", nil, "tests only"},
	{"testing", nil, "tests only"},
}

// pure packages do no I/O.
var pure = []string{"pool", "pool/chain/...", "payout/scheme/...", "kernels", "kernels/sha256d", "kernels/scrypt"}

var impure = []string{"net", "net/http", "os/exec"}

// integer packages count money; a float there is a rounding error in waiting.
var integer = []string{"pool/ledger/...", "payout/..."}

// areas are extended by one folder and one line in all/all.go; the value names
// folders there that are no extension, with the reason.
var areas = map[string]map[string]string{
	"pool/chain":    {},
	"kernels":       {"gpu": "hosts kernels, is none"},
	"stratum":       {},
	"payout/scheme": {},
}

var forbiddenNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "base"}

// modules are the direct dependencies, each with what it is for.
var modules = map[string]string{
	"filippo.io/age":                              "encrypts the payout key file",
	"github.com/NVIDIA/go-nvml":                   "telemetry of rigs; set by the user",
	"github.com/VictoriaMetrics/metrics":          "counters and histograms without a dependency tree",
	"github.com/alicebob/miniredis/v2":            "Redis in process for --dev without redis-server, and in tests",
	"github.com/btcsuite/btcd":                    "transactions and scripts outside the hot path",
	"github.com/btcsuite/btcd/btcec/v2":           "schnorr and ellswift",
	"github.com/btcsuite/btcd/btcutil":            "addresses",
	"github.com/btcsuite/btcd/btcutil/psbt":       "payout transactions as PSBT",
	"github.com/btcsuite/btcd/chaincfg/chainhash": "hash type of the btcd libraries",
	"github.com/chromedp/cdproto":                 "names of the browser's protocol, for chromedp",
	"github.com/chromedp/chromedp":                "a real browser in itest",
	"github.com/ebitengine/purego":                "dlopen of OpenCL without cgo",
	"github.com/holiman/uint256":                  "256-bit targets without allocation",
	"github.com/pelletier/go-toml/v2":             "configuration, with the line of an unknown key",
	"github.com/pires/go-proxyproto":              "the miner's address behind a proxy",
	"github.com/redis/go-redis/v9":                "Redis: single, Sentinel, Cluster; set by the user",
	"github.com/rs/zerolog":                       "logs; set by the user",
	"github.com/spf13/cobra":                      "commands and their help",
	"github.com/spf13/pflag":                      "cobra's flags, by their type",
	"github.com/valyala/fasthttp":                 "the dashboard's server; set by the user",
	"go.uber.org/goleak":                          "tests: no goroutine outlives its owner",
	"golang.org/x/crypto":                         "scrypt",
	"golang.org/x/sync":                           "errgroup",
	"golang.org/x/sys":                            "epoll, file locks, CPU flags",
	"golang.org/x/time":                           "rate limits",
	"pgregory.net/rapid":                          "tests: properties",
}

var checks = map[string]func([]file) []string{
	"imports": checkImports, "fences": checkFences, "floats": checkFloats,
	"comments": checkComments, "files": checkFiles, "areas": checkAreas,
}

func TestRepository(t *testing.T) {
	files, err := load(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			for _, line := range check(files) {
				t.Error(line)
			}
		})
	}
	for _, f := range files {
		if f.size > fileAim && !f.gen {
			t.Logf("%s has %d lines, aim below %d", f.path, f.size, fileAim)
		}
	}
}

func TestModules(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("read go.mod: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("read go.mod: %v", err)
	}
	for _, r := range mod.Require {
		if !r.Indirect && modules[r.Path] == "" {
			t.Errorf("go.mod requires %s: a new dependency needs its reason in the list", r.Path)
		}
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s", r.Old.Path)
	}
}
