package settle

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
)

// scanName is the file that says how far the chain was searched.
const scanName = "scan"

// scanMark is the last height whose coinbase was looked at, with all known blocks checked against a
// chain at least as high.
type scanMark struct {
	Height int64     `json:"height"`
	Hash   pool.Hash `json:"hash"`

	known bool // false before the first look ever
	saved int64
}

// back takes the mark below a height whose block changed.
func (m *scanMark) back(changed int64) {
	if m.known && m.Height >= changed {
		m.Height, m.Hash = changed-1, pool.Hash{}
	}
}

func (s *Settler) loadScan() error {
	b, err := journal.ReadFile(s.o.FS, s.o.Dir, scanName)
	if err != nil || b == nil {
		return err
	}
	if err := json.Unmarshal(b, &s.scanned); err != nil {
		return fmt.Errorf("read %s/%s: %w; without the file the search begins at the tip", s.o.Dir, scanName, err)
	}
	s.scanned.known, s.scanned.saved = true, s.scanned.Height
	s.forget(s.scanned.Height)
	// The chain may have changed meanwhile: what is ours is in the book, to look again costs little.
	s.scanned.Height = max(0, s.scanned.Height-viewDepth)
	return nil
}

func (s *Settler) saveScan() error {
	if !s.scanned.known || s.scanned.Height == s.scanned.saved || s.scanned.Hash.IsZero() {
		return nil
	}
	b, err := json.Marshal(s.scanned)
	if err != nil {
		return fmt.Errorf("write the scan mark: %w", err)
	}
	if err := journal.ReplaceFile(s.o.FS, s.o.Dir, scanName, b); err != nil {
		return err
	}
	s.scanned.saved = s.scanned.Height
	return nil
}

// scan looks at the coinbases of new blocks on the chain, once edges had time to tell of theirs, and
// takes in those that pay us and that nobody told of. Their windows end without a share.
func (s *Settler) scan(ctx context.Context, now time.Time) error {
	if len(s.chain.hashes) == 0 {
		return nil
	}
	if !s.scanned.known {
		s.scanned = scanMark{Height: s.chain.tip.Height, Hash: s.chain.tip.Hash, known: true, saved: -1}
		return nil
	}
	for h := s.scanned.Height + 1; h <= s.chain.tip.Height; h++ {
		hash, ok := s.chain.at(h)
		if !ok || now.Sub(s.chain.seen[h]) < s.o.ScanLag {
			return nil
		}
		if !s.o.Book.Has(ledger.SetBlocks, hash.String()) {
			if err := s.adopt(ctx, hash, h); err != nil {
				if errors.Is(err, errDisk) {
					return err
				}
				s.warn("scan", err, "a block on the chain cannot be looked at")
				return nil
			}
		}
		s.scanned.Height, s.scanned.Hash = h, hash
	}
	return nil
}

// adopt takes in a block of the chain if its coinbase pays us. One that pays others too was mined solo, unless a
// list named them.
func (s *Settler) adopt(ctx context.Context, hash pool.Hash, height int64) error {
	raw, err := s.o.Node.RawBlock(ctx, hash)
	if err != nil {
		return fmt.Errorf("%w for block %s: %w", errNode, hash, err)
	}
	coinbase, err := s.o.Chain.ParseCoinbase(raw)
	if err != nil {
		return fmt.Errorf("read the coinbase of block %s: %w", hash, err)
	}
	value, _, others, err := s.outputs(&coinbase)
	if err != nil || value == 0 {
		return err
	}
	doc := ledger.BlockDoc{Hash: hash, Height: height, Value: value}
	if len(raw) >= 80 {
		doc.Time = int64(binary.LittleEndian.Uint32(raw[68:])) * 1000
		doc.Bits = binary.LittleEndian.Uint32(raw[72:])
	}
	s.log.Warn().Stringer("block", hash).Int64("height", height).Msg("a block on the chain pays the pool and no edge told of it")
	solo := len(others) > 0
	if solo {
		shared, err := s.shared(&coinbase, parentOf(raw))
		if err != nil {
			return err
		}
		solo = !shared
	}
	return s.register(&doc, solo || s.o.Scheme.ID() == pool.SchemeSOLO, nil)
}
