package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
)

// Version is the format of entries written now; all from 1 are read.
const Version = 1 + format.Raise

// Entry is one event of the book.
type Entry struct {
	V    int    `json:"v"`
	Seq  uint64 `json:"seq"`  // from 1, without gaps
	Term uint64 `json:"term"` // of the start or takeover that wrote it
	Time int64  `json:"time"` // Unix milliseconds
	Pool string `json:"pool"`
	Kind string `json:"kind"` // what happened: "block.immature", "payout.signed"
	Key  string `json:"key"`  // idempotency key: the book holds it once
	// Subject names the document that Body replaces.
	Subject  *Subject  `json:"subject,omitempty"`
	Postings []Posting `json:"postings,omitempty"`
	// Overdraft lists the accounts that this entry may leave below zero: after the late orphan of a
	// block whose credits were paid out.
	Overdraft []Account       `json:"overdraft,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
}

// Subject names a document: the newest entry with it holds its text.
type Subject struct {
	Set  string `json:"set"` // "blocks", "payouts", "accounts", "fees"
	ID   string `json:"id"`
	Rank int64  `json:"rank"` // place in listings
}

// Posting moves an amount: it raises the debited account's debits and the credited account's credits by
// the same, so that every entry balances.
type Posting struct {
	Debit  Account     `json:"dr"`
	Credit Account     `json:"cr"`
	Amount pool.Amount `json:"amount"` // above 0
}

// Head is the end of a book or of a part of it.
type Head struct {
	Seq  uint64
	Term uint64
	Hash [32]byte // of the last line
}

// The kinds of refusal by [Book.Post].
var (
	ErrEntry     = errors.New("malformed ledger entry")
	ErrExists    = errors.New("ledger entry exists")
	ErrKeyReuse  = errors.New("ledger key used again with other content")
	ErrOverdraft = errors.New("balance would fall below zero")
)

const (
	hashDigits = 64
	maxName    = 200
	// maxLine bounds one line: about two million postings.
	maxLine = 512 << 20
)

// check refuses what could never have been written by Post.
func (e *Entry) check() error {
	switch {
	case e.V < 1 || e.V > Version:
		return fmt.Errorf("%w: version %d, this program reads 1 to %d", ErrEntry, e.V, Version)
	case e.Kind == "" || len(e.Kind) > maxName:
		return fmt.Errorf("%w: kind of %d bytes", ErrEntry, len(e.Kind))
	case e.Key == "" || len(e.Key) > maxName:
		return fmt.Errorf("%w: key of %d bytes", ErrEntry, len(e.Key))
	case e.Subject != nil && (e.Subject.Set == "" || e.Subject.ID == "" || len(e.Subject.Set) > maxName || len(e.Subject.ID) > maxName):
		return fmt.Errorf("%w: subject without set or id", ErrEntry)
	case e.Subject != nil && len(e.Body) == 0:
		return fmt.Errorf("%w: subject %s/%s without a body", ErrEntry, e.Subject.Set, e.Subject.ID)
	}
	for i := range e.Postings {
		p := &e.Postings[i]
		if p.Amount <= 0 {
			return fmt.Errorf("%w: posting %d of %d", ErrEntry, i, p.Amount)
		}
		if p.Debit == p.Credit {
			return fmt.Errorf("%w: posting %d debits and credits %s", ErrEntry, i, p.Debit)
		}
		if err := p.Debit.check(); err != nil {
			return fmt.Errorf("%w: posting %d: %w", ErrEntry, i, err)
		}
		if err := p.Credit.check(); err != nil {
			return fmt.Errorf("%w: posting %d: %w", ErrEntry, i, err)
		}
	}
	return nil
}

// digest is what must be equal when a key comes again: kind, subject, postings, overdrafts and body, which has no
// spaces between its values, as the book keeps it. It is never stored.
func (e *Entry) digest() [16]byte {
	h := sha256.New()
	var buf []byte
	number := func(n int64) { buf = binary.LittleEndian.AppendUint64(buf, uint64(n)) }
	text := func(s string) {
		number(int64(len(s)))
		buf = append(buf, s...)
		h.Write(buf)
		buf = buf[:0]
	}
	text(e.Kind)
	if e.Subject == nil {
		text("")
	} else {
		text("subject")
		number(e.Subject.Rank)
		text(e.Subject.Set)
		text(e.Subject.ID)
	}
	number(int64(len(e.Postings)))
	for i := range e.Postings {
		p := &e.Postings[i]
		number(int64(p.Amount))
		text(string(p.Debit))
		text(string(p.Credit))
	}
	number(int64(len(e.Overdraft)))
	for _, a := range e.Overdraft {
		text(string(a))
	}
	h.Write(buf)
	h.Write(e.Body)
	return [16]byte(h.Sum(nil))
}

// encode writes e, whose body has no spaces between its values, as one JSON object without a newline.
func encode(e Entry) ([]byte, error) {
	text := e.Body // the last member, put in as it is: it may be large
	e.Body = nil
	var buf bytes.Buffer
	buf.Grow(len(text) + 200*len(e.Postings) + 500)
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	line := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(text) > 0 {
		line = append(line[:len(line)-1], `,"body":`...)
		line = append(append(line, text...), '}')
	}
	return line, nil
}

// appendLine appends the line of a body whose predecessor's hash is prev, and returns the line's hash.
func appendLine(dst, body []byte, prev [32]byte) ([]byte, [32]byte) {
	hash := chain(prev, body)
	dst = hex.AppendEncode(dst, hash[:])
	dst = append(dst, ' ')
	dst = append(dst, body...)
	return append(dst, '\n'), hash
}

func chain(prev [32]byte, body []byte) (hash [32]byte) {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// parseLine reads one line without its newline and checks it against the hash of the line before.
func parseLine(line []byte, prev [32]byte) (Entry, [32]byte, error) {
	if len(line) < hashDigits+3 || line[hashDigits] != ' ' {
		return Entry{}, [32]byte{}, fmt.Errorf("%w: not a hash and an object", ErrEntry)
	}
	body := line[hashDigits+1:]
	hash := chain(prev, body)
	if hex.EncodeToString(hash[:]) != string(line[:hashDigits]) {
		return Entry{}, [32]byte{}, fmt.Errorf("%w: hash chain is broken", ErrEntry)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var e Entry
	if err := dec.Decode(&e); err != nil {
		return Entry{}, [32]byte{}, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if dec.InputOffset() != int64(len(body)) {
		return Entry{}, [32]byte{}, fmt.Errorf("%w: bytes after the object", ErrEntry)
	}
	if err := e.check(); err != nil {
		return Entry{}, [32]byte{}, err
	}
	return e, hash, nil
}
