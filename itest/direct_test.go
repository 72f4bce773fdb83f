//go:build itest

package itest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker"
)

// TestCoinbaseDirect has a pool pay the accounts that are owed most by the coinbase of its next block: the node's
// own view of that coinbase is what the books take off their balances, and everything adds up after it.
func TestCoinbaseDirect(t *testing.T) {
	t.Setenv("ADIT_POOL__0__COINBASE_PAYEES", "2")
	s, _, _ := startRare(t)
	addresses := []string{"SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg", "sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr"}
	mine := func(rate float64) (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for _, address := range addresses {
			wg.Go(func() {
				if err := worker.Run(ctx, worker.Options{
					Pool: s.state.Stratum, User: address + ".rig", Kernel: sha256d.Kernel{}, Threads: 1, Limit: worker.NewLimit(rate), Log: zerolog.Nop(),
				}); err != nil {
					t.Errorf("rig of %s: %v", address, err)
				}
			})
		}
		once := sync.OnceFunc(func() { cancel(); wg.Wait() })
		t.Cleanup(once)
		return once
	}
	generate := func(n int) {
		t.Helper()
		for range n {
			var hashes []string
			s.await("a block of the node's own", time.Minute, func() error {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				return s.node().Call(ctx, "generate", &hashes, 1)
			})
		}
	}
	type credit struct{ Account, Address, Amount string }
	type block struct {
		Hash, State, Reward string
		Height              int64
		Coinbase            struct{ TxID string }
		Credits             []credit
		Paid                []credit `json:"paid_by_coinbase"`
	}
	var blocks struct{ Blocks []block }
	stop := mine(8_000) // slowly, so that both have shares in the first block
	s.await("a block that credits both", 3*time.Minute, func() error {
		if err := s.pool("/blocks?limit=100", &blocks); err != nil {
			return err
		}
		for _, b := range blocks.Blocks {
			var whole block
			if err := s.pool("/blocks/"+b.Hash, &whole); err != nil {
				return err
			}
			if b.State == "immature" && len(whole.Credits) == 2 {
				return nil
			}
		}
		return errors.New("none")
	})
	stop()
	// The oldest credits alone mature: who is owed more than a block brings is not named.
	if err := s.pool("/blocks?limit=100", &blocks); err != nil {
		t.Fatal(err)
	}
	var tip int64
	if err := s.node().Call(t.Context(), "getblockcount", &tip); err != nil {
		t.Fatal(err)
	}
	generate(int(blocks.Blocks[len(blocks.Blocks)-1].Height + 98 - tip))
	var d struct {
		List *struct{ Payees []struct{ Script string } }
	}
	for i := 0; i < 10 && (d.List == nil || len(d.List.Payees) == 0); i++ {
		generate(1)
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && (d.List == nil || len(d.List.Payees) == 0); time.Sleep(200 * time.Millisecond) {
			if err := json.Unmarshal([]byte(s.adit("payout", "direct", "--data-dir", s.dir, "--json")), &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d.List == nil || len(d.List.Payees) == 0 {
		t.Fatal("nobody is named though credits are mature")
	}
	t.Logf("%d are named", len(d.List.Payees))
	s.await("work that pays them", time.Minute, func() error {
		w := dialWire(t, s.state.Stratum)
		defer w.conn.Close()
		w.send(`{"id":1,"method":"mining.subscribe","params":["rig/1"]}`)
		w.send(`{"id":2,"method":"mining.authorize","params":["` + addresses[0] + `.rig","x"]}`)
		for _, q := range d.List.Payees {
			if suffix := w.notify()[3].(string); !strings.Contains(suffix, q.Script) {
				return fmt.Errorf("the coinbase ends in %s, without %s", suffix, q.Script)
			}
		}
		return nil
	})
	stop = mine(12_000)
	var direct block
	s.await("a block that pays them", 4*time.Minute, func() error {
		if err := s.pool("/blocks?limit=100", &blocks); err != nil {
			return err
		}
		for i := len(blocks.Blocks) - 1; i >= 0; i-- { // the newest is first
			if blocks.Blocks[i].State != "immature" {
				continue
			}
			if err := s.pool("/blocks/"+blocks.Blocks[i].Hash, &direct); err != nil {
				return err
			}
			if len(direct.Paid) == len(d.List.Payees) {
				return nil
			}
		}
		return errors.New("none")
	})
	stop()
	var tx struct{ Vout []vout }
	if err := s.node().Call(t.Context(), "getrawtransaction", &tx, direct.Coinbase.TxID, 1); err != nil {
		t.Fatal(err)
	}
	outputs, sum := map[int64]int{}, int64(0)
	for _, o := range tx.Vout {
		outputs[o.units(t)]++
		sum += o.units(t)
	}
	if fmt.Sprint(sum) != direct.Reward {
		t.Errorf("the coinbase pays %d in all, the books have %s", sum, direct.Reward)
	}
	for _, p := range direct.Paid {
		amount := bigInt(t, p.Amount).Int64()
		if outputs[amount]--; outputs[amount] < 0 {
			t.Errorf("no output of %d for %s", amount, p.Address)
		}
		var miner struct{ Paid, Available string }
		s.await("balance of "+p.Address, time.Minute, func() error {
			if err := errors.Join(s.pool("/blocks?limit=100", &blocks), s.pool("/miners/"+p.Address, &miner)); err != nil {
				return err
			}
			var all int64 // later blocks may have paid it too
			for _, b := range blocks.Blocks {
				var whole block
				if err := s.pool("/blocks/"+b.Hash, &whole); err != nil {
					return err
				}
				for _, q := range whole.Paid {
					if q.Address == p.Address && whole.State != "orphaned" {
						all += bigInt(t, q.Amount).Int64()
					}
				}
			}
			if miner.Paid != fmt.Sprint(all) {
				return fmt.Errorf("paid %s, available %s, coinbases paid %d", miner.Paid, miner.Available, all)
			}
			return nil
		})
	}
	generate(8) // comparisons leave the newest blocks out
	s.await("all in the ledger", time.Minute, func() error {
		if err := s.pool("/blocks?limit=100", &blocks); err != nil {
			return err
		}
		for _, b := range blocks.Blocks {
			if b.State == "submitted" {
				return errors.New("a block is not settled yet")
			}
		}
		return nil
	})
	t.Log(s.adit("payout", "reconcile", "--full", "--data-dir", s.dir))
	s.adit("verify", "--data-dir", s.dir)
	s.stop()
}
