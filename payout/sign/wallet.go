package sign

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/psbt"
)

// Caller is a node's JSON-RPC.
type Caller interface {
	Call(ctx context.Context, method string, result any, params ...any) error
}

// Wallet has a node of the Bitcoin Core family sign with the wallet that Calls reaches. The wallet picks no
// coins: it only signs what it is given.
type Wallet struct{ Calls Caller }

// Sign is walletprocesspsbt with sighash ALL.
func (w Wallet) Sign(ctx context.Context, pkt *psbt.Packet) (*psbt.Packet, error) {
	b, err := packetBytes(pkt)
	if err != nil {
		return nil, err
	}
	var v struct {
		PSBT string `json:"psbt"`
	}
	if err := w.Calls.Call(ctx, "walletprocesspsbt", &v, base64.StdEncoding.EncodeToString(b), true, "ALL"); err != nil {
		return nil, fmt.Errorf("have the node's wallet sign: %w", err)
	}
	return Parse([]byte(v.PSBT))
}
