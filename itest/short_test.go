package itest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the API says, as somebody else's program would read it.

type blockView struct {
	Hash   string
	Height int64
	State  string
	Reward string
	Fee    string
	Carry  string
	FeePPM int64 `json:"fee_ppm"`
	Window *struct {
		First, Last uint64
		Rest        string
	}
	Credits []struct{ Account, Address, Amount string }
}

type payoutView struct {
	ID, State, TxID, Amount, Fee string
}

func bigInt(t *testing.T, s string) *big.Int {
	t.Helper()
	v, ok := new(big.Int).SetString(s, 10)
	if !ok {
		t.Fatalf("%q is not a number", s)
	}
	return v
}

// TestBlockCreditPayout is the main job on the built binary: a real btcd, Redis in process, three rigs
// over TCP; a block is found, credited to the last unit, matures and is paid, by btcd's own word.
func TestBlockCreditPayout(t *testing.T) {
	dir := t.TempDir()
	s := startDev(t, dir, "--redis", "embedded")
	mainJob(t, s)
	checkMetrics(t, s)
	s.stop()
	noChildren(t, dir)
}

// mainJob waits by the API for a block, a matured block and a confirmed payout, and checks them.
func mainJob(t *testing.T, s *site) {
	t.Helper()
	began := time.Now()
	var blocks struct {
		Blocks []blockView
		Total  int
		Next   *string
	}
	s.await("block", time.Minute, func() error {
		if err := s.pool("/blocks?limit=10", &blocks); err != nil || len(blocks.Blocks) == 0 {
			return errors.Join(errors.New("no block"), err)
		}
		return nil
	})
	t.Logf("first block seen after %v", time.Since(began).Round(100*time.Millisecond))
	var mature *blockView
	s.await("matured block", 3*time.Minute, func() error {
		mature = nil
		for next := ""; mature == nil; {
			blocks.Next = nil
			if err := s.pool("/blocks?limit=100"+next, &blocks); err != nil {
				return err
			}
			for i := range blocks.Blocks {
				if blocks.Blocks[i].State == "mature" {
					mature = &blocks.Blocks[i]
				}
			}
			if mature == nil && blocks.Next == nil {
				return errors.New("none is mature")
			}
			if blocks.Next != nil {
				next = "&cursor=" + *blocks.Next
			}
		}
		return nil
	})
	t.Logf("first matured block seen after %v", time.Since(began).Round(100*time.Millisecond))
	var whole blockView
	if err := s.pool("/blocks/"+mature.Hash, &whole); err != nil {
		t.Fatal(err)
	}
	checkCredits(t, s, &whole)

	var payouts struct{ Payouts []payoutView }
	var paid payoutView
	s.await("confirmed payout", 2*time.Minute, func() error {
		if err := s.pool("/payouts?limit=100", &payouts); err != nil {
			return err
		}
		for _, p := range payouts.Payouts {
			if p.State == "confirmed" || p.State == "final" {
				paid = p
				return nil
			}
		}
		return errors.New("none is confirmed")
	})
	t.Logf("first confirmed payout seen after %v", time.Since(began).Round(100*time.Millisecond))
	checkPayout(t, s, paid)
	if rss := residentMiB(s.cmd.Process.Pid); rss > 100 && !raceEnabled {
		t.Errorf("adit has %d MiB resident, more than 100", rss)
	} else {
		t.Logf("adit has %d MiB resident", rss)
	}
}

// checkCredits compares a block's split with what btcd says its coinbase paid.
func checkCredits(t *testing.T, s *site, b *blockView) {
	t.Helper()
	var block struct {
		Tx            []struct{ Vout []vout }
		RawTx         []struct{ Vout []vout }
		Confirmations int64
	}
	if err := s.node().Call(context.Background(), "getblock", &block, b.Hash, 2); err != nil {
		t.Fatalf("ask the node for block %s: %v", b.Hash, err)
	}
	txs := block.RawTx // btcd's name for them
	if len(txs) == 0 {
		txs = block.Tx
	}
	paid := int64(0)
	for _, o := range txs[0].Vout {
		paid += o.units(t)
	}
	sum := new(big.Int).Add(bigInt(t, b.Fee), bigInt(t, b.Carry))
	for _, c := range b.Credits {
		sum.Add(sum, bigInt(t, c.Amount))
	}
	if sum.Int64() != paid || b.Reward != strconv.FormatInt(paid, 10) {
		t.Errorf("block %s: credits + fee + carry = %v, reward %s, the coinbase paid %d", b.Hash, sum, b.Reward, paid)
	}
	if len(b.Credits) == 0 {
		t.Errorf("block %s credits nobody", b.Hash)
	}
}

type vout struct {
	Value        jsonNumber
	ScriptPubKey struct{ Hex string }
}

// jsonNumber keeps an amount as the node wrote it.
type jsonNumber string

func (n *jsonNumber) UnmarshalJSON(b []byte) error { *n = jsonNumber(b); return nil }

// units is the value in base units, exactly.
func (v vout) units(t *testing.T) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(string(v.Value))
	if !ok || !r.Mul(r, big.NewRat(1e8, 1)).IsInt() {
		t.Fatalf("amount %q of the node", v.Value)
	}
	return r.Num().Int64()
}

// checkPayout asks the node itself for the transaction.
func checkPayout(t *testing.T, s *site, p payoutView) {
	t.Helper()
	var tx struct {
		Confirmations int64
		Vout          []vout
	}
	if err := s.node().Call(context.Background(), "getrawtransaction", &tx, p.TxID, 1); err != nil {
		t.Fatalf("ask the node for payout %s: %v", p.TxID, err)
	}
	if tx.Confirmations < 1 {
		t.Errorf("payout %s has %d confirmations by the node", p.TxID, tx.Confirmations)
	}
	var whole struct {
		Payees []struct{ Address, Amount, Script string }
	}
	if err := s.pool("/payouts/"+p.ID, &whole); err != nil {
		t.Fatal(err)
	}
	outputs := map[int64]int{}
	for _, o := range tx.Vout {
		outputs[o.units(t)]++
	}
	sum := int64(0)
	for _, payee := range whole.Payees {
		amount := bigInt(t, payee.Amount).Int64()
		sum += amount
		if outputs[amount]--; outputs[amount] < 0 {
			t.Errorf("payout %s: no output of %d for %s", p.TxID, amount, payee.Address)
		}
	}
	if len(whole.Payees) == 0 || strconv.FormatInt(sum, 10) != p.Amount {
		t.Errorf("payout %s: payees get %d, amount is %s", p.TxID, sum, p.Amount)
	}
}

func residentMiB(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb / 1024
		}
	}
	return 0
}

// noChildren checks that no process works in a data directory any more.
func noChildren(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		found := processesOf(dir)
		if len(found) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running: %v", found)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func processesOf(dir string) []string {
	var found []string
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range entries {
		b, err := os.ReadFile(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.Contains(string(b), dir) && pid != os.Getpid() && syscall.Kill(pid, 0) == nil {
			found = append(found, fmt.Sprintf("%d %s", pid, strings.ReplaceAll(string(b), "\x00", " ")))
		}
	}
	return found
}
