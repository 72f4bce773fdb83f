package build

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// Fan decides the transaction that funds each part of a run: a baton for the next run first, then one output a
// part that holds all that the part pays, its fee twice over for a later bump, and enough for change. o has the
// coins, the baton in Fixed and the rules; its Pays are not used.
func Fan(o Order, parts [][]Pay, witness int64) (*Tx, error) {
	if len(parts) > maxParts {
		return nil, fmt.Errorf("%w: a run of %d transactions", ErrTooLarge, len(parts))
	}
	o.Pays, o.Bear, o.Own = nil, false, true
	for _, pays := range parts {
		m := &maker{Order: Order{Pays: pays, Home: o.Home}}
		for _, p := range pays {
			var err error
			if m.gross, err = m.gross.Add(p.Amount); err != nil {
				return nil, err
			}
		}
		m.merge()
		if err := m.add(Coin{Witness: witness}); err != nil {
			return nil, err
		}
		fee, _, err := Fee(m.weight(true), o.Rate)
		if err != nil {
			return nil, err
		}
		value := m.gross
		for _, a := range []pool.Amount{fee, fee, 2 * Dust(o.Home, o.DustRate)} {
			if value, err = value.Add(a); err != nil {
				return nil, err
			}
		}
		o.Fixed = append(o.Fixed, Output{Script: Hex(o.Home), Value: value, Kind: KindPart})
	}
	return Make(o)
}
