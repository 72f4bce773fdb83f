package keeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// The places in a pool's directory.
const (
	LedgerDir      = "ledger"
	SlicesDir      = "slices"
	AllocationsDir = "allocations"
	SecretFile     = "secret"
	HeadKeyFile    = "head.key"
	HeadsDir       = "heads"
)

// Lease makes sure that one ledger role settles at a time.
type Lease interface {
	// Acquire takes the lease, or returns [settle.ErrLeaseHeld]. The owner that holds it gets it again at
	// once: an owner's name belongs to one ledger disk, whose lock one process has. token goes up with
	// every success.
	Acquire(ctx context.Context, owner string) (token uint64, err error)
	// Renew keeps it, or returns [settle.ErrLeaseLost].
	Renew(ctx context.Context, owner string, token uint64) error
	// Release gives it back; to have lost it already is no error.
	Release(ctx context.Context, owner string, token uint64) error
}

// Reports is where a role says how it is; reports may be lost.
type Reports interface {
	ReportLedger(ctx context.Context, r pool.LedgerReport) error
}

// Options say what is kept and with what it is settled.
type Options struct {
	Name    string         // of this role, for people
	Version string         // of the program, likewise
	Dir     string         // of the pool
	Settle  settle.Options // but for Book, Dir, Secret, Allocations, FS and Copied
	Lease   Lease
	Reports Reports
	// Beside runs beside the settler, with the same book; nil: nothing does. It ends with its context, and
	// an error ends the tenure.
	Beside func(ctx context.Context, book *ledger.Book) error
	Peer   Peer // the other disk; nil: this is the only one
	Log    zerolog.Logger
}

const (
	renewEvery   = time.Second
	acquireEvery = 500 * time.Millisecond
	reportEvery  = 2 * time.Second
	callTimeout  = 3 * time.Second
	giveWayFor   = 3 * time.Second
	lastCommit   = 5 * time.Second // that what is posted at an orderly end may take
	retryFirst   = time.Second
	retryLongest = 15 * time.Second
	sayAgain     = 10 * time.Minute // the same trouble is logged again
)

// ErrNotActive is why a ledger role that does not settle cannot be asked: the active one can.
var ErrNotActive = errors.New("this ledger is not the active one: ask the one that is")

// Keeper is one ledger role of one pool. Its methods may be called from any goroutine.
type Keeper struct {
	o     Options // static
	owner string  // static: name of this disk for the lease
	log   zerolog.Logger

	settler *settle.Settler // opened by New for the first tenure; Run's
	disk    *tracker        // static
	putting sync.Mutex      // held while a file is taken

	mu       sync.Mutex              // guards below
	settling bool                    // a tenure writes to the disk
	end      context.CancelCauseFunc // ends that tenure
	copies   *copies                 // of that tenure, nil without a peer
	book     *ledger.Book
	active   bool
	why      error // why it is not active
	state    string
	said     map[string]time.Time // when a trouble was logged last
}

// New opens the disk and checks what is on it. Close gives it back.
func New(o Options) (*Keeper, error) {
	k := &Keeper{o: o, log: o.Log, disk: &tracker{root: o.Dir}, state: pool.LedgerStandby, said: make(map[string]time.Time)}
	if err := k.readOwner(); err != nil {
		return nil, err
	}
	if err := k.open(); err != nil {
		return nil, err
	}
	if o.Peer != nil { // what is on the disk may be copied to it before it settles
		return k, nil
	}
	var err error
	if k.settler, err = k.newSettler(nil); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// readOwner reads or makes the name of this disk.
func (k *Keeper) readOwner() error {
	dir := filepath.Join(k.o.Dir, SlicesDir)
	if err := (journal.Disk{}).MkdirAll(dir); err != nil {
		return fmt.Errorf("make the directory of slices: %w", err)
	}
	b, err := journal.ReadFile(journal.Disk{}, dir, "owner")
	if err != nil {
		return err
	}
	if len(b) == 0 {
		var id [16]byte
		rand.Read(id[:]) // never fails: crypto/rand ends the program instead
		b = hex.AppendEncode(nil, id[:])
		if err := journal.ReplaceFile(journal.Disk{}, dir, "owner", b); err != nil {
			return err
		}
	}
	k.owner = k.o.Name + "/" + string(b)
	return nil
}

func (k *Keeper) open() error {
	book, err := ledger.Open(ledger.Options{Dir: filepath.Join(k.o.Dir, LedgerDir), Pool: k.o.Settle.Pool, Log: k.log})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.book = book
	k.mu.Unlock()
	return nil
}

// secrets reads or makes the keys that both disks have the same of.
func (k *Keeper) secrets() (allocation.Secret, ledger.HeadKey, error) {
	secret, err := allocation.OpenSecret(filepath.Join(k.o.Dir, SecretFile))
	if err != nil {
		return secret, nil, err
	}
	key, err := settle.OpenHeadKey(filepath.Join(k.o.Dir, HeadKeyFile))
	return secret, key, err
}

// newSettler opens the slices.
func (k *Keeper) newSettler(c *copies) (*settle.Settler, error) {
	o := k.o.Settle
	var err error
	if o.Secret, o.HeadKey, err = k.secrets(); err != nil {
		return nil, err
	}
	o.Book, o.Heads = k.book, filepath.Join(k.o.Dir, HeadsDir)
	o.Dir, o.Allocations = filepath.Join(k.o.Dir, SlicesDir), filepath.Join(k.o.Dir, AllocationsDir)
	if c != nil {
		o.FS, o.Copied = k.disk, c.copied
	}
	return settle.New(o)
}

// Close gives the disk back; not while Run runs.
func (k *Keeper) Close() error {
	var err error
	if k.settler != nil {
		err = k.settler.Close()
		k.settler = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.book != nil {
		err = errors.Join(err, k.book.Close())
		k.book = nil
	}
	return err
}

// Book is the ledger while this role is the active one, else an error that wraps [ErrNotActive].
func (k *Keeper) Book() (*ledger.Book, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active {
		return k.book, nil
	}
	if k.why != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNotActive, k.why)
	}
	return nil, ErrNotActive
}

// Report says how the role is.
func (k *Keeper) Report() pool.LedgerReport {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := pool.LedgerReport{Name: k.o.Name, Version: k.o.Version, State: k.state, Reward: hex.EncodeToString(k.o.Settle.RewardScript)}
	if k.state == pool.LedgerStopped && k.why != nil {
		r.Error = k.why.Error()
	}
	if k.book != nil {
		head := k.book.Head()
		r.Seq, r.Term = head.Seq, head.Term
	}
	if k.active && k.copies != nil {
		r.Disks, _ = k.copies.now()
	}
	return r
}

// enter notes a state and why it is not a better one, and tells it.
func (k *Keeper) enter(state string, why error) {
	k.mu.Lock()
	k.state, k.active, k.why = state, state == pool.LedgerActive, why
	k.mu.Unlock()
}

// Run settles whenever it has the lease, until ctx ends. It returns nil: what goes wrong is logged, shown
// and tried again.
func (k *Keeper) Run(ctx context.Context) error {
	var reporter sync.WaitGroup
	reporter.Go(func() { k.report(ctx) })
	defer reporter.Wait()
	wait := time.Duration(0)
	for {
		err := k.tenure(ctx)
		if ctx.Err() != nil {
			k.enter(pool.LedgerStandby, nil)
			return nil
		}
		switch {
		case errors.Is(err, settle.ErrLeaseLost), errors.Is(err, ledger.ErrTerm):
			k.log.Warn().Err(err).Msg("another ledger role may be active now")
			k.enter(pool.LedgerStandby, err)
			wait = 0
		case errors.Is(err, errGiveWay):
			k.log.Warn().Err(err).Msg("standing by")
			k.enter(pool.LedgerStandby, err)
			wait = giveWayFor
		case err != nil:
			k.stopped(err)
			wait = min(max(2*wait, retryFirst), retryLongest)
		}
		for {
			if sleep(ctx, wait) != nil {
				return nil
			}
			// Memory and disk may differ after a failure: everything is read anew.
			err := k.Close()
			if err == nil {
				err = k.open()
			}
			if err == nil {
				break
			}
			k.stopped(err)
			wait = min(max(2*wait, retryFirst), retryLongest)
		}
	}
}

// stopped notes and logs what keeps the role from settling.
func (k *Keeper) stopped(err error) {
	k.enter(pool.LedgerStopped, err)
	k.mu.Lock()
	last := k.said[err.Error()]
	again := time.Since(last) > sayAgain
	if again {
		if len(k.said) > 100 {
			clear(k.said)
		}
		k.said[err.Error()] = time.Now()
	}
	k.mu.Unlock()
	if again {
		k.log.Error().Err(err).Str(pool.EventField, pool.EventLedgerStopped).
			Msg("nothing is settled or paid until this is cured; miners are served, shares and blocks are kept; it is tried again and again")
	}
}

// tenure waits for the lease and settles under it.
func (k *Keeper) tenure(ctx context.Context) error {
	token, err := k.acquire(ctx)
	if err != nil {
		return err
	}
	held, cancel := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { k.renew(held, token, cancel) })
	k.occupy(true, cancel, nil)
	err = k.settle(held, token)
	k.occupy(false, nil, nil)
	if errors.Is(context.Cause(held), settle.ErrLeaseLost) {
		err = settle.ErrLeaseLost
	}
	cancel(nil)
	renewal.Wait()
	k.giveBack(token)
	return err
}

// occupy notes that a tenure writes to the disk, and how it is ended.
func (k *Keeper) occupy(settling bool, end context.CancelCauseFunc, c *copies) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settling, k.end, k.copies = settling, end, c
}

// settle does the work of a tenure.
func (k *Keeper) settle(ctx context.Context, token uint64) error {
	var c *copies
	if k.o.Peer != nil {
		life, over := commitLife(ctx)
		defer over()
		if _, _, err := k.secrets(); err != nil { // before the first meeting, which copies them
			return err
		}
		c = &copies{
			peer: k.o.Peer, book: k.book, mirror: k.o.Settle.Mirror, disk: k.disk, owner: k.owner,
			pool: k.o.Settle.Pool, log: k.log, wait: joinFirst, life: life,
		}
		if err := c.begin(ctx); err != nil {
			return err
		}
		k.book.SetCommit(c.commit)
		defer k.disk.end()
	}
	s := k.settler
	k.settler = nil
	if s == nil {
		var err error
		if s, err = k.newSettler(c); err != nil {
			return err
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(gctx, token) })
	if c != nil {
		k.mu.Lock()
		k.copies = c
		k.mu.Unlock()
		group.Go(func() error { return c.run(gctx) })
	}
	k.enter(pool.LedgerActive, nil)
	if k.o.Beside != nil {
		group.Go(func() error { return k.o.Beside(gctx, k.book) })
	}
	err := group.Wait()
	return errors.Join(err, s.Close())
}

// commitLife ends with a lost lease at once, and some time after any other end of ctx.
func commitLife(ctx context.Context) (life context.Context, over func()) {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), settle.ErrLeaseLost) {
			end(settle.ErrLeaseLost)
			return
		}
		t := time.NewTimer(lastCommit)
		defer t.Stop()
		select {
		case <-t.C:
			end(context.Cause(ctx))
		case <-life.Done():
		}
	})
	return life, func() { stop(); end(nil) }
}

// MayPay says why no payout step may be taken now, nil when it may.
func (k *Keeper) MayPay() error {
	k.mu.Lock()
	c, active := k.copies, k.active
	k.mu.Unlock()
	switch {
	case !active:
		return ErrNotActive
	case c != nil:
		return c.mayPay()
	}
	return nil
}

// PayBook is a book for payouts: a step is posted, and counts as posted, only while steps may be taken.
func (k *Keeper) PayBook(book *ledger.Book) *PayBook { return &PayBook{book, k} }

// PayBook refuses posts while nothing may be paid.
type PayBook struct {
	*ledger.Book
	k *Keeper
}

// Post is [ledger.Book.Post]. After [ErrOneDisk] the entry may be in the book; what it says is done when both
// disks have it.
func (b *PayBook) Post(e ledger.Entry) (ledger.Entry, error) {
	posted, err := b.PostAll([]ledger.Entry{e})
	if len(posted) == 1 {
		return posted[0], err
	}
	return ledger.Entry{}, err
}

// PostAll is [ledger.Book.PostAll] under the same condition.
func (b *PayBook) PostAll(entries []ledger.Entry) ([]ledger.Entry, error) {
	if err := b.k.MayPay(); err != nil {
		return nil, err
	}
	posted, err := b.Book.PostAll(entries)
	if err == nil {
		err = b.k.MayPay()
	}
	return posted, err
}

// Degrade lets payouts go on while only one disk holds the ledger.
func (k *Keeper) Degrade(d ledger.Decision) error {
	k.mu.Lock()
	c, active := k.copies, k.active
	k.mu.Unlock()
	switch {
	case !active:
		return ErrNotActive
	case c == nil:
		return errors.New("this ledger has one disk by its configuration (ledger.copies = 1): there is nothing to decide")
	}
	return c.degrade(d)
}

// acquire waits for the lease.
func (k *Keeper) acquire(ctx context.Context) (uint64, error) {
	var warned time.Time
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		token, err := k.o.Lease.Acquire(call, k.owner)
		cancel()
		if err == nil {
			return token, nil
		}
		if errors.Is(err, settle.ErrLeaseHeld) {
			k.enter(pool.LedgerStandby, err)
		} else if now := time.Now(); now.Sub(warned) > time.Minute {
			warned = now
			k.log.Warn().Err(err).Msg("waiting for the ledger's lease")
		}
		if err := sleep(ctx, acquireEvery); err != nil {
			return 0, err
		}
	}
}

// renew keeps the lease until ctx ends, and ends it when the lease is lost.
func (k *Keeper) renew(ctx context.Context, token uint64, cancel context.CancelCauseFunc) {
	var warned time.Time
	for sleep(ctx, renewEvery) == nil {
		call, done := context.WithTimeout(ctx, callTimeout)
		err := k.o.Lease.Renew(call, k.owner, token)
		done()
		switch {
		case errors.Is(err, settle.ErrLeaseLost):
			cancel(settle.ErrLeaseLost)
			return
		case err != nil && ctx.Err() == nil && time.Since(warned) > time.Minute:
			warned = time.Now()
			k.log.Warn().Err(err).Msg("the lease could not be renewed")
		}
	}
}

func (k *Keeper) giveBack(token uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := k.o.Lease.Release(ctx, k.owner, token); err != nil {
		k.log.Warn().Err(err).Msg("the lease runs out by itself: it could not be given back")
	}
}

// report tells how the role is until ctx ends.
func (k *Keeper) report(ctx context.Context) {
	if k.o.Reports == nil {
		return
	}
	var last pool.LedgerReport
	var told time.Time
	for {
		if r := k.Report(); r.State != last.State || r.Error != last.Error || r.Disks != last.Disks || time.Since(told) > reportEvery {
			call, cancel := context.WithTimeout(ctx, callTimeout)
			err := k.o.Reports.ReportLedger(call, r)
			cancel()
			if err == nil {
				last, told = r, time.Now()
			}
		}
		if sleep(ctx, 500*time.Millisecond) != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
