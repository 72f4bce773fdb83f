package slice

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// BlockScore is the score of one block's expected work, FullScore that at which a slice is closed.
var (
	BlockScore = pool.Work{Hi: 1}       // 2^64
	FullScore  = pool.Work{Lo: 1 << 54} // 2^64 / 1024
)

// maxScores bounds the memory of a Scorer.
const maxScores = 1 << 14

// Scorer computes scores and remembers them: few pairs of credit and nBits are in use at a time.
type Scorer struct {
	works  map[uint32]pool.Work
	scores map[scoreKey]pool.Work
}

type scoreKey struct {
	credit pool.Work
	bits   uint32
}

// NewScorer returns a scorer that remembers nothing yet.
func NewScorer() *Scorer {
	return &Scorer{make(map[uint32]pool.Work), make(map[scoreKey]pool.Work)}
}

// Score is floor(credit * 2^64 / Wn), Wn being the expected hashes per block at nBits.
func (s *Scorer) Score(credit pool.Work, bits uint32) (pool.Work, error) {
	key := scoreKey{credit, bits}
	if v, ok := s.scores[key]; ok {
		return v, nil
	}
	wn, ok := s.works[bits]
	if !ok {
		target, err := pool.TargetFromBits(bits)
		if err != nil {
			return pool.Work{}, fmt.Errorf("score a share: %w", err)
		}
		if len(s.works) >= maxScores {
			clear(s.works)
		}
		wn = target.Work()
		s.works[bits] = wn
	}
	v, err := credit.MulDiv(BlockScore, wn)
	if err != nil {
		return pool.Work{}, fmt.Errorf("score a share of %s at %08x: %w", credit, bits, err)
	}
	if len(s.scores) >= maxScores {
		clear(s.scores)
	}
	s.scores[key] = v
	return v, nil
}
