package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// Any amount written as a float by either node family is read exactly.
func TestParseCoins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := pool.Amount(rapid.Int64Range(0, 21e14).Draw(t, "amount"))
		raw, err := json.Marshal(float64(want) / 1e8) // btcd
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(raw), want.Format(8)} {
			if got, err := parseCoins(json.Number(text), 8); err != nil || got != want {
				t.Fatalf("%s is read as %d, %v; want %d", text, got, err, want)
			}
		}
	})
	for _, bad := range []string{"", "x", "1e-9", "0.000000001", "1e300000000", "99999999999999", "0x10p99999999", "1/0"} {
		if got, err := parseCoins(json.Number(bad), 8); err == nil {
			t.Errorf("%q is read as %d", bad, got)
		}
	}
}

func TestGetTxOut(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	c := fake.client("n")
	fake.set("gettxout", func([]json.RawMessage) (any, any) {
		return json.RawMessage(`{"value":1e-8,"confirmations":3,"coinbase":true,"scriptPubKey":{"hex":"51"}}`), nil
	})
	out, found, err := c.GetTxOut(t.Context(), pool.Hash{1}, 0, true)
	if err != nil || !found || out.Value != 1 || out.Confirmations != 3 || !out.Coinbase || hexOf(out.Script) != "51" {
		t.Errorf("%+v, %v, %v", out, found, err)
	}
	fake.set("gettxout", func([]json.RawMessage) (any, any) { return nil, nil })
	if _, found, err := c.GetTxOut(t.Context(), pool.Hash{1}, 0, false); found || err != nil {
		t.Errorf("spent output: %v, %v", found, err)
	}
	fake.set("gettxout", func([]json.RawMessage) (any, any) { return nil, rpcError{-1, "busy"} })
	if _, _, err := c.GetTxOut(t.Context(), pool.Hash{1}, 0, false); err == nil {
		t.Error("an error is taken for a spent output")
	}
}

// recordedTx is the transaction of btcd's recorded template.
func recordedTx(t *testing.T) (pool.Hash, []byte) {
	var a answer
	if err := a.scan(record(t, "btcd-0.26.2.json").Template); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(string(a.txs[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	return a.txs[0].ID, raw
}

func TestSendRawTransaction(t *testing.T) {
	id, raw := recordedTx(t)
	fake := newFake(t, fakeChain(t, false))
	c := fake.client("n")
	f := func(answer, failure any, want SendResult, wantErr error) {
		t.Helper()
		fake.set("sendrawtransaction", func([]json.RawMessage) (any, any) { return answer, failure })
		got, how, err := c.SendRawTransaction(t.Context(), raw)
		if got != id || how != want || (err == nil) != (wantErr == nil) || wantErr != nil && !errors.Is(err, wantErr) {
			t.Errorf("%v, %v: %s, %s, %v", answer, failure, got, how, err)
		}
	}
	f(id, nil, SendAccepted, nil)
	f(pool.Hash{1}, nil, SendNothing, rpc.ErrResponse)
	f(nil, rpcError{-27, "Transaction already in block chain"}, SendMined, nil)
	f(nil, rpcError{-27, "Transaction outputs already in utxo set"}, SendMined, nil)
	f(nil, rpcError{-27, "TX rejected: transaction already exists"}, SendMined, nil)
	f(nil, rpcError{-26, "TX rejected: already have transaction 00"}, SendKnown, nil)
	f(nil, rpcError{-25, "txn-already-in-mempool"}, SendKnown, nil)
	f(nil, rpcError{-26, "min relay fee not met"}, SendNothing, ErrTxRejected)
	f(nil, rpcError{-25, "bad-txns-inputs-missingorspent"}, SendNothing, ErrTxRejected)
	fake.set("sendrawtransaction", func([]json.RawMessage) (any, any) { return nil, rpcError{-28, "starting"} })
	if _, _, err := c.SendRawTransaction(t.Context(), raw); err == nil || errors.Is(err, ErrTxRejected) {
		t.Errorf("a node that starts: %v", err)
	}
	before := fake.count("sendrawtransaction")
	if _, _, err := c.SendRawTransaction(t.Context(), append(raw, 0)); !errors.Is(err, ErrTxRejected) || fake.count("sendrawtransaction") != before {
		t.Errorf("bytes behind its end: %v", err)
	}
}

func TestRawTransaction(t *testing.T) {
	id, raw := recordedTx(t)
	fake := newFake(t, fakeChain(t, false))
	c := fake.client("n")
	fake.set("getrawtransaction", func([]json.RawMessage) (any, any) {
		return map[string]any{"hex": hexOf(raw), "confirmations": 2, "blockhash": pool.Hash{7}}, nil
	})
	tx, found, err := c.RawTransaction(t.Context(), id)
	if err != nil || !found || tx.Confirmations != 2 || tx.BlockHash != (pool.Hash{7}) || hexOf(tx.Raw) != hexOf(raw) {
		t.Errorf("%+v, %v, %v", tx, found, err)
	}
	if _, _, err := c.RawTransaction(t.Context(), pool.Hash{1}); !errors.Is(err, rpc.ErrResponse) {
		t.Errorf("another transaction in its place: %v", err)
	}
	f := func(message string, want error) {
		t.Helper()
		fake.set("getrawtransaction", func([]json.RawMessage) (any, any) { return nil, rpcError{-5, message} })
		if _, found, err := c.RawTransaction(t.Context(), id); found || !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, %v", message, found, err)
		}
	}
	f("No information available about transaction", nil)
	f("No such mempool or blockchain transaction. Use gettransaction for wallet transactions.", nil)
	f("The transaction index must be enabled to query the blockchain (specify --txindex)", ErrNoTxIndex)
	f("No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries.", ErrNoTxIndex)
}

func TestEstimateFeeRate(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	c := fake.client("n")
	f := func(method string, answer, failure any, rate pool.Amount, ok bool) {
		t.Helper()
		fake.set(method, func([]json.RawMessage) (any, any) { return answer, failure })
		if got, can, err := c.EstimateFeeRate(t.Context(), 6); err != nil || got != rate || can != ok {
			t.Errorf("%s %v: %d, %v, %v", method, answer, got, can, err)
		}
	}
	f("estimatefee", json.RawMessage(`0.0001234`), nil, 12340, true) // btcd: estimatesmartfee is not there
	f("estimatefee", json.RawMessage(`1e-05`), nil, 1000, true)
	f("estimatefee", json.RawMessage(`-1`), nil, 0, false)
	f("estimatefee", nil, rpcError{-32603, "not enough blocks have been observed"}, 0, false)
	f("estimatesmartfee", json.RawMessage(`{"feerate":0.00012340,"blocks":6}`), nil, 12340, true)
	f("estimatesmartfee", json.RawMessage(`{"errors":["Insufficient data or no feerate found"],"blocks":0}`), nil, 0, false)
	f("estimatesmartfee", json.RawMessage(`{"feerate":5.0}`), nil, 0, false) // nobody pays that
}

func TestMempoolAccept(t *testing.T) {
	fake := newFake(t, fakeChain(t, false))
	c := fake.client("n")
	if _, _, supported, err := c.TestMempoolAccept(t.Context(), []byte{1}); supported || err != nil {
		t.Errorf("not supported: %v, %v", supported, err)
	}
	fake.set("testmempoolaccept", func([]json.RawMessage) (any, any) {
		return json.RawMessage(`[{"allowed":false,"reject-reason":"missing-inputs"}]`), nil
	})
	if allowed, why, supported, err := c.TestMempoolAccept(t.Context(), []byte{1}); allowed || why != "missing-inputs" || !supported || err != nil {
		t.Errorf("%v, %q, %v, %v", allowed, why, supported, err)
	}
}
