package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// Lies of a node that the cheap truth finds before a miner sees the template.
func TestLies(t *testing.T) {
	tx := func(fee int, id string) map[string]any {
		return map[string]any{"data": "00", "txid": strings.Repeat(id, 64), "fee": fee}
	}
	f := func(what, want string, mainnet bool, tamper func(map[string]any)) {
		t.Helper()
		fake := newFake(t, fakeChain(t, mainnet))
		fake.mine("1")
		fake.lie(tamper)
		got, err := fake.client("liar").work(t.Context(), "")
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		if !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v\nwant a text with %q", what, got, err, want)
		}
	}
	f("nothing", "", true, nil)
	f("value above subsidy", "subsidy and fees are 5000000000", true, func(m map[string]any) { m["coinbasevalue"] = 50_0000_0001 })
	f("value within fees", "", true, func(m map[string]any) {
		m["transactions"] = []any{tx(7, "a")}
		m["coinbasevalue"] = 50_0000_0007
	})
	f("value above fees", "5000000007", true, func(m map[string]any) {
		m["transactions"] = []any{tx(7, "a")}
		m["coinbasevalue"] = 50_0000_0008
	})
	f("negative fee", "fee -1", true, func(m map[string]any) { m["transactions"] = []any{tx(-1, "a")} })
	f("fees that overflow", "overflows", true, func(m map[string]any) {
		m["transactions"] = []any{tx(1<<62, "a"), tx(1<<62, "b")}
	})
	f("a transaction twice", "twice", true, func(m map[string]any) { m["transactions"] = []any{tx(1, "a"), tx(1, "a")} })
	f("height", "height 3 on a parent of height 1", true, func(m map[string]any) { m["height"] = 3 })
	f("harder bits", "bits 1d00ffff", true, func(m map[string]any) { m["bits"] = "1d00ffff" })
	f("harder bits on a test network", "", false, func(m map[string]any) { m["bits"] = "1d00ffff" })
	f("bits without a target", "00000000", true, func(m map[string]any) { m["bits"] = "00000000" })
	f("unknown parent", "not in the node's active chain", true, func(m map[string]any) { m["previousblockhash"] = strings.Repeat("ab", 32) })
	f("mintime after curtime", "mintime", true, func(m map[string]any) { m["mintime"] = 4_000_000_000 })
	f("no mintime", "mintime is missing", true, func(m map[string]any) { delete(m, "mintime") })
	f("coinbasetxn in place of a value", "coinbasevalue is missing", true, func(m map[string]any) {
		delete(m, "coinbasevalue")
		m["coinbasetxn"] = map[string]any{}
	})
	f("unknown rule", "rule", true, func(m map[string]any) { m["rules"] = []string{"!newthing"} })
	f("a commitment of another form", "BIP141", true, func(m map[string]any) { m["default_witness_commitment"] = "6a0100" })

	// Easier bits need a parent of more work than the fake chain has.
	easy := &pool.Template{Height: 2, Bits: 0x1d00ffff, CoinbaseValue: 1}
	for bits, ok := range map[uint32]bool{0x1d00ffff: true, 0x1c3fffc0: true, 0x1c3fff00: true, 0x1c1fffe0: false, 0x1703255b: false} {
		if err := checkAgainst(easy, header{height: 1, bits: bits}, fakeChain(t, true)); (err == nil) != ok {
			t.Errorf("bits 1d00ffff after %08x: %v", bits, err)
		}
	}

	fake := newFake(t, fakeChain(t, true))
	fake.mine("1")
	fake.mine("2")
	old := fake.blocks[1].id
	fake.lie(func(m map[string]any) { m["previousblockhash"], m["height"] = old, 2 })
	if _, err := fake.client("late").work(t.Context(), ""); !errors.Is(err, errStale) {
		t.Errorf("template on an old tip: %v", err)
	}
}

// A header that a node gives must have the id asked for and the work it claims.
func TestFalseHeaders(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	b := fake.mine("1")
	c := fake.client("liar")
	f := func(what, want string, change func(map[string]any)) {
		t.Helper()
		fake.set("getblockheader", func([]json.RawMessage) (any, any) {
			h := headerJSON(b, 1, 1)
			change(h)
			return h, nil
		})
		if tip, err := c.Tip(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", what, tip, err)
		}
	}
	f("another block's header", "as that of", func(m map[string]any) { m["merkleroot"] = strings.Repeat("00", 32) })
	f("negative height", "height -1", func(m map[string]any) { m["height"] = -1 })
	f("no bits", "compact target", func(m map[string]any) { m["bits"] = "" })
	fake.set("getblockheader", nil)
	if _, err := c.Tip(t.Context()); err != nil {
		t.Error(err)
	}
	// An id that exists, but without work: any hash does as a claim.
	weak := fakeBlock{}
	for i := byte(0); ; i++ {
		pool.PutHeader(&weak.header, 0x20000000, b.id, pool.Hash{i}, 1_700_000_000, 0x1d00ffff, 0)
		if weak.id = pool.DoubleSHA256(weak.header[:]); weak.id[31] != 0 {
			break
		}
	}
	if err := c.checkHeader(&weak.header, weak.id); err == nil || !strings.Contains(err.Error(), "without proof of work") {
		t.Errorf("header without work: %v", err)
	}
}

// Lies that only the check beside the miners' work finds.
func TestVerifyTxs(t *testing.T) {
	read := func() *pool.Template {
		var a answer
		if err := a.scan(record(t, "btcd-0.26.2.json").Template); err != nil {
			t.Fatal(err)
		}
		tpl, err := a.template("n", fakeChain(t, false).Params())
		if err != nil {
			t.Fatal(err)
		}
		return tpl
	}
	f := func(what, want string, change func(*pool.Template)) {
		t.Helper()
		tpl := read()
		change(tpl)
		err := verifyTxs(tpl)
		if want == "" && err == nil {
			return
		}
		if err == nil || want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("nothing", "", func(*pool.Template) {})
	f("another txid", "is listed as", func(t *pool.Template) { t.Txs[0].ID[0] ^= 1 })
	f("no hex", "invalid byte", func(t *pool.Template) { t.Txs[0].Data[3] = 'x' })
	f("half a digit", "odd length", func(t *pool.Template) { t.Txs[0].Data = t.Txs[0].Data[1:] })
	f("a cut transaction", "EOF", func(t *pool.Template) { t.Txs[0].Data = t.Txs[0].Data[:20] })
	f("a longer transaction", "behind its end", func(t *pool.Template) { t.Txs[0].Data = append(t.Txs[0].Data, "00"...) })
	f("another witness", "computed is", func(t *pool.Template) {
		d := string(t.Txs[0].Data)
		t.Txs[0].Data = []byte(strings.Replace(d, "010151", "010152", 1))
	})
	f("no commitment", "no commitment", func(t *pool.Template) { t.WitnessCommitment = nil })
	f("another commitment", "computed is", func(t *pool.Template) { t.WitnessCommitment[20] ^= 1 })
	f("nothing to commit to", "", func(t *pool.Template) { t.Txs, t.WitnessCommitment = nil, nil })
	f("a transaction left out", "computed is", func(t *pool.Template) { t.Txs = nil })
}

func TestProposal(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	c := fake.client("n")
	tpl, err := c.work(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	f := func(answer any, failure any, want error) {
		t.Helper()
		var sent string
		fake.set("getblocktemplate", func(params []json.RawMessage) (any, any) {
			var p struct{ Mode, Data string }
			if err := json.Unmarshal(params[0], &p); err != nil || p.Mode != "proposal" {
				t.Errorf("proposal %s", params)
			}
			sent = p.Data
			return answer, failure
		})
		if err := c.verify(t.Context(), tpl); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("answer %v: %v", answer, err)
		}
		raw, err := hex.DecodeString(sent)
		if err != nil {
			t.Fatal(err)
		}
		if tx, err := fake.chain.ParseCoinbase(raw); err != nil || tx.Outputs[0].Value != tpl.CoinbaseValue {
			t.Errorf("proposed coinbase %+v, %v", tx, err)
		}
	}
	f(nil, nil, nil)
	f("bad-prevblk", nil, errStale)
	f("inconclusive-not-best-prevblk", nil, errStale)
	f("bad-cb-amount", nil, ErrTemplate)
	f("bad-txns-vin-empty", nil, ErrTemplate)
}

func TestNotReady(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	c := fake.client("n")
	f := func(code int, message, want string) {
		t.Helper()
		fake.set("getblocktemplate", func([]json.RawMessage) (any, any) { return nil, rpcError{code, message} })
		_, err := c.Template(t.Context(), "")
		var e *rpc.Error
		if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), want) || !errors.As(err, &e) || e.Code != code {
			t.Errorf("%d: %v", code, err)
		}
	}
	f(-9, "Bitcoin is not connected", "no peers")
	f(-10, "Bitcoin is downloading blocks...", "generate 1")
	f(-10, "Bitcoin Core is in initial sync and waiting for blocks...", "initial sync")
	f(-28, "Loading block index...", "starting up")
	f(-32601, "Method not found", "no getblocktemplate")
	fake.set("getblocktemplate", func([]json.RawMessage) (any, any) { return "not an object", nil })
	if _, err := c.Template(t.Context(), ""); !errors.Is(err, ErrTemplate) {
		t.Errorf("a string: %v", err)
	}
}

func TestWrongChain(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	c := fake.client("n")
	if err := c.CheckChain(t.Context()); err != nil {
		t.Error(err)
	}
	fake.mu.Lock()
	fake.blocks[0] = mineFake(pool.Hash{}, "another genesis")
	fake.mu.Unlock()
	if err := c.CheckChain(t.Context()); !errors.Is(err, ErrWrongChain) || !strings.Contains(err.Error(), fakeGenesis().id.String()) {
		t.Errorf("another chain: %v", err)
	}
}

func TestSynced(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	c := fake.client("n")
	f := func(info map[string]any, want bool, words string) {
		t.Helper()
		fake.set("getblockchaininfo", func([]json.RawMessage) (any, any) { return info, nil })
		if got, state, err := c.Synced(t.Context()); err != nil || got != want || !strings.Contains(state, words) {
			t.Errorf("%v: %v, %q, %v", info, got, state, err)
		}
	}
	f(map[string]any{"blocks": 9, "headers": 9}, true, "block 9")
	f(map[string]any{"blocks": 9, "headers": 10}, true, "block 9")
	f(map[string]any{"blocks": 9, "headers": 100}, false, "9 of 100")
	f(map[string]any{"blocks": 9, "headers": 9, "initialblockdownload": true}, false, "initial")
}
