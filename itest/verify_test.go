//go:build itest

package itest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestVerify lets a pool find blocks and holds adit verify, verify allocation and explain against its
// files: beside the running server, after it, and with one byte changed anywhere.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	s := startDev(t, dir, "--redis", "embedded")
	// Two blocks at one height happen; the one that loses before it is credited has no allocation.
	var blocks struct{ Blocks []blockView }
	s.await("blocks that stand", time.Minute, func() error {
		if err := s.get("/api/v1/pools/bitcoin/blocks?limit=100", &blocks); err != nil {
			return err
		}
		blocks.Blocks = slices.DeleteFunc(blocks.Blocks, func(b blockView) bool { return b.State != "immature" && b.State != "mature" })
		if len(blocks.Blocks) < 12 {
			return errors.New("too few")
		}
		return nil
	})
	if out := s.adit("verify", "--data-dir", dir); !strings.Contains(out, "all is right") {
		t.Errorf("beside the server:\n%s", out)
	}
	explained := 0
	for _, b := range blocks.Blocks[6:9] {
		var whole blockView
		if err := s.get("/api/v1/pools/bitcoin/blocks/"+b.Hash, &whole); err != nil {
			t.Fatal(err)
		}
		for _, c := range whole.Credits {
			explainCredit(t, s, &whole, c.Account, c.Amount)
			explained++
		}
		file := filepath.Join(dir, "bitcoin", "allocations", b.Hash+".json")
		for _, more := range [][]string{nil, {"--slices", filepath.Join(dir, "bitcoin", "slices")},
			{"--slices", filepath.Join(dir, "bitcoin", "slices"), "--secret", filepath.Join(dir, "bitcoin", "secret")}} {
			if out := s.adit(append([]string{"verify", "allocation", file}, more...)...); !strings.Contains(out, "all is right") {
				t.Errorf("allocation of block %s %v:\n%s", b.Hash, more, out)
			}
		}
	}
	if explained < 3 {
		t.Errorf("only %d credits were explained", explained)
	}
	decide(t, s)
	s.stop()
	out := s.adit("verify", "--data-dir", dir)
	if !strings.Contains(out, "all is right") || !strings.Contains(out, "the shares of 0 are released") {
		t.Errorf("after the server:\n%s", out)
	}
	t.Logf("\n%s", out)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, pattern := range []string{"journal/*/*.journal", "slices/*.slices", "slices/open", "ledger/ledger.log", "allocations/*.json"} {
		found, err := filepath.Glob(filepath.Join(dir, "bitcoin", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for range 8 {
			changeByte(t, random, dir, found[random.IntN(len(found))])
		}
	}
	if out := s.adit("verify", "--data-dir", dir); !strings.Contains(out, "all is right") {
		t.Errorf("after all was put back:\n%s", out)
	}
}

// explainCredit checks that adit explain comes to a credit by what it shows.
func explainCredit(t *testing.T, s *site, b *blockView, account, amount string) {
	t.Helper()
	var x struct {
		Score, Total, Rest                     string
		Pot, Floor, Unit, Amount, Ledger, Left json.Number
		Slices                                 []struct{ Part string }
		Entries                                []uint64
	}
	if err := json.Unmarshal([]byte(s.adit("explain", "--json", "--data-dir", s.dir, "--block", b.Hash, "--miner", account)), &x); err != nil {
		t.Fatal(err)
	}
	if x.Amount.String() != amount || x.Ledger.String() != amount || len(x.Entries) == 0 {
		t.Errorf("block %s credits %s with %s, explained are %s and %s", b.Hash, account, amount, x.Amount, x.Ledger)
	}
	exact := bigInt(t, x.Score)
	exact.Mul(exact, bigInt(t, x.Pot.String()))
	floor, rest := exact.QuoRem(exact, bigInt(t, x.Total), bigInt(t, "0"))
	if floor.String() != x.Floor.String() || rest.String() != x.Rest {
		t.Errorf("block %s: floor %s rest %s, recomputed %v and %v", b.Hash, x.Floor, x.Rest, floor, rest)
	}
	text := s.adit("explain", "--data-dir", s.dir, "--block", fmt.Sprint(b.Height), "--miner", account)
	for _, want := range []string{x.Score, x.Total, x.Pot.String(), amount, "Both are equal"} {
		if !strings.Contains(text, want) {
			t.Errorf("the explanation does not say %s:\n%s", want, text)
		}
	}
}

// changeByte changes one byte of a file, expects adit verify to name the file and fail, and puts it back.
func changeByte(t *testing.T, random *rand.Rand, dir, path string) {
	t.Helper()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	now := bytes.Clone(was)
	at := random.IntN(len(now))
	now[at] ^= byte(1 + random.IntN(255))
	if err := os.WriteFile(path, now, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(aditBinary, "verify", "--data-dir", dir).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), path) {
		t.Errorf("byte %d of %s changed from %#x to %#x: %v\n%s", at, path, was[at], now[at], err, tail(string(out), 2000))
	}
	if err := os.WriteFile(path, was, 0o600); err != nil {
		t.Fatal(err)
	}
}

// decide changes the fee and a balance as two people would, and holds the ledger rebuilt from disk against
// the running one.
func decide(t *testing.T, s *site) {
	t.Helper()
	people := []string{"--data-dir", s.dir, "--author", "ann", "--approver", "bob", "--reason", "a test"}
	var tip int64
	if err := s.node().Call(t.Context(), "getblockcount", &tip); err != nil {
		t.Fatal(err)
	}
	from := tip + 20 // some seconds of blocks
	fee := append([]string{"ledger", "fee", "--ppm", "25000", "--height", fmt.Sprint(from)}, people...)
	if out, err := exec.Command(aditBinary, append(fee, "--approver", "Ann")...).CombinedOutput(); err == nil || !strings.Contains(string(out), "same person") {
		t.Errorf("approved by its author: %v %s", err, out)
	}
	if out, err := exec.Command(aditBinary, append(fee, "--height", "1")...).CombinedOutput(); err == nil || !strings.Contains(string(out), "past") {
		t.Errorf("a fee for blocks of the past: %v %s", err, out)
	}
	if out := s.adit(fee...); !strings.Contains(out, "fee version 2") {
		t.Error(out)
	}
	s.await("block with the new fee", time.Minute, func() error {
		var blocks struct{ Blocks []blockView }
		if err := s.get("/api/v1/pools/bitcoin/blocks?limit=100", &blocks); err != nil {
			return err
		}
		seen := false
		for _, b := range blocks.Blocks {
			if want := int64(10_000); b.Height >= from {
				want = 25_000
				seen = seen || b.State == "immature"
				if b.FeePPM != want {
					t.Errorf("block at height %d has a fee of %d ppm", b.Height, b.FeePPM)
				}
			} else if b.FeePPM != want {
				t.Errorf("block at height %d has a fee of %d ppm", b.Height, b.FeePPM)
			}
		}
		if !seen {
			return errors.New("none")
		}
		return nil
	})
	var blocks struct{ Blocks []blockView }
	var whole blockView
	s.await("a credit whose address the pages know", time.Minute, func() error {
		if err := s.get("/api/v1/pools/bitcoin/blocks?limit=100", &blocks); err != nil {
			return err
		}
		for _, b := range blocks.Blocks {
			if err := s.get("/api/v1/pools/bitcoin/blocks/"+b.Hash, &whole); err != nil {
				return err
			}
			if len(whole.Credits) > 0 && whole.Credits[0].Address != "" {
				return nil
			}
		}
		return errors.New("none")
	})
	adjust := append([]string{"ledger", "adjust", "--miner", whole.Credits[0].Address, "--amount", "1234", "--key", "ticket 7"}, people...)
	if out := s.adit(adjust...); !strings.Contains(out, "+1234") || strings.Contains(out, "made before") {
		t.Error(out)
	}
	if out := s.adit(adjust...); !strings.Contains(out, "made before") {
		t.Error(out)
	}
	if out := s.adit("ledger", "rebuild", "--data-dir", s.dir); !strings.Contains(out, "both are equal") {
		t.Error(out)
	}
	if out := s.adit("payout", "reconcile", "--data-dir", s.dir); !strings.Contains(out, "agree") {
		t.Error(out)
	}
	if out := s.adit("ledger", "fees", "--data-dir", s.dir); !strings.Contains(out, "ann, bob: a test") {
		t.Error(out)
	}
}
