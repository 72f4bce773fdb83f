package node

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// blockOn is a block's bytes as far as a fake node looks at them.
func blockOn(prev pool.Hash, salt string) (pool.Hash, []byte) {
	b := mineFake(prev, salt)
	return b.id, append(b.header[:], 1, 2, 3)
}

// What a node says is set against where the block is found.
func TestSubmit(t *testing.T) {
	const (
		nowhere = iota
		active
		side    // Core: confirmations -1
		btcdOut // btcd: known, and no height
	)
	f := func(word any, failure any, where int, want pool.SubmitResult) {
		t.Helper()
		fake := newFake(t, fakeChain(t, false))
		parent := fake.mine("parent")
		id, raw := blockOn(parent.id, "block")
		fake.set("submitblock", func([]json.RawMessage) (any, any) { return word, failure })
		b := fakeBlock{id: id, header: [80]byte(raw[:80])}
		switch where {
		case active:
			fake.mu.Lock()
			fake.add(b)
			fake.mu.Unlock()
		case side, btcdOut:
			fake.mine("winner")
			fake.set("getblockheader", func(params []json.RawMessage) (any, any) {
				var asked pool.Hash
				var verbose bool
				_ = json.Unmarshal(params[0], &asked)
				_ = json.Unmarshal(params[1], &verbose)
				switch {
				case asked == parent.id:
					return headerJSON(parent, 1, 2), nil
				case asked != id:
					return nil, rpcError{-5, "Block not found"}
				case where == side:
					return headerJSON(b, 2, -1), nil
				case verbose:
					return nil, rpcError{-32603, "Failed to obtain block height"}
				}
				return hexOf(b.header[:]), nil
			})
		}
		c := fake.client("n")
		got, reason, err := c.SubmitBlock(t.Context(), id, raw)
		if got != want || (err != nil) != (want == pool.SubmitUnknown) {
			t.Errorf("%v, %v in place %d: %s, %q, %v; want %s", word, failure, where, got, reason, err, want)
		}
		if where == side || where == btcdOut {
			if info, err := c.BlockInfo(t.Context(), id); err != nil || info.Height != 2 || info.Confirmations != -1 || info.Time != 1_700_000_000 {
				t.Errorf("side block: %+v, %v", info, err)
			}
		}
	}
	f(nil, nil, active, pool.SubmitAccepted)
	f("duplicate", nil, active, pool.SubmitAccepted)
	f("rejected: already have block 00", nil, active, pool.SubmitAccepted)
	f("high-hash", nil, active, pool.SubmitAccepted) // a lie that hurts nobody
	f(nil, rpcError{-1, "busy"}, active, pool.SubmitAccepted)

	f(nil, nil, nowhere, pool.SubmitUnknown) // btcd on an orphan
	f("inconclusive", nil, nowhere, pool.SubmitUnknown)
	f("prev-blk-not-found", nil, nowhere, pool.SubmitUnknown)
	f("duplicate-inconclusive", nil, nowhere, pool.SubmitUnknown)
	f("time-too-new", nil, nowhere, pool.SubmitUnknown) // true for a while only
	f("rejected: block timestamp of 2030 is too far in the future", nil, nowhere, pool.SubmitUnknown)
	f("rejected: already have block 00", nil, nowhere, pool.SubmitUnknown)
	f(nil, rpcError{-25, "verify error"}, nowhere, pool.SubmitUnknown)
	f(nil, rpcError{-28, "starting"}, nowhere, pool.SubmitUnknown)

	f("inconclusive", nil, side, pool.SubmitSideChain)
	f("duplicate", nil, side, pool.SubmitSideChain)
	f(nil, nil, btcdOut, pool.SubmitSideChain)
	f("rejected: already have block 00", nil, btcdOut, pool.SubmitSideChain)

	f("high-hash", nil, nowhere, pool.SubmitRejected)
	f("duplicate-invalid", nil, nowhere, pool.SubmitRejected)
	f("bad-txnmrklroot", nil, nowhere, pool.SubmitRejected)
	f("rejected", nil, nowhere, pool.SubmitRejected)
	f("rejected: block merkle root is invalid", nil, nowhere, pool.SubmitRejected)
	f("rejected: coinbase pays too much", nil, btcdOut, pool.SubmitRejected) // btcd knows the header of an invalid block
	f(nil, rpcError{-22, "Block decode failed"}, nowhere, pool.SubmitRejected)
}

// btcd has a block already, says not whether it is valid, and its list of tips does.
func TestSubmitInvalidTip(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	parent := fake.mine("parent")
	id, raw := blockOn(parent.id, "block")
	fake.set("submitblock", func([]json.RawMessage) (any, any) { return "rejected: already have block 00", nil })
	fake.set("getblockheader", func([]json.RawMessage) (any, any) {
		return headerJSON(fakeBlock{id, [80]byte(raw[:80])}, 2, -1), nil
	})
	fake.set("getchaintips", func([]json.RawMessage) (any, any) {
		return []any{map[string]any{"hash": id, "status": "invalid"}}, nil
	})
	if got, _, err := fake.client("n").SubmitBlock(t.Context(), id, raw); got != pool.SubmitRejected || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// A node that claims confirmations for a block which is not active at its height is not believed.
func TestSubmitLyingReadBack(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	id, raw := blockOn(pool.Hash{1}, "block")
	fake.mine("other")
	fake.set("submitblock", func([]json.RawMessage) (any, any) { return nil, nil })
	fake.set("getblockheader", func([]json.RawMessage) (any, any) {
		return headerJSON(fakeBlock{id, [80]byte(raw[:80])}, 1, 1), nil
	})
	if got, _, err := fake.client("n").SubmitBlock(t.Context(), id, raw); got != pool.SubmitUnknown || err == nil {
		t.Errorf("%s, %v", got, err)
	}
}

// A submission whose answer is lost, but which was carried out, is found by reading back.
func TestSubmitAnswerLost(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	tip := fake.mine("parent")
	c := fake.client("n")
	c.submit = rpc.New(rpc.Options{URL: fake.http.URL, User: "u", Password: "p", Timeout: time.Second})
	t.Cleanup(c.submit.Close)
	id, raw := blockOn(tip.id, "block")
	fake.set("submitblock", func([]json.RawMessage) (any, any) {
		fake.mu.Lock()
		fake.add(fakeBlock{id, [80]byte(raw[:80])})
		fake.mu.Unlock()
		<-fake.stop
		return nil, nil
	})
	if got, _, err := c.SubmitBlock(t.Context(), id, raw); got != pool.SubmitAccepted || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRawBlock(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	c := fake.client("n")
	id, raw := blockOn(fakeGenesis().id, "block")
	if got, _, err := c.SubmitBlock(t.Context(), id, raw); got != pool.SubmitAccepted {
		t.Fatal(got, err)
	}
	if got, err := c.RawBlock(t.Context(), id); err != nil || string(got) != string(raw) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := c.RawBlock(t.Context(), pool.Hash{1}); !errors.Is(err, pool.ErrNoBlock) {
		t.Errorf("unknown block: %v", err)
	}
	if _, err := c.BlockHash(t.Context(), 2); !errors.Is(err, pool.ErrNoBlock) {
		t.Errorf("unknown height: %v", err)
	}
	fake.set("getblock", func([]json.RawMessage) (any, any) { return hexOf(raw), nil })
	if _, err := c.RawBlock(t.Context(), pool.Hash{1}); err == nil || errors.Is(err, pool.ErrNoBlock) {
		t.Errorf("another block in its place: %v", err)
	}
}
