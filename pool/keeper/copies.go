package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// The modes of a ledger that has a peer, as its entries say.
const (
	Both     = "both"     // entries count once both disks hold them
	Alone    = "alone"    // the other disk is away: entries count once Redis has them too, nothing is paid
	Degraded = "degraded" // the same, and a person decided that payouts go on
)

// SetDisks holds one document, DisksID: how many disks hold the ledger. The entry that changes it says since
// when, and who decided it.
const (
	SetDisks = "disks"
	DisksID  = "mode"
)

// DisksDoc is that document.
type DisksDoc struct {
	Mode  string           `json:"mode"`
	Owner string           `json:"owner"` // whose disk leads
	By    *ledger.Decision `json:"by,omitempty"`
}

const (
	joinEvery  = time.Second
	joinFirst  = 3 * time.Second // how long the other disk is waited for at the start
	peerTime   = 3 * time.Second // of a call that carries little
	linesBytes = 4 << 20
)

// copies leads one tenure over two disks. An entry of this disk counts
//
//   - in mode both, when the other disk has it too: that disk refuses whoever is not the one it promised to;
//   - else when Redis has mirrored it under the lease in force: whoever takes over with the other disk sees
//     there that it is behind.
type copies struct {
	// static
	peer   Peer
	book   *ledger.Book
	mirror settle.Mirror
	disk   *tracker
	owner  string
	pool   string
	log    zerolog.Logger
	wait   time.Duration   // that the other disk is waited for at the start
	life   context.Context // ends when nothing may be committed any more

	mu     sync.Mutex // guards below; never held during a call
	mode   string
	leader Leader
}

// lead begins a term: in both modes the term is above all that any disk within reach or Redis has seen.
func (c *copies) lead(floor uint64) error {
	term := max(floor, c.book.Head().Term, c.book.Standing().Term) + 1
	if _, err := c.book.Promise(term, c.owner); err != nil {
		return err
	}
	c.book.SetTermFloor(term - 1)
	c.mu.Lock()
	c.leader = Leader{term, c.owner}
	c.mu.Unlock()
	return nil
}

func (c *copies) now() (string, Leader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mode, c.leader
}

func (c *copies) set(mode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mode = mode
}

// begin leads with the peer if it comes soon, else alone. An error that lasts is one of a disk that is behind
// or of histories that part.
func (c *copies) begin(ctx context.Context) error {
	seen, err := c.mirrored(ctx)
	if err != nil {
		return err
	}
	if err := c.lead(seen.Term); err != nil {
		return err
	}
	if err := c.first(ctx); err != nil {
		return err
	}
	if own := c.book.Head(); seen.Seq > own.Seq { // the other disk was asked first: it may have them
		return fmt.Errorf("%w (mirror at entry %d, disk at %d)", settle.ErrDiskBehind, seen.Seq, own.Seq)
	}
	return nil
}

// mirrored waits for Redis to say what it has of the ledger.
func (c *copies) mirrored(ctx context.Context) (ledger.Head, error) {
	for n := 0; ; n++ {
		call, cancel := context.WithTimeout(ctx, peerTime)
		head, err := c.mirror.Head(call)
		cancel()
		if err == nil {
			return head, nil
		}
		if n == 0 {
			c.log.Warn().Err(err).Msg("waiting for Redis")
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return ledger.Head{}, err
		}
	}
}

// first meets the other disk, or goes on alone when it does not come.
func (c *copies) first(ctx context.Context) error {
	c.set(Alone)
	if doc, _ := c.recorded(); doc.Mode == Degraded {
		c.set(Degraded)
	}
	for until := time.Now().Add(c.wait); ; {
		err := c.meet(ctx)
		switch {
		case err == nil:
			return nil
		case lasting(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(until):
			c.log.Warn().Err(err).Msg("the other ledger cannot be reached: going on with one disk, payouts wait")
			return nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// recorded is the mode as the book has it.
func (c *copies) recorded() (doc DisksDoc, err error) {
	_, err = ledger.Decode(c.book, SetDisks, DisksID, &doc)
	return doc, err
}

// record posts the mode when the book says another.
func (c *copies) record(by *ledger.Decision) error {
	mode, leader := c.now()
	doc, err := c.recorded()
	if err != nil || doc.Mode == mode && by == nil {
		return err
	}
	body, err := ledger.Body(DisksDoc{mode, c.owner, by})
	if err != nil {
		return err
	}
	_, err = c.book.Post(ledger.Entry{
		Kind: "ledger." + mode, Key: fmt.Sprintf("disks/%d/%d", leader.Term, c.book.Head().Seq), Body: body,
		Subject: &ledger.Subject{Set: SetDisks, ID: DisksID},
	})
	return err
}

// run keeps the mode and its entry true until ctx ends.
func (c *copies) run(ctx context.Context) error {
	var said string
	for {
		if mode, _ := c.now(); mode != Both {
			switch err := c.meet(ctx); {
			case err == nil:
				c.log.Info().Msg("both disks hold the ledger")
			case ctx.Err() != nil:
				return nil
			case lasting(err):
				return err
			case err.Error() != said:
				said = err.Error()
				c.log.Warn().Err(err).Msg("only one disk holds the ledger")
			}
		}
		if err := c.record(nil); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("write down which disks hold the ledger: %w", err)
		}
		if sleep(ctx, joinEvery) != nil {
			return nil
		}
	}
}

// meet brings the other disk up to this one and goes on with both.
func (c *copies) meet(ctx context.Context) error {
	g, err := c.greet(ctx)
	if err != nil {
		return err
	}
	_, leader := c.now()
	if err := c.compare(ctx, g.Standing, leader); err != nil {
		return err
	}
	there, err := c.peer.Files(ctx)
	if err != nil {
		return err
	}
	if err := c.published(there); err != nil {
		return err
	}
	c.disk.begin()
	err = syncFiles(ctx, c.peer, leader, c.disk.root, there)
	if err == nil {
		err = c.catchUp(ctx, leader)
	}
	if err == nil { // the last bit while nothing is posted
		err = c.book.Paused(func() error {
			if err := c.flush(ctx); err != nil {
				return err
			}
			if err := c.catchUp(ctx, leader); err != nil {
				return err
			}
			c.set(Both)
			return c.book.NoteCommitted(c.book.Head())
		})
	}
	if err != nil {
		c.disk.end()
		return err
	}
	return nil
}

// published checks that this disk, which has all entries of both, has every head that the other one holds a
// file of.
func (c *copies) published(there []FileInfo) error {
	for _, f := range there {
		id, isHead := strings.CutPrefix(f.Name, HeadsDir+"/")
		if id = strings.TrimSuffix(id, ".json"); isHead && !c.book.Has(ledger.SetHeads, id) {
			return fmt.Errorf("%w (the other disk holds signed head %s, which neither ledger has)", settle.ErrDiskBehind, id)
		}
	}
	return nil
}

// lasting reports whether an error is not one that goes by with the next try.
func lasting(err error) bool {
	return slices.ContainsFunc([]error{errGiveWay, ledger.ErrForked, ErrCopied, ErrSecret, settle.ErrDiskBehind}, func(is error) bool {
		return errors.Is(err, is)
	})
}

// greet has the other disk promise this term, or a higher one if it has promised that before.
func (c *copies) greet(ctx context.Context) (Greeting, error) {
	for range 3 {
		_, leader := c.now()
		call, cancel := context.WithTimeout(ctx, peerTime)
		g, err := c.peer.Hello(call, c.pool, leader.Term, leader.Owner)
		cancel()
		switch {
		case err == nil && g.Owner == c.owner:
			return g, ErrCopied
		case !errors.Is(err, ledger.ErrTerm):
			return g, err
		}
		if err := c.lead(max(g.Standing.Term, g.Standing.Head.Term)); err != nil {
			return g, err
		}
	}
	return Greeting{}, fmt.Errorf("the other ledger promises higher and higher terms: %w", ledger.ErrTerm)
}

// compare decides which of two disks goes on. It has the other one move its tail aside when that never
// counted, moves its own aside, or gives way.
func (c *copies) compare(ctx context.Context, there ledger.Standing, leader Leader) error {
	here := c.book.Standing()
	low, high := uint64(0), min(here.Head.Seq, there.Head.Seq)
	same := func(seq uint64) (bool, error) {
		own, err := c.book.HeadAt(seq)
		if err != nil {
			return false, err
		}
		if seq == there.Head.Seq {
			return own == there.Head, nil
		}
		call, cancel := context.WithTimeout(ctx, peerTime)
		defer cancel()
		other, err := c.peer.HeadAt(call, seq)
		return own == other, err
	}
	for low < high { // the last entry that both have
		middle := (low + high + 1) / 2
		if low == 0 && high == min(here.Head.Seq, there.Head.Seq) {
			middle = high // as a rule one is a beginning of the other
		}
		yes, err := same(middle)
		switch {
		case err != nil:
			return err
		case yes:
			low = middle
		default:
			high = middle - 1
		}
	}
	fork, err := c.book.HeadAt(low)
	if err != nil {
		return err
	}
	ours, theirs := here.Committed.Seq > low, there.Committed.Seq > low
	switch {
	case there.Head.Seq == low: // the other one is this one's beginning, or equal
		return nil
	case here.Head.Seq == low:
		return fmt.Errorf("%w (it has entries up to %d, this one up to %d)", errGiveWay, there.Head.Seq, here.Head.Seq)
	case ours && theirs:
		return fmt.Errorf("%w (they part after entry %d)", ledger.ErrForked, low)
	case theirs, !ours && there.Head.Term > here.Head.Term:
		if err := c.book.Cut(leader.Term, leader.Owner, fork); err != nil {
			return err
		}
		return errGiveWay
	}
	call, cancel := context.WithTimeout(ctx, peerTime)
	defer cancel()
	return c.peer.Cut(call, leader, fork)
}

// catchUp sends the ledger's entries that the other disk lacks.
func (c *copies) catchUp(ctx context.Context, leader Leader) error {
	call, cancel := context.WithTimeout(ctx, peerTime)
	g, err := c.peer.Hello(call, c.pool, leader.Term, leader.Owner)
	cancel()
	if err != nil {
		return err
	}
	at := g.Standing.Head
	for at.Seq < c.book.Head().Seq {
		lines, head, err := c.book.Lines(at.Seq, linesBytes)
		if err != nil {
			return err
		}
		if at, err = c.follow(ctx, leader, at, lines); err != nil {
			return err
		}
		if at != head {
			return fmt.Errorf("the other ledger ends at entry %d after it was given %d", at.Seq, head.Seq)
		}
	}
	return nil
}

func (c *copies) follow(ctx context.Context, leader Leader, prev ledger.Head, lines []byte) (ledger.Head, error) {
	call, cancel := context.WithTimeout(ctx, peerTime+time.Duration(len(lines)>>20)*time.Second)
	defer cancel()
	return c.peer.Follow(call, leader, prev, lines, c.book.Standing().Committed)
}

// flush sends what was written beside the ledger since the last time. Alone there is nobody to send it to.
func (c *copies) flush(ctx context.Context) error {
	_, leader := c.now()
	names, from := c.disk.take()
	for _, name := range names {
		call, cancel := context.WithTimeout(ctx, 10*peerTime)
		err := send(call, c.peer, leader, c.disk.root, name, from[name])
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// part goes on without the other disk. Its next meeting compares everything.
func (c *copies) part(err error) {
	c.log.Warn().Err(err).Msg("the other ledger does not take the copy: going on with one disk, payouts wait")
	c.disk.end()
	c.set(Alone)
}

// copied is [settle.Options].Copied.
func (c *copies) copied(ctx context.Context) error {
	if mode, _ := c.now(); mode != Both {
		return nil
	}
	err := c.flush(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrTerm):
		return err // another leads
	}
	c.part(err)
	return nil
}

// commit is [ledger.Commit].
func (c *copies) commit(prev ledger.Head, records []ledger.Record, lines []byte) error {
	last := records[len(records)-1].Head
	if mode, leader := c.now(); mode == Both {
		err := c.flush(c.life)
		if err == nil {
			_, err = c.follow(c.life, leader, prev, lines)
		}
		switch {
		case err == nil:
			return c.book.NoteCommitted(last)
		case errors.Is(err, ledger.ErrTerm), errors.Is(err, ledger.ErrForked):
			return err
		}
		c.part(err)
	}
	if err := c.witness(prev, records); err != nil {
		return err
	}
	return c.book.NoteCommitted(last)
}

// witness has Redis take the records, under the lease, behind all that it lacks before them.
func (c *copies) witness(prev ledger.Head, records []ledger.Record) error {
	for n := 0; ; n++ {
		err := c.witnessOnce(prev, records)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, settle.ErrLeaseLost), errors.Is(err, settle.ErrDiskBehind), errors.Is(err, settle.ErrOtherHistory):
			return err
		case c.life.Err() != nil:
			return errors.Join(context.Cause(c.life), err)
		case n == 0:
			c.log.Warn().Err(err).Msg("with one disk away Redis must see each entry: waiting for it")
		}
		if sleep(c.life, min(time.Duration(n+1)*20*time.Millisecond, time.Second)) != nil {
			return errors.Join(context.Cause(c.life), err)
		}
	}
}

func (c *copies) witnessOnce(prev ledger.Head, records []ledger.Record) error {
	call, cancel := context.WithTimeout(c.life, 10*time.Second)
	defer cancel()
	head, err := c.mirror.Head(call)
	if err != nil {
		return err
	}
	for i := range records {
		if records[i].Head == head { // an earlier try got through as far as here
			prev, records = head, records[i+1:]
			break
		}
	}
	if len(records) == 0 {
		return nil
	}
	if head.Seq > prev.Seq {
		return fmt.Errorf("%w (mirror at entry %d, disk at %d)", settle.ErrDiskBehind, head.Seq, prev.Seq)
	}
	if head != prev {
		if at, err := c.book.HeadAt(head.Seq); err != nil || at != head {
			return errors.Join(fmt.Errorf("%w (entry %d)", settle.ErrOtherHistory, head.Seq), err)
		}
	}
	var entries []ledger.Entry
	var heads []ledger.Head
	for r, err := range c.book.Records(head.Seq) {
		if err != nil {
			return err
		}
		if r.Head.Seq > prev.Seq {
			break
		}
		entries, heads = append(entries, r.Entry), append(heads, r.Head)
		if len(entries) == 500 {
			if err := c.mirror.Apply(call, head, entries, heads); err != nil {
				return err
			}
			head, entries, heads = r.Head, nil, nil
		}
	}
	for _, r := range records {
		entries, heads = append(entries, r.Entry), append(heads, r.Head)
	}
	return c.mirror.Apply(call, head, entries, heads)
}

// mayPay says why no payout step may be taken, nil when it may.
func (c *copies) mayPay() error {
	if mode, _ := c.now(); mode == Alone {
		return ErrOneDisk
	}
	return nil
}

// degrade lets payouts go on with one disk, by a person's decision.
func (c *copies) degrade(d ledger.Decision) error {
	if err := d.Check(); err != nil {
		return err
	}
	c.mu.Lock()
	mode := c.mode
	if mode == Alone {
		c.mode = Degraded
	}
	c.mu.Unlock()
	if mode != Alone {
		return fmt.Errorf("the ledger is %s: there is nothing to decide", mode)
	}
	if err := c.record(&d); err != nil {
		c.set(Alone)
		return err
	}
	return nil
}
