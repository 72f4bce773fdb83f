package slice

import (
	"cmp"
	"fmt"
)

// StreamID names the stream of one edge's journal epoch.
type StreamID struct {
	Edge  string
	Epoch uint64
}

// String is "edge/epoch in 16 hex digits".
func (id StreamID) String() string { return fmt.Sprintf("%s/%016x", id.Edge, id.Epoch) }

// Compare orders streams by edge and epoch.
func Compare(a, b StreamID) int {
	return cmp.Or(cmp.Compare(a.Edge, b.Edge), cmp.Compare(a.Epoch, b.Epoch))
}
