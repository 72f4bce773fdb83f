package allocation

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/merkle"
)

// RowSum is what is summed over rows.
type RowSum struct {
	Score  pool.Work   `json:"score"`
	Amount pool.Amount `json:"amount"`
}

// rowNode is a row's leaf: SHA-256(0x00 ‖ row id 32 ‖ score 16 ‖ amount 8), integers little-endian.
func rowNode(row RowID, sum RowSum) merkle.Node[RowSum] {
	b := append(append([]byte{0}, row[:]...), sum.bytes()...)
	return merkle.Node[RowSum]{Hash: sha256.Sum256(b), Sum: sum}
}

// joinRows is SHA-256(0x01 ‖ left ‖ right ‖ score of both ‖ amount of both). It refuses amounts below zero.
func joinRows(l, r merkle.Node[RowSum]) (n merkle.Node[RowSum], err error) {
	if l.Sum.Amount < 0 || r.Sum.Amount < 0 {
		return n, fmt.Errorf("sum rows: an amount below zero")
	}
	if n.Sum.Score, err = l.Sum.Score.Add(r.Sum.Score); err != nil {
		return n, fmt.Errorf("sum the scores of rows: %w", err)
	}
	if n.Sum.Amount, err = l.Sum.Amount.Add(r.Sum.Amount); err != nil {
		return n, fmt.Errorf("sum the amounts of rows: %w", err)
	}
	b := append(append([]byte{1}, l.Hash[:]...), r.Hash[:]...)
	n.Hash = sha256.Sum256(append(b, n.Sum.bytes()...))
	return n, nil
}

func (s *RowSum) bytes() []byte {
	b, _ := s.Score.AppendBinary(nil)
	return binary.LittleEndian.AppendUint64(b, uint64(s.Amount))
}

func (a *File) tree() []merkle.Node[RowSum] {
	out := make([]merkle.Node[RowSum], len(a.Rows))
	for i := range a.Rows {
		out[i] = rowNode(a.Rows[i].Row, RowSum{a.Rows[i].Score, a.Rows[i].Amount})
	}
	return out
}

// root is the root of the Merkle-sum tree over the rows, and what they sum up to.
func (a *File) root() (merkle.Node[RowSum], error) { return merkle.Root(a.tree(), joinRows) }

// Path lists the neighbours of a row's leaf in the file's tree; ok is false when it has no such row.
func (a *File) Path(row RowID) (path []merkle.Step[RowSum], ok bool, err error) {
	i := slices.IndexFunc(a.Rows, func(r Row) bool { return r.Row == row })
	if i < 0 {
		return nil, false, nil
	}
	path, _, err = merkle.Path(a.tree(), i, joinRows)
	return path, true, err
}

// Climb is the root, and what it sums up to, of the file's tree that a row and its path are from.
func (r *Row) Climb(path []merkle.Step[RowSum]) (merkle.Hash, RowSum, error) {
	if r.Amount < 0 {
		return merkle.Hash{}, RowSum{}, fmt.Errorf("row of an amount below zero")
	}
	node, err := merkle.Climb(rowNode(r.Row, RowSum{r.Score, r.Amount}), path, joinRows)
	return node.Hash, node.Sum, err
}
