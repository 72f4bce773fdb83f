package settle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
)

// headID is the layout of a signed head's name.
const headID = "20060102T150405Z"

// OpenHeadKey reads the key that signs heads, and makes the file, for its owner only, when there is none.
func OpenHeadKey(path string) (ledger.HeadKey, error) {
	key, err := ledger.ReadHeadKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	key, text := ledger.NewHeadKey()
	return key, journal.ReplaceFile(journal.Disk{}, filepath.Dir(path), filepath.Base(path), text)
}

// heads signs and posts the head of the book and of the slices, once a period, when the book has grown since
// the last one. The error is one of the disk.
func (s *Settler) heads(ctx context.Context, now time.Time) error {
	period := now.UTC().Truncate(s.o.HeadEvery)
	if len(s.o.HeadKey) == 0 || !period.After(s.headed) {
		return nil
	}
	id := period.Format(headID)
	at := s.o.Book.Head()
	if s.o.Book.Has(ledger.SetHeads, id) || at.Seq == 0 || at.Seq == s.headSeq {
		return nil
	}
	if err := s.fold.store.Sync(); err != nil { // what is signed must not be lost
		return err
	}
	if s.o.Copied != nil { // nor folded otherwise by the disk that takes over
		if err := s.o.Copied(ctx); err != nil {
			return err
		}
	}
	h := ledger.SignedHead{Pool: s.o.Pool, ID: id, Time: now.UnixMilli(), Seq: at.Seq, Term: at.Term, Hash: at.Hash[:]}
	h.Slices, h.SlicesRoot = s.fold.store.Chain()
	leaves := make([]ledger.BlockLeaf, 0, len(s.leaves))
	for _, leaf := range s.leaves {
		leaves = append(leaves, leaf)
	}
	h.Blocks = uint64(len(leaves))
	h.BlocksRoot, _, _ = ledger.BlocksTree(leaves, pool.Hash{})
	text, err := s.o.HeadKey.Sign(&h)
	if err != nil {
		return err
	}
	e, err := s.o.Book.Post(ledger.Entry{
		Kind: "head.signed", Key: "head/" + id, Body: text[:len(text)-1],
		Subject: &ledger.Subject{Set: ledger.SetHeads, ID: id, Rank: period.Unix()},
	})
	if err != nil {
		return fmt.Errorf("post the signed head: %w", err)
	}
	s.headed, s.headSeq = period, e.Seq
	s.log.Info().Str(pool.EventField, pool.EventHeadSigned).Str("head", id).Uint64("entry", h.Seq).Msg("signed the ledger's head")
	return s.writeHead(id, text)
}

// writeHead puts a head's file beside the others.
func (s *Settler) writeHead(id string, text []byte) error {
	if s.o.Heads == "" {
		return nil
	}
	if err := s.o.FS.MkdirAll(s.o.Heads); err != nil {
		return fmt.Errorf("make the directory of signed heads: %w", err)
	}
	return journal.ReplaceFile(s.o.FS, s.o.Heads, id+".json", text)
}

// publishedHeads checks that the book has led to every signed head whose file is here. Files outlive a ledger that is
// restored from an older backup beside them.
func (s *Settler) publishedHeads() error {
	if s.o.Heads == "" {
		return nil
	}
	names, err := s.o.FS.List(s.o.Heads)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("list signed heads: %w", err)
	}
	last := s.o.Book.Head().Seq
	for _, name := range slices.Backward(names) { // the newest one says most
		if filepath.Ext(name) != ".json" || s.o.Book.Has(ledger.SetHeads, strings.TrimSuffix(name, ".json")) {
			continue
		}
		text, err := journal.ReadFile(s.o.FS, s.o.Heads, name)
		if err != nil {
			return err
		}
		h, err := ledger.ParseSignedHead(text)
		if err != nil || h.Pool != s.o.Pool {
			s.log.Warn().Err(err).Str("file", filepath.Join(s.o.Heads, name)).Msg("this is no signed head of this pool: it proves nothing")
			continue
		}
		if h.Seq > last {
			return fmt.Errorf("%w (signed head %s speaks of entry %d, the disk ends at %d)", ErrDiskBehind, h.ID, h.Seq, last)
		}
		if at, err := s.o.Book.HeadAt(h.Seq); err != nil || !bytes.Equal(at.Hash[:], h.Hash) {
			return errors.Join(fmt.Errorf("%w (signed head %s, entry %d)", ErrOtherHistory, h.ID, h.Seq), err)
		}
	}
	return nil
}

// loadHeads reads which heads the book has, writes those files that are missing, and returns how many slices
// the newest one speaks of.
func (s *Settler) loadHeads() (slices uint64, err error) {
	for id, body := range s.o.Book.Docs(ledger.SetHeads) {
		h, err := ledger.ParseSignedHead(body)
		if err != nil {
			return 0, fmt.Errorf("signed head %s of the ledger: %w", id, err)
		}
		slices = max(slices, h.Slices)
		if at, err := time.Parse(headID, h.ID); err == nil && at.After(s.headed) {
			s.headed = at
		}
		s.headSeq = max(s.headSeq, h.Seq+1)
		if s.o.Heads == "" {
			continue
		}
		have, err := journal.ReadFile(s.o.FS, s.o.Heads, id+".json")
		if err == nil && have == nil {
			err = s.writeHead(id, append(body, '\n'))
		}
		if err != nil {
			return 0, err
		}
	}
	return slices, nil
}
