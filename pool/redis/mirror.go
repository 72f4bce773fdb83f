package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// ErrBehind reports that the mirror does not stand at the head that was to be continued. The caller asks
// for [Pool.Head] and goes on from there.
var ErrBehind = errors.New("ledger mirror stands at another head")

const (
	maxChanges  = 2000    // accounts changed by one script call: Redis does nothing else meanwhile
	maxDocBytes = 1 << 20 // documents in one script call, unless a single entry has more
)

// Head is the head of the book that the mirror shows; zero for an empty one.
func (p *Pool) Head(ctx context.Context) (ledger.Head, error) {
	v, err := p.r.client.HMGet(ctx, p.k.head(), "at").Result()
	if err != nil {
		return ledger.Head{}, fmt.Errorf("read the head of the ledger mirror: %w", err)
	}
	return parseHead(text(v, 0))
}

// Apply continues the mirror from prev by entries, where heads[i] is the book's head behind entries[i].
// Nothing is mirrored twice. It
// may stop at any point; the next call takes up a half mirrored entry, or takes it back. After an error
// the caller asks for Head again.
func (p *Pool) Apply(ctx context.Context, prev ledger.Head, entries []ledger.Entry, heads []ledger.Head) error {
	if len(entries) != len(heads) {
		return fmt.Errorf("mirror the ledger: %d entries with %d heads", len(entries), len(heads))
	}
	for len(entries) > 0 {
		s := &step{from: headText(prev), room: p.chunk, changes: make(map[string]pool.Amount)}
		n := 0
		for n < len(entries) && s.add(p.k, &entries[n], heads[n], n == 0) {
			n++
		}
		if s.err != nil {
			return fmt.Errorf("mirror ledger entry %d: %w", entries[n].Seq, s.err)
		}
		s.to = headText(heads[n-1])
		if err := p.applyStep(ctx, s); err != nil {
			return fmt.Errorf("mirror ledger entries %d to %d: %w", entries[0].Seq, entries[n-1].Seq, err)
		}
		prev, entries, heads = heads[n-1], entries[n:], heads[n:]
	}
	return nil
}

// step is what one move of the mirror's head changes: many small entries, or one of any size.
type step struct {
	from, to string
	room     int
	changes  map[string]pool.Amount // by field of balances
	docs     []*ledger.Entry        // with a subject, oldest first
	docBytes int
	rows     []row
	moved    []moved
	err      error
}

// add takes e into the step if there is room; the first always has.
func (s *step) add(k keys, e *ledger.Entry, head ledger.Head, first bool) bool {
	if !first && (len(s.changes)+len(s.rows)+4*len(e.Postings) > s.room || s.docBytes+len(e.Body) > maxDocBytes) {
		return false
	}
	for i := range e.Postings {
		x := &e.Postings[i]
		s.change(string(x.Debit), x.Debit.DebitNormal(), x.Amount)
		s.change(string(x.Credit), !x.Credit.DebitNormal(), x.Amount)
		if id, side, ok := x.Debit.Miner(); ok && side == ledger.InPayout && isAsset(x.Credit) {
			s.change(paidField(id), true, x.Amount)
		}
		if id, side, ok := x.Credit.Miner(); ok && side == ledger.InPayout && isAsset(x.Debit) {
			s.change(paidField(id), false, x.Amount)
		}
	}
	if e.Subject != nil {
		s.docs = append(s.docs, e)
		s.docBytes += len(e.Body)
		if err := s.index(k, e, head); err != nil {
			s.err = err
		}
	}
	return s.err == nil
}

func (s *step) change(field string, up bool, a pool.Amount) {
	if !up {
		a = -a
	}
	sum, err := s.changes[field].Add(a)
	if err != nil {
		s.err = fmt.Errorf("change of %s: %w", field, err)
	}
	s.changes[field] = sum
}

// paidField is where balances keep what a miner was paid in all: not an account of the book, but a sum
// over its postings from in_payout to an asset.
func paidField(id pool.AccountID) string { return "paid:" + id.String() }

func isAsset(a ledger.Account) bool { return strings.HasPrefix(string(a), "assets:") }

// applyStep sends a step in chunks. All but the last leave the head where it is.
func (p *Pool) applyStep(ctx context.Context, s *step) error {
	maps.DeleteFunc(s.changes, func(_ string, a pool.Amount) bool { return a == 0 })
	fields, rows := slices.Sorted(maps.Keys(s.changes)), s.rows
	chunks := max(1, (len(fields)+len(rows)+p.chunk-1)/p.chunk)
	name := fmt.Sprintf("%s %d/%d", s.to, chunks, p.chunk)
	for chunk := range chunks {
		n := min(p.chunk, len(fields))
		m := min(p.chunk-n, len(rows))
		final := chunk == chunks-1
		keys := []string{p.k.head(), p.k.balances(), p.k.pending(), p.k.docSets()}
		args := append(make([]any, 0, 16+2*p.chunk), s.from, s.to, name, chunk, flag(final), n, m, maxRows, formatVersion)
		for _, f := range fields[:n] {
			args = append(args, f, strconv.FormatInt(int64(s.changes[f]), 10))
		}
		for i := range rows[:m] {
			keys = append(keys, rows[i].key)
			args = append(args, strconv.FormatInt(rows[i].rank, 10), rows[i].member)
		}
		fields, rows = fields[n:], rows[m:]
		if final {
			keys, args = p.addDocs(s.docs, keys, args)
			keys, args = p.addMoved(s.moved, keys, args)
		}
		if err := p.applyChunk(ctx, keys, args); err != nil {
			return err
		}
	}
	return nil
}

// addDocs appends the newest text of every document to a script's keys and arguments.
func (p *Pool) addDocs(docs []*ledger.Entry, keys []string, args []any) ([]string, []any) {
	seen := make(map[[2]string]bool)
	number := make(map[string]int)
	for _, e := range slices.Backward(docs) {
		id := [2]string{e.Subject.Set, e.Subject.ID}
		if seen[id] {
			continue
		}
		seen[id] = true
		if number[e.Subject.Set] == 0 {
			keys = append(keys, p.k.docs(e.Subject.Set), p.k.ranks(e.Subject.Set))
			number[e.Subject.Set] = len(keys) // KEYS[1] is the guard's: this is the first of the pair
		}
		args = append(args, "doc", number[e.Subject.Set], e.Subject.Set, e.Subject.ID,
			strconv.FormatInt(e.Subject.Rank, 10), []byte(e.Body))
	}
	return keys, args
}

func (p *Pool) applyChunk(ctx context.Context, keys []string, args []any) error {
	for undone := false; ; undone = true {
		v, err := list(p.runFenced(ctx, applyLua, keys, args...))
		if err != nil {
			return err
		}
		switch what := text(v, 0); what {
		case "ok":
			return nil
		case "layout":
			if err := p.resetMirror(ctx); err != nil {
				return err
			}
			return fmt.Errorf("%w: it was written in another format, and is made anew", ErrBehind)
		case "head":
			return fmt.Errorf("%w: %q", ErrBehind, text(v, 1))
		case "chunk":
			return fmt.Errorf("%w: chunk %s is wanted", ErrBehind, text(v, 1))
		case "step":
			if undone {
				return fmt.Errorf("%w: another writer is mirroring %q", ErrBehind, text(v, 1))
			}
			if err := p.undo(ctx, text(v, 1)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("script answered %q", what)
		}
	}
}

// undo takes back the chunks of a step that was left unfinished and will not be continued.
func (p *Pool) undo(ctx context.Context, name string) error {
	pending, err := p.r.client.HGetAll(ctx, p.k.pending()).Result()
	if err != nil {
		return fmt.Errorf("read what is half mirrored: %w", err)
	}
	fields := slices.Sorted(maps.Keys(pending))
	keys := []string{p.k.head(), p.k.balances(), p.k.pending()}
	for {
		n := min(len(fields), p.chunk)
		args := []any{name}
		for _, f := range fields[:n] {
			a, err := strconv.ParseInt(pending[f], 10, 64)
			if err != nil {
				return fmt.Errorf("read what is half mirrored: %s: %w", f, err)
			}
			args = append(args, f, pending[f], strconv.FormatInt(-a, 10))
		}
		if _, err := p.runFenced(ctx, undoLua, keys, args...); err != nil {
			return fmt.Errorf("take back what is half mirrored: %w", err)
		}
		if fields = fields[n:]; len(fields) == 0 {
			return nil
		}
	}
}

// ForgetLedger forgets what is mirrored of the ledger and what edges were told to drop, by the holder of the
// lease: a person decided that what the ledger's disk lacks is lost. The mirror is made anew from the book's first
// entry.
func (p *Pool) ForgetLedger(ctx context.Context) error { return p.resetMirror(ctx, p.k.released()) }

// resetMirror empties the mirror, and more keys with it.
func (p *Pool) resetMirror(ctx context.Context, more ...string) error {
	sets, err := p.r.client.SMembers(ctx, p.k.docSets()).Result()
	if err != nil {
		return fmt.Errorf("empty the ledger mirror: %w", err)
	}
	keys := append(more, p.k.head(), p.k.balances(), p.k.pending(), p.k.docSets())
	for _, s := range sets {
		keys = append(keys, p.k.docs(s), p.k.ranks(s), p.k.entries(s))
	}
	if _, err := p.runFenced(ctx, dropLua, keys, len(keys)); err != nil {
		return fmt.Errorf("empty the ledger mirror: %w", err)
	}
	return nil
}

// headText writes a head as "term seq hash", "" for an empty book.
func headText(h ledger.Head) string {
	if h.Seq == 0 {
		return ""
	}
	return fmt.Sprintf("%d %d %x", h.Term, h.Seq, h.Hash)
}

func parseHead(s string) (ledger.Head, error) {
	var h ledger.Head
	if s == "" {
		return h, nil
	}
	bad := fmt.Errorf("head of the ledger mirror is %.120q, want term, sequence and hash", s)
	f := strings.Split(s, " ")
	if len(f) != 3 || len(f[2]) != 2*len(h.Hash) {
		return h, bad
	}
	var err1, err2, err3 error
	h.Term, err1 = strconv.ParseUint(f[0], 10, 64)
	h.Seq, err2 = strconv.ParseUint(f[1], 10, 64)
	_, err3 = hex.Decode(h.Hash[:], []byte(f[2]))
	if err1 != nil || err2 != nil || err3 != nil {
		return ledger.Head{}, bad
	}
	return h, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
