package sign

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/psbt"
)

// Keys sign together: the key of the reward address and those of addresses before it.
type Keys []*Key

// Sign lets every key sign the inputs that are its own. An input that is nobody's is an error.
func (k Keys) Sign(_ context.Context, pkt *psbt.Packet) (*psbt.Packet, error) {
	signed := make([]bool, len(pkt.Inputs))
	for _, key := range k {
		if err := key.sign(pkt, signed); err != nil {
			return nil, err
		}
	}
	for i, ok := range signed {
		if !ok {
			return nil, fmt.Errorf("input %d pays script %x, which no key here is for", i, pkt.Inputs[i].WitnessUtxo.PkScript)
		}
	}
	return pkt, nil
}

// Sources are what the keys spend from, in their order.
func (k Keys) Sources() []Source {
	var all []Source
	for _, key := range k {
		if s, err := SourceOf(key.Script()); err == nil { // always of a key
			all = append(all, s)
		}
	}
	return all
}

// Sources is what the key spends from alone.
func (k *Key) Sources() []Source { return Keys{k}.Sources() }
