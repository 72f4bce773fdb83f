package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/format"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/merkle"
	"github.com/adit-pool/adit/pool/slice"
)

// Proof shows that one amount, or one score, is in what a pool published, without the rest of it: whoever
// has the pool's signed head, or the root alone, needs nothing else to check it. It is JSON; exactly one of
// Row and Score is there.
type Proof struct {
	V     int         `json:"v"`
	Pool  string      `json:"pool"`
	Row   *RowProof   `json:"row,omitempty"`
	Score *ScoreProof `json:"score,omitempty"`
	// Head is the signed head that it leads to; without one it leads to a root.
	Head *ledger.SignedHead `json:"head,omitempty"`
}

// RowProof is about one row of a block's allocation file.
type RowProof struct {
	allocation.Row
	Path   []merkle.Step[allocation.RowSum] `json:"path"` // from the row to Root
	Root   merkle.Hash                      `json:"root"`
	Height int64                            `json:"height"`
	Block  pool.Hash                        `json:"block"`
	File   ledger.Hex                       `json:"file"`            // checksum of the allocation file
	Above  []merkle.Step[struct{}]          `json:"above,omitempty"` // from the block to the head's blocks_root
}

// ScoreProof is about one account in one slice.
type ScoreProof struct {
	pool.Weight
	Path   []merkle.Step[pool.Work] `json:"path"` // from the account to Root
	Root   merkle.Hash              `json:"root"`
	Number uint64                   `json:"number"`
	Record merkle.Hash              `json:"record"`          // hash of the slice's record
	Above  []merkle.Step[struct{}]  `json:"above,omitempty"` // from the slice to the head's slices_root
}

const proofVersion = 1 + format.Raise

// maxProof bounds a proof's text.
const maxProof = 64 << 10

// The refusals of proofs.
var (
	ErrProof   = errors.New("not a right proof")
	ErrNothing = errors.New("nothing to prove")
)

// ParseProof reads a proof strictly. It says nothing about whether it is right: see [Proof.Check].
func ParseProof(b []byte) (*Proof, error) {
	if len(b) > maxProof {
		return nil, fmt.Errorf("%w: %d bytes", ErrProof, len(b))
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var p Proof
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if len(bytes.TrimSpace(b[dec.InputOffset():])) != 0 {
		return nil, fmt.Errorf("%w: bytes after the object", ErrProof)
	}
	switch {
	case p.V < 1 || p.V > proofVersion:
		return nil, fmt.Errorf("%w: version %d, this program reads 1 to %d", ErrProof, p.V, proofVersion)
	case (p.Row == nil) == (p.Score == nil):
		return nil, fmt.Errorf("%w: it is to be about a row or about a score", ErrProof)
	case p.Row != nil && len(p.Row.File) != 32:
		return nil, fmt.Errorf("%w: no checksum of an allocation file", ErrProof)
	}
	return &p, nil
}

// Root is the root of the Merkle-sum tree that the proof leads to first.
func (p *Proof) Root() merkle.Hash {
	if p.Row != nil {
		return p.Row.Root
	}
	return p.Score.Root
}

// Check climbs from the row or score to Root, and when there is a head, on to it, whose signature it checks.
// Whether root or key are the pool's is for the caller to compare. The error wraps [ErrProof].
func (p *Proof) Check() error {
	var head, want merkle.Hash
	what := "blocks"
	if r := p.Row; r != nil {
		root, _, err := r.Climb(r.Path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProof, err)
		}
		if root != r.Root {
			return fmt.Errorf("%w: the row leads to root %s, not to %s", ErrProof, root, r.Root)
		}
		if head, err = ledger.ClimbBlocks(ledger.BlockLeaf{Height: r.Height, Block: r.Block, Sum: [32]byte(r.File), Root: r.Root}, r.Above); err != nil {
			return fmt.Errorf("%w: %w", ErrProof, err)
		}
	} else {
		s := p.Score
		root, _, err := slice.Climb(s.Weight, s.Path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProof, err)
		}
		if merkle.Hash(root) != s.Root {
			return fmt.Errorf("%w: the score leads to root %x, not to %s", ErrProof, root, s.Root)
		}
		node, err := merkle.Climb(slice.ChainLeaf(s.Number, s.Record, s.Root), s.Above, slice.ChainJoin)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProof, err)
		}
		head, what = node.Hash, "slices"
	}
	if p.Head == nil {
		return nil
	}
	text, err := p.Head.Bytes()
	if err == nil {
		_, err = ledger.ParseSignedHead(text)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if want = p.Head.BlocksRoot; p.Score != nil {
		want = p.Head.SlicesRoot
	}
	if head != want || p.Head.Pool != p.Pool {
		return fmt.Errorf("%w: it leads to %s %s, the signed head %s of pool %s has %s", ErrProof, what, head, p.Head.ID, p.Head.Pool, want)
	}
	return nil
}

// ProveRow makes the proof of an account's row in the allocation file of a block, up to the signed head with
// an id, or for "" the newest one, that speaks of the file as it is now.
func ProveRow(dir, poolID string, book *ledger.Book, doc *ledger.BlockDoc, account pool.AccountID, head string) (*Proof, error) {
	secret, err := allocation.ReadSecret(filepath.Join(dir, "secret"))
	if err != nil {
		return nil, err
	}
	raw, err := allocation.Read(filepath.Join(dir, "allocations"), doc.Hash)
	if err != nil {
		return nil, err
	}
	file, err := allocation.Parse(raw)
	if err != nil {
		return nil, err
	}
	leaf, ok := ledger.LeafOf(doc)
	if !ok || !bytes.Equal(leaf.Sum[:], file.Sum) || len(file.Root) == 0 {
		return nil, fmt.Errorf("%w: the allocation file of block %s has no root, or is not the ledger's", ErrNothing, doc.Hash)
	}
	r := &RowProof{Height: doc.Height, Block: doc.Hash, File: file.Sum, Root: leaf.Root}
	id := secret.Row(doc.Hash, account)
	if r.Path, ok, err = file.Path(id); err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("%w: account %s is not in the window of block %s", ErrNothing, account, doc.Hash)
	}
	for _, row := range file.Rows {
		if row.Row == id {
			r.Row = row
		}
	}
	p := &Proof{V: proofVersion, Pool: poolID, Row: r}
	leaves := make(map[pool.Hash]ledger.BlockLeaf)
	for e, err := range book.Entries(0) {
		if err != nil {
			return nil, err
		}
		if e.Subject == nil {
			continue
		}
		switch e.Subject.Set {
		case ledger.SetBlocks:
			d, err := decodeBlock(&e)
			if err != nil {
				return nil, err
			}
			if l, ok := ledger.LeafOf(d); ok {
				leaves[d.Hash] = l
			}
		case ledger.SetHeads:
			h, err := ledger.ParseSignedHead(e.Body)
			if err != nil {
				return nil, err
			}
			if leaves[doc.Hash] != leaf || head != "" && h.ID != head {
				continue
			}
			all := make([]ledger.BlockLeaf, 0, len(leaves))
			for _, l := range leaves {
				all = append(all, l)
			}
			_, r.Above, _ = ledger.BlocksTree(all, doc.Hash)
			p.Head = h
		}
	}
	if head != "" && p.Head == nil {
		return nil, fmt.Errorf("%w: the signed head %s does not speak of block %s as it is now", ErrNothing, head, doc.Hash)
	}
	return p, p.Check()
}

// ProveScore makes the proof of an account's score in a slice, up to the signed head with an id, or for ""
// the newest one, that has the slice.
func ProveScore(dir, poolID string, book *ledger.Book, number uint64, account pool.AccountID, head string) (*Proof, error) {
	p := &Proof{V: proofVersion, Pool: poolID}
	for id, body := range book.Docs(ledger.SetHeads) {
		h, err := ledger.ParseSignedHead(body)
		if err != nil {
			return nil, fmt.Errorf("signed head %s of the ledger: %w", id, err)
		}
		if h.Slices >= number && (head == "" || h.ID == head) {
			p.Head = h
		}
	}
	if head != "" && p.Head == nil {
		return nil, fmt.Errorf("%w: the signed head %s does not have slice %d", ErrNothing, head, number)
	}
	var chain []merkle.Node[struct{}]
	_, err := slice.ScanClosed(filepath.Join(dir, "slices"), func(at slice.Place, s *slice.Slice) error {
		if p.Head != nil && s.Number <= p.Head.Slices {
			chain = append(chain, slice.ChainLeaf(s.Number, at.Hash, s.Root))
		}
		if s.Number != number {
			return nil
		}
		path, ok, err := slice.Path(s.Weight, account)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: account %s has no score in slice %d", ErrNothing, account, number))
		}
		p.Score = &ScoreProof{Path: path, Root: s.Root, Number: number, Record: at.Hash}
		for _, w := range s.Weight {
			if w.Account == account {
				p.Score.Weight = w
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p.Score == nil {
		return nil, fmt.Errorf("%w: there is no closed slice %d", ErrNothing, number)
	}
	if p.Head != nil {
		if p.Score.Above, _, err = merkle.Path(chain, int(number-1), slice.ChainJoin); err != nil {
			return nil, err
		}
	}
	return p, p.Check()
}

// Text is the proof as it is written to a file.
func (p *Proof) Text() ([]byte, error) {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write a proof: %w", err)
	}
	return append(b, '\n'), nil
}
