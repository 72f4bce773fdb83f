package keeper

import (
	"context"
	"fmt"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// A Keeper answers the other ledger role as a Peer does. While it settles itself it promises, which ends its
// own tenure, and takes nothing until that has ended.

// desk is the book, when the other role may write to this disk.
func (k *Keeper) desk() (*ledger.Book, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.book == nil || k.settling {
		return nil, ErrBusy
	}
	return k.book, nil
}

// Hello implements [Peer].
func (k *Keeper) Hello(_ context.Context, pool string, term uint64, owner string) (Greeting, error) {
	if pool != k.o.Settle.Pool {
		return Greeting{}, fmt.Errorf("this is a ledger of pool %s, not of %s", k.o.Settle.Pool, pool)
	}
	if owner == k.owner {
		return Greeting{}, ErrCopied
	}
	k.mu.Lock()
	book, end := k.book, k.end
	k.mu.Unlock()
	if book == nil {
		return Greeting{}, ErrBusy
	}
	s, err := book.Promise(term, owner)
	if err == nil && end != nil {
		end(settle.ErrLeaseLost) // another leads
	}
	return Greeting{Owner: k.owner, Standing: s}, err
}

// HeadAt implements [Peer].
func (k *Keeper) HeadAt(_ context.Context, seq uint64) (ledger.Head, error) {
	book, err := k.source()
	if err != nil {
		return ledger.Head{}, err
	}
	return book.HeadAt(seq)
}

// Follow implements [Peer].
func (k *Keeper) Follow(_ context.Context, by Leader, prev ledger.Head, lines []byte, committed ledger.Head) (ledger.Head, error) {
	book, err := k.desk()
	if err != nil {
		return ledger.Head{}, err
	}
	return book.Follow(by.Term, by.Owner, prev, lines, committed)
}

// Cut implements [Peer].
func (k *Keeper) Cut(_ context.Context, by Leader, to ledger.Head) error {
	book, err := k.desk()
	if err != nil {
		return err
	}
	return book.Cut(by.Term, by.Owner, to)
}

// Files implements [Peer].
func (k *Keeper) Files(context.Context) ([]FileInfo, error) {
	if _, err := k.desk(); err != nil {
		return nil, err
	}
	return listFiles(k.o.Dir)
}

// source is the book, for whoever only reads.
func (k *Keeper) source() (*ledger.Book, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.book == nil {
		return nil, ErrBusy
	}
	return k.book, nil
}

// End implements [Source].
func (k *Keeper) End(context.Context) (ledger.Head, error) {
	book, err := k.source()
	if err != nil {
		return ledger.Head{}, err
	}
	return book.Standing().Committed, nil
}

// Lines implements [Source].
func (k *Keeper) Lines(_ context.Context, after uint64) ([]byte, error) {
	book, err := k.source()
	if err != nil {
		return nil, err
	}
	lines, _, err := book.Lines(after, linesBytes)
	return lines, err
}

// List implements [Source].
func (k *Keeper) List(context.Context) ([]FileInfo, error) { return listFiles(k.o.Dir) }

// Get implements [Source].
func (k *Keeper) Get(_ context.Context, name string, offset int64) (Part, error) {
	return readPart(k.o.Dir, name, offset)
}

// Put implements [Peer].
func (k *Keeper) Put(_ context.Context, by Leader, p Part) error {
	book, err := k.desk()
	if err != nil {
		return err
	}
	k.putting.Lock()
	defer k.putting.Unlock()
	if err := book.Promised(by.Term, by.Owner); err != nil {
		return err
	}
	if err := keepSecret(k.o.Dir, p, book.Head()); err != nil {
		return err
	}
	return putFile(k.o.Dir, p)
}
