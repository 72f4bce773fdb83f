//go:build itest

package itest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/payout"
)

// settle ends the faults and goes on until every batch is final and nothing is left to be paid.
func (c *payoutChaos) settle() {
	c.t.Helper()
	for _, p := range c.coins {
		for _, stop := range p.stops {
			stop()
		}
	}
	for _, p := range c.coins {
		c.until(p, "end of all payouts", func(code int) bool {
			if id := c.confirmed(p); id != "" {
				c.mine(p, 5)
				c.ask(p.active, p, "broadcast", id)
			}
			open := slices.ContainsFunc(c.batches(p), func(d *payout.BatchDoc) bool {
				return d.State != payout.StateFinal && d.State != payout.StateCancelled
			})
			return code == codeNothing && !open
		})
	}
}

// batches are all of a coin's payouts, as its active ledger has them.
func (c *payoutChaos) batches(p *payingCoin) []*payout.BatchDoc {
	c.t.Helper()
	var docs []*payout.BatchDoc
	c.await("list of "+p.name+"'s payouts", time.Minute, func() error {
		out, code := c.ask(p.active, p, "list", "--json")
		if code != 0 {
			p.active = c.other(p.active)
			return fmt.Errorf("exit code %d: %s", code, tail(out, 300))
		}
		return json.Unmarshal([]byte(out), &docs)
	})
	return docs
}

// judge reads the chains and gives the closing line.
func (c *payoutChaos) judge() (line string, clean bool) {
	c.t.Helper()
	clean = true
	var results []string
	for _, p := range c.coins {
		paid, twice, lost, strange := c.count(p)
		results = append(results, fmt.Sprintf("%s: %d batches paid once, %d twice, %d lost, %d payments of no batch", p.name, paid, twice, lost, strange))
		clean = clean && paid > 0 && twice+lost+strange == 0
		said, code := "", 0
		c.await("reconciliation of "+p.name, time.Minute, func() error { // a block of a moment ago may not be taken in yet
			if said, code = c.ask(p.active, p, "reconcile", "--full"); code != 0 {
				return fmt.Errorf("exit code %d: %s", code, tail(said, 1000))
			}
			return nil
		})
	}
	c.sameDisks()
	return fmt.Sprintf("chaos-payout: %s; %s; ledgers and chains %s", c.faults(), strings.Join(results, "; "),
		map[bool]string{true: "agree", false: "DO NOT AGREE"}[clean]), clean && !c.t.Failed()
}

// sameDisks ends both ledgers: what the disk of the one that stood by holds is what the other's begins with.
func (c *payoutChaos) sameDisks() {
	c.t.Helper()
	for _, p := range c.coins {
		c.until(p, "both disks", func(int) bool { return c.bothHave(p) })
	}
	for _, m := range c.ledgers {
		m.s.stop()
	}
	for _, p := range c.coins {
		a, err1 := os.ReadFile(c.log(c.ledgers[0], p))
		b, err2 := os.ReadFile(c.log(c.ledgers[1], p))
		if err1 != nil || err2 != nil {
			c.t.Fatal(err1, err2)
		}
		if n := min(len(a), len(b)); n == 0 || string(a[:n]) != string(b[:n]) {
			c.t.Errorf("the two disks hold other entries of %s: %d and %d bytes", p.name, len(a), len(b))
		}
	}
}

// bothHave reports whether no disk lacks a payout step that the other one has.
func (c *payoutChaos) bothHave(p *payingCoin) bool {
	a, b := c.steps(c.ledgers[0], p), c.steps(c.ledgers[1], p)
	return a > 0 && a == b
}

// steps counts the payout entries on a disk.
func (c *payoutChaos) steps(m *member, p *payingCoin) int {
	b, err := os.ReadFile(filepath.Clean(c.log(m, p)))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Count(string(b), `"kind":"payout.`)
}

// count holds a coin's chain against the batches of its ledger: the miners' scripts are paid by nothing else.
func (c *payoutChaos) count(p *payingCoin) (paid, twice, lost, strange int) {
	t := c.t
	t.Helper()
	byTx := map[string]*payout.BatchDoc{}
	seen := map[string]int{}
	for _, d := range c.batches(p) {
		if d.TxID != nil && len(d.Payees) > 0 && d.State == payout.StateFinal {
			byTx[d.TxID.String()] = d
		}
	}
	var height int64
	if err := p.calls.Call(t.Context(), "getblockcount", &height); err != nil {
		t.Fatal(err)
	}
	type output struct {
		Value        json.Number
		ScriptPubKey struct{ Hex string }
	}
	for h := int64(1); h <= height; h++ {
		var hash string
		var block struct {
			Tx []struct {
				Txid string
				Vout []output
			}
			RawTx []struct {
				Txid string
				Vout []output
			} // btcd's name for it
		}
		if err := p.calls.Call(t.Context(), "getblockhash", &hash, h); err != nil {
			t.Fatal(err)
		}
		if err := p.calls.Call(t.Context(), "getblock", &block, hash, 2); err != nil {
			t.Fatal(err)
		}
		txs := block.Tx
		if len(txs) == 0 || len(block.RawTx) > 0 {
			txs = block.RawTx
		}
		for _, tx := range txs[1:] {
			ours := 0
			for _, o := range tx.Vout {
				script, err := hex.DecodeString(o.ScriptPubKey.Hex)
				if err != nil {
					t.Fatal(err)
				}
				if p.scripts[string(script)] {
					ours++
				}
			}
			d := byTx[tx.Txid]
			switch {
			case d == nil && ours > 0:
				t.Logf("%s: transaction %s pays miners and is of no batch", p.name, tx.Txid)
				strange++
			case d != nil:
				seen[tx.Txid]++
				for _, q := range d.Payees {
					o := tx.Vout[*q.Vout]
					if o.ScriptPubKey.Hex != fmt.Sprintf("%x", []byte(q.Script)) || baseUnits(t, o.Value) != int64(q.Amount-q.Fee) {
						t.Errorf("%s: output %d of %s is %s to %s, the batch owes %d to %x", p.name, *q.Vout, tx.Txid, o.Value, o.ScriptPubKey.Hex, q.Amount, []byte(q.Script))
					}
				}
			}
		}
	}
	for txid, d := range byTx {
		switch seen[txid] {
		case 0:
			t.Logf("%s: batch %s is final and %s is not in the chain", p.name, d.ID, txid)
			lost++
		case 1:
			paid++
		default:
			twice++
		}
	}
	return paid, twice, lost, strange
}

// baseUnits reads an amount as nodes write it.
func baseUnits(t *testing.T, n json.Number) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(n.String())
	if !ok || !r.Mul(r, big.NewRat(100_000_000, 1)).IsInt() {
		t.Fatalf("amount %s", n)
	}
	return r.Num().Int64()
}
