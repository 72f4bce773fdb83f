//go:build itest

package itest

import (
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/chain/litecoin"
	"github.com/adit-pool/adit/pool/node/devnode"
)

// TestLitecoinDust asks litecoind, with the rules of the main network on, for the least output it relays, and
// holds the coin's dust rate to the answer.
func TestLitecoinDust(t *testing.T) {
	litecoind(t).Kill() // or skip
	node, err := devnode.StartLitecoind(t.Context(), devnode.LitecoindOptions{Dir: t.TempDir(), Args: []string{"-acceptnonstdtxn=0"}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	plain, wallet := nodeClient(node, ""), nodeClient(node, "/wallet/dust")
	defer plain.Close()
	defer wallet.Close()
	call := func(result any, method string, params ...any) {
		t.Helper()
		if err := wallet.Call(t.Context(), method, result, params...); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	if err := plain.Call(t.Context(), "createwallet", nil, "dust"); err != nil {
		t.Fatal(err)
	}
	var own string
	call(&own, "getnewaddress", "", "bech32")
	call(nil, "generatetoaddress", 101, own)
	var coins []struct {
		Txid   string
		Vout   int
		Amount jsonNumber
	}
	call(&coins, "listunspent")
	if len(coins) == 0 {
		t.Fatal("no coin")
	}
	reason := func(value int64) string {
		t.Helper()
		change := vout{Value: coins[0].Amount}.units(t) - value - 10_000
		var raw string
		call(&raw, "createrawtransaction", []any{map[string]any{"txid": coins[0].Txid, "vout": coins[0].Vout}},
			[]any{map[string]any{own: coinText(value)}, map[string]any{"data": "00"}, map[string]any{devnode.RegtestBurnAddress: coinText(change)}})
		var signed struct{ Hex string }
		call(&signed, "signrawtransactionwithwallet", raw)
		var verdict []struct {
			Allowed bool
			Reason  string `json:"reject-reason"`
		}
		call(&verdict, "testmempoolaccept", []string{signed.Hex})
		if len(verdict) != 1 {
			t.Fatalf("%v", verdict)
		}
		return verdict[0].Reason
	}
	chain, err := litecoin.New("mainnet")
	if err != nil {
		t.Fatal(err)
	}
	// An output to a witness key hash has 31 bytes, and spending it takes 67.
	least := int64(chain.Params().DustRate) * (31 + 67) / 1000
	if low, enough := reason(least-1), reason(least); low != "dust" || enough != "" {
		t.Errorf("litecoind says %q of %d and %q of %d; want dust, and nothing", low, least-1, enough, least)
	}
}

// coinText is an amount of base units as RPC takes it.
func coinText(units int64) string { return fmt.Sprintf("%d.%08d", units/1e8, units%1e8) }
