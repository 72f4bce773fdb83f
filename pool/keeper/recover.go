package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// Source is a disk that another one is recovered from. A server may be at work on it: what it writes meanwhile
// may be missing from the copy, which it then brings up when both run.
type Source interface {
	// End is the last entry there that counts.
	End(ctx context.Context) (ledger.Head, error)
	// HeadAt is the head as it was when seq was the last entry there.
	HeadAt(ctx context.Context, seq uint64) (ledger.Head, error)
	// Lines returns ledger lines behind an entry, one at least.
	Lines(ctx context.Context, after uint64) ([]byte, error)
	// List lists what is there beside the ledger.
	List(ctx context.Context) ([]FileInfo, error)
	// Get reads a part of a file; [os.ErrNotExist]: it is gone.
	Get(ctx context.Context, name string, offset int64) (Part, error)
}

// Directory is a pool's directory on a disk that is mounted here, or a copy of one. Close gives it back.
type Directory struct {
	root string
	book *ledger.Book
}

// OpenDirectory reads and checks the whole ledger there.
func OpenDirectory(root, poolID string) (*Directory, error) {
	book, err := ledger.View(filepath.Join(root, LedgerDir), poolID, 0)
	if err != nil {
		return nil, err
	}
	return &Directory{root, book}, nil
}

// Close gives the ledger's file back.
func (d *Directory) Close() error { return d.book.Close() }

// End implements [Source].
func (d *Directory) End(context.Context) (ledger.Head, error) { return d.book.Head(), nil }

// HeadAt implements [Source].
func (d *Directory) HeadAt(_ context.Context, seq uint64) (ledger.Head, error) {
	return d.book.HeadAt(seq)
}

// Lines implements [Source].
func (d *Directory) Lines(_ context.Context, after uint64) ([]byte, error) {
	lines, _, err := d.book.Lines(after, linesBytes)
	return lines, err
}

// List implements [Source].
func (d *Directory) List(context.Context) ([]FileInfo, error) { return listFiles(d.root) }

// Get implements [Source].
func (d *Directory) Get(_ context.Context, name string, offset int64) (Part, error) {
	return readPart(d.root, name, offset)
}

// readPart reads a part of a file that is copied.
func readPart(root, name string, offset int64) (Part, error) {
	if !copied.MatchString(name) || offset < 0 {
		return Part{}, fmt.Errorf("no file %.100q is copied", name)
	}
	f, err := os.Open(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return Part{}, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	p := Part{Name: name, Offset: offset, Data: make([]byte, partBytes)}
	n, err := f.ReadAt(p.Data, offset)
	p.Data, p.Last = p.Data[:n], errors.Is(err, io.EOF)
	if err != nil && !p.Last {
		return Part{}, fmt.Errorf("read %s: %w", name, err)
	}
	return p, nil
}

// Recover brings a pool's directory, which nobody has open, up to another one of the same pool. The other's
// chain must go on from what is here and is checked entry by entry; entries here that it lacks are moved aside
// if they were never committed. It returns how many entries were copied, and the head then.
func Recover(ctx context.Context, poolID, dir string, from Source, log zerolog.Logger) (taken uint64, head ledger.Head, err error) {
	end, err := from.End(ctx)
	if err != nil {
		return 0, head, err
	}
	k := &Keeper{o: Options{Dir: dir, Settle: settle.Options{Pool: poolID}}, log: log, owner: "recover", said: make(map[string]time.Time)}
	if err := k.open(); err != nil {
		return 0, head, err
	}
	defer func() {
		if closed := k.Close(); err == nil {
			err = closed
		}
	}()
	here := k.book.Standing()
	leader := Leader{max(end.Term, here.Term, here.Head.Term) + 1, k.owner}
	if _, err := k.book.Promise(leader.Term, leader.Owner); err != nil {
		return 0, head, err
	}
	fork := uint64(0)
	for low, high := uint64(0), min(here.Head.Seq, end.Seq); low <= high; {
		middle := (low + high + 1) / 2
		a, err := k.book.HeadAt(middle)
		if err != nil {
			return 0, head, err
		}
		b, err := from.HeadAt(ctx, middle)
		if err != nil {
			return 0, head, err
		}
		if a == b {
			fork, low = middle, middle+1
		} else {
			high = middle - 1
		}
	}
	if fork == end.Seq && fork < here.Head.Seq {
		return 0, here.Head, fmt.Errorf("the other ledger ends at entry %d, the one in %s at %d: nothing is to be recovered from it", fork, dir, here.Head.Seq)
	}
	at, err := k.book.HeadAt(fork)
	if err != nil {
		return 0, head, err
	}
	if err := k.book.Cut(leader.Term, leader.Owner, at); err != nil {
		return 0, head, err
	}
	if err := takeFiles(ctx, k, leader, from); err != nil {
		return 0, head, err
	}
	for at.Seq < end.Seq {
		lines, err := from.Lines(ctx, at.Seq)
		if err != nil {
			return 0, head, err
		}
		was := at.Seq
		if at, err = k.book.Follow(leader.Term, leader.Owner, at, lines, ledger.Head{}); err != nil {
			return 0, head, err
		}
		if at.Seq == was {
			return 0, head, fmt.Errorf("the other ledger gives nothing behind entry %d, and said that it ends at %d", was, end.Seq)
		}
	}
	return at.Seq - fork, at, nil
}

// takePasses is how often files are compared that a server at work goes on writing to.
const takePasses = 5

// takeFiles makes the files here what they are at the source.
func takeFiles(ctx context.Context, k *Keeper, by Leader, from Source) error {
	for range takePasses {
		there, err := from.List(ctx)
		if err != nil {
			return err
		}
		listed, err := listFiles(k.o.Dir)
		if err != nil {
			return err
		}
		here := make(map[string]FileInfo, len(listed))
		for _, f := range listed {
			here[f.Name] = f
		}
		slices.SortFunc(there, func(a, b FileInfo) int { return slicesFirst(a.Name, b.Name) })
		changed := false
		for _, f := range there {
			have, ok := here[f.Name]
			delete(here, f.Name)
			if ok && have.Size == f.Size {
				if _, same, err := common(k.o.Dir, have, f); err != nil {
					return err
				} else if same {
					continue
				}
			}
			changed = true
			if err := take(ctx, k, by, from, f.Name); err != nil {
				return err
			}
		}
		for name := range here { // slices of a history that went another way
			if isSlices(name) {
				if err := k.Put(ctx, by, Part{Name: name, Gone: true}); err != nil {
					return err
				}
			}
		}
		if !changed {
			return nil
		}
	}
	return nil
}

// take copies one file.
func take(ctx context.Context, k *Keeper, by Leader, from Source, name string) error {
	for offset := int64(0); ; {
		p, err := from.Get(ctx, name, offset)
		if errors.Is(err, os.ErrNotExist) {
			return nil // replaced meanwhile: the next pass sees it
		}
		if err != nil {
			return err
		}
		if p.Name != name || p.Offset != offset || len(p.Data) == 0 && !p.Last {
			return fmt.Errorf("asked for %s at %d, got %.100q at %d", name, offset, p.Name, p.Offset)
		}
		if err := k.Put(ctx, by, p); err != nil {
			return err
		}
		if p.Last {
			return nil
		}
		offset += int64(len(p.Data))
	}
}
