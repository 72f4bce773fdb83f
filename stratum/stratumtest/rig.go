package stratumtest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Rig follows what a server sends and finds shares, from the wire alone: it is written from the
// description of Stratum V1 and shares no code with the server.
type Rig struct {
	Extranonce1     string
	Extranonce2Size int
	Difficulty      string // text of the last mining.set_difficulty
	Job             Job    // of the last mining.notify

	pending string // difficulty for the next job
}

// Job is a mining.notify as it stood on the wire.
type Job struct {
	ID, PrevHash, Coinb1, Coinb2 string
	Branch                       []string
	Version, Bits, NTime         string
	Clean                        bool
	Difficulty                   string // in force when it came
}

// See reads one line of the server.
func (r *Rig) See(line string) error {
	var m struct {
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
		Result json.RawMessage   `json:"result"`
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return fmt.Errorf("line %q: %w", line, err)
	}
	switch m.Method {
	case "mining.set_difficulty":
		if len(m.Params) != 1 {
			return errors.New("mining.set_difficulty has not one parameter")
		}
		r.pending = string(m.Params[0])
	case "mining.notify":
		var j Job
		into := []any{&j.ID, &j.PrevHash, &j.Coinb1, &j.Coinb2, &j.Branch, &j.Version, &j.Bits, &j.NTime, &j.Clean}
		if len(m.Params) != len(into) {
			return fmt.Errorf("mining.notify has %d parameters", len(m.Params))
		}
		for i, p := range m.Params {
			if err := json.Unmarshal(p, into[i]); err != nil {
				return fmt.Errorf("mining.notify parameter %d: %w", i, err)
			}
		}
		r.Difficulty = r.pending
		j.Difficulty = r.pending
		r.Job = j
	case "mining.set_extranonce":
		if len(m.Params) != 2 {
			return errors.New("mining.set_extranonce has not two parameters")
		}
		if err := errors.Join(json.Unmarshal(m.Params[0], &r.Extranonce1), json.Unmarshal(m.Params[1], &r.Extranonce2Size)); err != nil {
			return fmt.Errorf("mining.set_extranonce: %w", err)
		}
	case "":
		var sub []json.RawMessage
		if json.Unmarshal(m.Result, &sub) == nil && len(sub) == 3 {
			if err := errors.Join(json.Unmarshal(sub[1], &r.Extranonce1), json.Unmarshal(sub[2], &r.Extranonce2Size)); err != nil {
				return fmt.Errorf("result of mining.subscribe: %w", err)
			}
		}
	}
	return nil
}

// Share is a found share in the texts of mining.submit.
type Share struct {
	Job, Extranonce2, NTime, Nonce, VersionBits string
	Hash                                        [32]byte // internal order
}

// Target is diff1/difficulty of Bitcoin, from the difficulty's text.
func Target(difficulty string) *big.Int {
	d, ok := new(big.Rat).SetString(difficulty)
	if !ok || d.Sign() <= 0 {
		panic("stratumtest: difficulty " + difficulty)
	}
	one := new(big.Int).Lsh(big.NewInt(0xffff), 208)
	one.Mul(one, d.Denom())
	return one.Quo(one, d.Num())
}

// Find searches the job's nonces from first on for a hash between above (exclusive, nil for none) and the
// target of the job's difficulty.
func (j *Job) Find(extranonce1, extranonce2 string, versionBits, first uint32, above *big.Int) (Share, error) {
	coinbase := unhex(j.Coinb1 + extranonce1 + extranonce2 + j.Coinb2)
	root := sha256d(coinbase)
	for _, b := range j.Branch {
		root = sha256d(append(root[:], unhex(b)...))
	}
	header := make([]byte, 80)
	binary.LittleEndian.PutUint32(header, be32(j.Version)|versionBits)
	prev := unhex(j.PrevHash)
	for i := 0; i < 32; i += 4 {
		binary.LittleEndian.PutUint32(header[4+i:], binary.BigEndian.Uint32(prev[i:]))
	}
	copy(header[36:], root[:])
	binary.LittleEndian.PutUint32(header[68:], be32(j.NTime))
	binary.LittleEndian.PutUint32(header[72:], be32(j.Bits))
	target := Target(j.Difficulty)
	for nonce := first; nonce < first+1<<22; nonce++ {
		binary.LittleEndian.PutUint32(header[76:], nonce)
		h := sha256d(header)
		n := number(h)
		if n.Cmp(target) <= 0 && (above == nil || n.Cmp(above) > 0) {
			return Share{
				Job: j.ID, Extranonce2: extranonce2, NTime: j.NTime, Nonce: fmt.Sprintf("%08x", nonce),
				VersionBits: fmt.Sprintf("%08x", versionBits), Hash: h,
			}, nil
		}
	}
	return Share{}, errors.New("no share in 4 million nonces")
}

func sha256d(b []byte) [32]byte {
	h := sha256.Sum256(b)
	return sha256.Sum256(h[:])
}

// number reads a hash as a little-endian number.
func number(h [32]byte) *big.Int {
	var r [32]byte
	for i := range h {
		r[31-i] = h[i]
	}
	return new(big.Int).SetBytes(r[:])
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("stratumtest: hex on the wire: " + err.Error())
	}
	return b
}

func be32(s string) uint32 { return binary.BigEndian.Uint32(unhex(s)) }
