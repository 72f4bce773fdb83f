package keeper

import (
	"context"
	"errors"

	"github.com/adit-pool/adit/pool/ledger"
)

// Peer is the other ledger role with its disk. Each call but Hello and HeadAt names the term and owner that
// Hello had promised, and is refused with [ledger.ErrTerm] when that is not the promise any more.
type Peer interface {
	// Hello makes the other disk promise a term to an owner and says how it stands.
	Hello(ctx context.Context, pool string, term uint64, owner string) (Greeting, error)
	// HeadAt is the head as it was when seq was the last entry there.
	HeadAt(ctx context.Context, seq uint64) (ledger.Head, error)
	// Follow appends ledger lines behind prev; committed is known to count. It returns the head there.
	Follow(ctx context.Context, by Leader, prev ledger.Head, lines []byte, committed ledger.Head) (ledger.Head, error)
	// Cut moves uncommitted entries behind a head aside.
	Cut(ctx context.Context, by Leader, to ledger.Head) error
	// Files lists what is there beside the ledger.
	Files(ctx context.Context) ([]FileInfo, error)
	// Put writes a part of a file.
	Put(ctx context.Context, by Leader, p Part) error
}

// Leader is who appends, and in which term.
type Leader struct {
	Term  uint64 `json:"term"`
	Owner string `json:"owner"`
}

// Greeting is what a disk says to the one that leads.
type Greeting struct {
	Owner    string
	Standing ledger.Standing
}

var (
	// errGiveWay: the other disk is ahead of this one and is to settle.
	errGiveWay = errors.New("the other ledger's disk is ahead of this one: it is left to settle")
	// ErrBusy reports a disk that still ends what it was doing.
	ErrBusy = errors.New("the other ledger is still ending what it was doing")
	// ErrCopied reports two data directories of one owner.
	ErrCopied = errors.New("both ledgers have the same owner id: one data directory is a copy of the other; remove slices/owner in the newer one")
	// ErrOneDisk reports a payout step while only one disk holds the ledger.
	ErrOneDisk = errors.New("only one of two disks holds the ledger: nothing is paid until the other is back, or until a person runs adit ledger degrade")
	// ErrStranger reports a side of a connection that has another key than the one that was configured.
	ErrStranger = errors.New("the other side is not the ledger that was configured")
	// ErrSecret reports another secret on the other disk.
	ErrSecret = errors.New("the two ledgers have different secrets: one of them belongs to another pool")
)
