package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
	"github.com/adit-pool/adit/pool/merkle"
)

// SetHeads holds the signed heads, by [SignedHead.ID].
const SetHeads = "heads"

// SignedHead is what a pool says, once a period and for ever, about its books: whoever keeps one notices when
// anything before it is changed later. It is compact JSON with one newline at its end; the signature is
// ed25519 over the same bytes with signature "".
type SignedHead struct {
	V    int    `json:"v"`
	Pool string `json:"pool"`
	ID   string `json:"id"`   // beginning of its period, UTC: 20060102T150405Z
	Time int64  `json:"time"` // Unix milliseconds at which it was signed
	// The last entry of the ledger, and the hash of its line.
	Seq  uint64 `json:"seq"`
	Term uint64 `json:"term"`
	Hash Hex    `json:"hash"`
	// How many blocks have an allocation file, and the root of the tree over them: see [BlockLeaf].
	Blocks     uint64      `json:"blocks"`
	BlocksRoot merkle.Hash `json:"blocks_root"`
	// How many slices are closed, and the root of the tree over them: see package slice.
	Slices     uint64      `json:"slices"`
	SlicesRoot merkle.Hash `json:"slices_root"`

	Key       Hex `json:"key"` // ed25519 public key
	Signature Hex `json:"signature"`
}

const signedVersion = 1 + format.Raise

// ErrSignedHead is wrapped by every refusal of a signed head.
var ErrSignedHead = errors.New("not a right signed head")

// HeadKey signs heads.
type HeadKey ed25519.PrivateKey

// ReadHeadKey reads the key's seed in a file of 64 hex digits.
func ReadHeadKey(path string) (HeadKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key of signed heads: %w", err)
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the key of signed heads in %s is not 64 hex digits: restore it from the backup of the ledger", path)
	}
	return HeadKey(ed25519.NewKeyFromSeed(seed)), nil
}

// NewHeadKey returns a new key, and the text that [ReadHeadKey] reads.
func NewHeadKey() (HeadKey, []byte) {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // never fails: crypto/rand ends the program instead
	return HeadKey(ed25519.NewKeyFromSeed(seed[:])), append(hex.AppendEncode(nil, seed[:]), '\n')
}

// Public is the key that signatures are checked with.
func (k HeadKey) Public() []byte { return ed25519.PrivateKey(k).Public().(ed25519.PublicKey) }

// Sign completes h and returns it as it is published.
func (k HeadKey) Sign(h *SignedHead) ([]byte, error) {
	h.V, h.Key, h.Signature = signedVersion, k.Public(), nil
	b, err := h.encode()
	if err != nil {
		return nil, err
	}
	h.Signature = ed25519.Sign(ed25519.PrivateKey(k), b)
	return h.encode()
}

func (h *SignedHead) encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("write a signed head: %w", err)
	}
	return append(b, '\n'), nil
}

// Bytes is the head as it is published.
func (h *SignedHead) Bytes() ([]byte, error) { return h.encode() }

// maxSignedHead bounds one head's text.
const maxSignedHead = 4096

// ParseSignedHead reads a head strictly and checks its signature by the key that it names. Whether that is
// the pool's key is for the caller to know. The newline at the end may be missing.
func ParseSignedHead(b []byte) (*SignedHead, error) {
	if len(b) > maxSignedHead {
		return nil, fmt.Errorf("%w: %d bytes", ErrSignedHead, len(b))
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var h SignedHead
	if err := dec.Decode(&h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignedHead, err)
	}
	if h.V < 1 || h.V > signedVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads 1 to %d", ErrSignedHead, h.V, signedVersion)
	}
	again, err := h.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(bytes.TrimSuffix(b, []byte("\n")), again[:len(again)-1]) {
		return nil, fmt.Errorf("%w: its bytes are not as they were written", ErrSignedHead)
	}
	if len(h.Hash) != 32 || len(h.Key) != ed25519.PublicKeySize || h.Seq == 0 {
		return nil, fmt.Errorf("%w: it names no entry or no key", ErrSignedHead)
	}
	bare := h
	bare.Signature = nil
	signed, err := bare.encode()
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(ed25519.PublicKey(h.Key), signed, h.Signature) {
		return nil, fmt.Errorf("%w: the signature is not by the key %x", ErrSignedHead, []byte(h.Key))
	}
	return &h, nil
}

// BlockLeaf is what a signed head says of one block: the sum of its allocation file, and the root of the
// Merkle-sum tree over the file's rows.
type BlockLeaf struct {
	Height int64
	Block  pool.Hash
	Sum    [32]byte
	Root   merkle.Hash // zero for a file without a root
}

// LeafOf is a block's leaf; ok is false when it has no allocation file.
func LeafOf(doc *BlockDoc) (leaf BlockLeaf, ok bool) {
	if len(doc.Allocation) != 32 {
		return BlockLeaf{}, false
	}
	leaf = BlockLeaf{Height: doc.Height, Block: doc.Hash, Sum: [32]byte(doc.Allocation)}
	copy(leaf.Root[:], doc.AllocationRoot)
	return leaf, true
}

// node is SHA-256(0x00 ‖ height 8, little-endian ‖ block in internal byte order ‖ sum of the file ‖ root).
func (l *BlockLeaf) node() merkle.Node[struct{}] {
	b := binary.LittleEndian.AppendUint64([]byte{0}, uint64(l.Height))
	b = append(append(b, l.Block[:]...), l.Sum[:]...)
	return merkle.Node[struct{}]{Hash: sha256.Sum256(append(b, l.Root[:]...))}
}

// joinBlocks is SHA-256(0x01 ‖ left ‖ right).
func joinBlocks(l, r merkle.Node[struct{}]) (merkle.Node[struct{}], error) {
	b := append(append([]byte{1}, l.Hash[:]...), r.Hash[:]...)
	return merkle.Node[struct{}]{Hash: sha256.Sum256(b)}, nil
}

// BlocksTree sorts the leaves by height, then by hash in internal byte order, and gives the root over them
// and, when block has one, the path of its leaf.
func BlocksTree(leaves []BlockLeaf, block pool.Hash) (root merkle.Hash, path []merkle.Step[struct{}], found bool) {
	leaves = slices.Clone(leaves)
	slices.SortFunc(leaves, func(a, b BlockLeaf) int {
		if a.Height != b.Height {
			return int(min(max(a.Height-b.Height, -1), 1))
		}
		return bytes.Compare(a.Block[:], b.Block[:])
	})
	nodes, index := make([]merkle.Node[struct{}], len(leaves)), -1
	for i := range leaves {
		nodes[i] = leaves[i].node()
		if leaves[i].Block == block {
			index = i
		}
	}
	path, node, _ := merkle.Path(nodes, index, joinBlocks) // nothing is summed: it does not fail
	return node.Hash, path, index >= 0
}

// ClimbBlocks is the root of the tree that a block's leaf and its path are from.
func ClimbBlocks(leaf BlockLeaf, path []merkle.Step[struct{}]) (merkle.Hash, error) {
	node, err := merkle.Climb(leaf.node(), path, joinBlocks)
	return node.Hash, err
}
