package worker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	maxJobID           = 256 // characters; an echo, opaque to the rig
	maxMerkleBranch    = 64
	maxExtranonce1     = 64 // bytes
	maxExtranonce2Size = 64 // bytes
)

// job is a mining.notify, decoded. Byte orders are those of the header.
type job struct {
	id       string
	prevhash [32]byte // internal order, as in the header
	coinb1   []byte
	coinb2   []byte
	branch   [][32]byte // internal order, deepest first
	version  uint32
	nbits    uint32
	ntime    uint32
	clean    bool
}

// parseJob reads the nine params of mining.notify; more are ignored.
func parseJob(params []json.RawMessage) (*job, error) {
	if len(params) < 9 {
		return nil, fmt.Errorf("notify: %d params, want 9", len(params))
	}
	var j job
	var err error
	if j.id, err = text(params[0]); err != nil || len(j.id) > maxJobID {
		return nil, fmt.Errorf("notify: job id %.40q is not a short string", params[0])
	}
	prevhash, err := hexText(params[1], 32, 32)
	if err != nil {
		return nil, fmt.Errorf("notify: prevhash: %w", err)
	}
	j.prevhash = swapWords([32]byte(prevhash))
	if j.coinb1, err = hexText(params[2], 0, maxLine); err != nil {
		return nil, fmt.Errorf("notify: coinb1: %w", err)
	}
	if j.coinb2, err = hexText(params[3], 0, maxLine); err != nil {
		return nil, fmt.Errorf("notify: coinb2: %w", err)
	}
	var branch []json.RawMessage
	if err := json.Unmarshal(params[4], &branch); err != nil || len(branch) > maxMerkleBranch {
		return nil, fmt.Errorf("notify: merkle branch %.40q is not a short array", params[4])
	}
	for _, raw := range branch {
		node, err := hexText(raw, 32, 32)
		if err != nil {
			return nil, fmt.Errorf("notify: merkle branch: %w", err)
		}
		j.branch = append(j.branch, [32]byte(node))
	}
	for i, field := range []*uint32{&j.version, &j.nbits, &j.ntime} {
		b, err := hexText(params[5+i], 4, 4)
		if err != nil {
			return nil, fmt.Errorf("notify: %s: %w", []string{"version", "nbits", "ntime"}[i], err)
		}
		*field = binary.BigEndian.Uint32(b)
	}
	switch string(params[8]) {
	case "true":
		j.clean = true
	case "false":
	default:
		return nil, fmt.Errorf("notify: clean jobs %.40q is not a boolean", params[8])
	}
	return &j, nil
}

// merkleRoot is the header's merkle root (internal order) for a coinbase of
// coinb1 ‖ extranonce1 ‖ extranonce2 ‖ coinb2.
func (j *job) merkleRoot(extranonce1, extranonce2 []byte) [32]byte {
	coinbase := make([]byte, 0, len(j.coinb1)+len(extranonce1)+len(extranonce2)+len(j.coinb2))
	coinbase = append(coinbase, j.coinb1...)
	coinbase = append(coinbase, extranonce1...)
	coinbase = append(coinbase, extranonce2...)
	coinbase = append(coinbase, j.coinb2...)
	root := doubleSHA256(coinbase)
	for _, node := range j.branch {
		root = doubleSHA256(append(root[:], node[:]...))
	}
	return root
}

// header lays out the 80 bytes: LE32(version) ‖ prevhash ‖ root ‖ LE32(ntime) ‖
// LE32(nbits) ‖ LE32(nonce).
func (j *job) header(version uint32, root [32]byte, ntime, nonce uint32) (h [80]byte) {
	binary.LittleEndian.PutUint32(h[0:], version)
	copy(h[4:], j.prevhash[:])
	copy(h[36:], root[:])
	binary.LittleEndian.PutUint32(h[68:], ntime)
	binary.LittleEndian.PutUint32(h[72:], j.nbits)
	binary.LittleEndian.PutUint32(h[76:], nonce)
	return h
}

// rolled replaces the bits of version inside mask by those of bits.
func rolled(version, mask, bits uint32) uint32 {
	return version&^mask | bits&mask
}

// extranonce is what mining.subscribe and mining.set_extranonce give.
type extranonce struct {
	one     []byte // extranonce1
	twoSize int    // of extranonce2, in bytes
}

func parseExtranonce(one, twoSize json.RawMessage) (extranonce, error) {
	var x extranonce
	var err error
	if x.one, err = hexText(one, 0, maxExtranonce1); err != nil {
		return x, fmt.Errorf("extranonce1: %w", err)
	}
	x.twoSize, err = strconv.Atoi(string(twoSize))
	if err != nil || x.twoSize < 1 || x.twoSize > maxExtranonce2Size {
		return x, fmt.Errorf("extranonce2 size %.40q is not a whole number from 1 to %d", twoSize, maxExtranonce2Size)
	}
	return x, nil
}

// parseMask reads a version mask: 1 to 8 hex digits.
func parseMask(raw json.RawMessage) (uint32, error) {
	s, err := text(raw)
	if err != nil {
		return 0, fmt.Errorf("version mask: %w", err)
	}
	mask, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) > 8 {
		return 0, fmt.Errorf("version mask %.40q is not 1 to 8 hex digits", s)
	}
	return uint32(mask), nil
}

// hexText decodes a JSON string of hex digits into least..most bytes.
func hexText(raw json.RawMessage, least, most int) ([]byte, error) {
	s, err := text(raw)
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%.40q: %w", s, err)
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%.40q: %d bytes, want %d to %d", s, len(b), least, most)
	}
	return b, nil
}

// swapWords reverses the bytes inside each 4-byte group.
func swapWords(b [32]byte) [32]byte {
	for i := 0; i < 32; i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	return b
}

func doubleSHA256(b []byte) [32]byte {
	once := sha256.Sum256(b)
	return sha256.Sum256(once[:])
}
