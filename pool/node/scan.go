package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/adit-pool/adit/pool"
)

// Limits of what a template may hold; real ones stay below half of each.
const (
	maxTxDigits  = 8_000_000 // hex digits of all transactions: 4 MB
	maxTxs       = 100_000
	maxMember    = 1 << 20 // bytes of a member that is not looked into
	maxExtension = 8_000_000
	maxText      = 4096 // characters of any other string
)

// answer holds what a getblocktemplate result says (BIP22, BIP23, BIP145), not yet made sense of.
// Transactions' data are slices of the scanned bytes.
type answer struct {
	version    int64
	previous   pool.Hash
	txs        []pool.TemplateTx
	aux        []byte // coinbaseaux values in their order
	value      int64
	longpollID string
	minTime    int64
	curTime    int64
	bits       string
	target     string // "" when absent
	height     int64
	commitment string // hex digits, "" when absent
	extension  string // Litecoin's mweb, hex digits, "" when absent
	rules      []string
}

// One bit for each member that may stand there once.
const (
	hasVersion = 1 << iota
	hasPrevious
	hasTxs
	hasValue
	hasMinTime
	hasCurTime
	hasBits
	hasHeight
	hasAux
	hasLongpollID
	hasTarget
	hasCommitment
	hasExtension
	hasRules
)

var required = [...]struct {
	bit  uint
	name string
}{
	{hasVersion, "version"}, {hasPrevious, "previousblockhash"}, {hasTxs, "transactions"},
	{hasValue, "coinbasevalue"}, {hasMinTime, "mintime"}, {hasCurTime, "curtime"},
	{hasBits, "bits"}, {hasHeight, "height"},
}

var (
	errCut    = errors.New("json is cut short")
	errSyntax = errors.New("json syntax is wrong")
)

// scan reads a template by jumping from quote to quote: a template of megabytes costs little. It is
// stricter than JSON: members stand once, names have no escapes, integers no fraction. Of transactions'
// data it checks only that no escape is in it; hex is checked when it is decoded.
func (a *answer) scan(raw []byte) error {
	s := scanner{b: raw}
	var seen uint
	err := s.object(func(key []byte) (err error) {
		var bit uint
		switch string(key) {
		case "version":
			bit = hasVersion
			a.version, err = s.integer()
		case "previousblockhash":
			bit = hasPrevious
			a.previous, err = s.hash()
		case "transactions":
			bit = hasTxs
			a.txs, err = s.transactions()
		case "coinbaseaux":
			bit = hasAux
			a.aux, err = s.aux()
		case "coinbasevalue":
			bit = hasValue
			a.value, err = s.integer()
		case "longpollid":
			bit = hasLongpollID
			a.longpollID, err = s.text(maxText)
		case "mintime":
			bit = hasMinTime
			a.minTime, err = s.integer()
		case "curtime":
			bit = hasCurTime
			a.curTime, err = s.integer()
		case "bits":
			bit = hasBits
			a.bits, err = s.text(maxText)
		case "target":
			bit = hasTarget
			a.target, err = s.text(maxText)
		case "height":
			bit = hasHeight
			a.height, err = s.integer()
		case "default_witness_commitment":
			bit = hasCommitment
			a.commitment, err = s.text(maxText)
		case "mweb":
			bit = hasExtension
			a.extension, err = s.text(maxExtension)
		case "rules":
			bit = hasRules
			err = s.array(func() error {
				rule, err := s.text(maxText)
				a.rules = append(a.rules, rule)
				return err
			})
		default:
			return s.skip()
		}
		if err == nil && seen&bit != 0 {
			err = errors.New("it stands there twice")
		}
		if err != nil {
			return fmt.Errorf("member %s: %w", key, err)
		}
		seen |= bit
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return fmt.Errorf("%w (at byte %d of %d)", err, s.i, len(raw))
	}
	for _, r := range required {
		if seen&r.bit == 0 {
			return fmt.Errorf("member %s is missing", r.name)
		}
	}
	return nil
}

func (s *scanner) transactions() ([]pool.TemplateTx, error) {
	txs := make([]pool.TemplateTx, 0, 1024)
	digits := 0
	err := s.array(func() error {
		if len(txs) == maxTxs {
			return fmt.Errorf("more than %d transactions", maxTxs)
		}
		var tx pool.TemplateTx
		const hasData, hasID, hasFee = 1, 2, 4
		seen := 0
		err := s.object(func(key []byte) (err error) {
			bit := 0
			switch string(key) {
			case "data":
				bit = hasData
				tx.Data, err = s.data()
			case "txid":
				bit = hasID
				tx.ID, err = s.hash()
			case "fee":
				bit = hasFee
				var fee int64
				fee, err = s.integer()
				tx.Fee = pool.Amount(fee)
			default:
				return s.skip()
			}
			if err == nil && seen&bit != 0 {
				err = errors.New("it stands there twice")
			}
			seen |= bit
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		})
		if err == nil && seen != hasData|hasID|hasFee {
			err = errors.New("data, txid or fee is missing")
		}
		if digits += len(tx.Data); err == nil && digits > maxTxDigits {
			err = errors.New("more transactions than a block can hold")
		}
		if err != nil {
			return fmt.Errorf("transaction %d: %w", len(txs)+1, err)
		}
		txs = append(txs, tx)
		return nil
	})
	return txs, err
}

// aux joins the values of coinbaseaux.
func (s *scanner) aux() ([]byte, error) {
	var all []byte
	err := s.object(func([]byte) error {
		digits, err := s.plain(maxText)
		if err != nil {
			return err
		}
		all, err = hex.AppendDecode(all, digits)
		return err
	})
	return all, err
}

// scanner walks over JSON text b from i.
type scanner struct {
	b []byte
	i int
}

// space skips white space and returns the byte after it, 0 at the end.
func (s *scanner) space() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) fail() error {
	if s.i >= len(s.b) {
		return errCut
	}
	return errSyntax
}

func (s *scanner) end() error {
	if s.space(); s.i < len(s.b) {
		return errSyntax
	}
	return nil
}

// object calls member with each name; member must read the value.
func (s *scanner) object(member func(key []byte) error) error {
	return s.list('{', '}', func() error {
		key, err := s.plain(maxText)
		if err != nil {
			return err
		}
		if s.space() != ':' {
			return s.fail()
		}
		s.i++
		return member(key)
	})
}

// array calls element before each element, which it must read.
func (s *scanner) array(element func() error) error { return s.list('[', ']', element) }

func (s *scanner) list(open, closing byte, element func() error) error {
	if s.space() != open {
		return s.fail()
	}
	s.i++
	if s.space() == closing {
		s.i++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.i++
		case closing:
			s.i++
			return nil
		default:
			return s.fail()
		}
	}
}

// data returns the inside of a string without escapes; its characters are not looked at.
func (s *scanner) data() ([]byte, error) {
	if s.space() != '"' {
		return nil, s.fail()
	}
	start := s.i + 1
	n := bytes.IndexByte(s.b[start:], '"')
	if n < 0 {
		s.i = len(s.b)
		return nil, errCut
	}
	v := s.b[start : start+n : start+n]
	if bytes.IndexByte(v, '\\') >= 0 {
		return nil, errSyntax
	}
	s.i = start + n + 1
	return v, nil
}

// plain returns the inside of a string of printable ASCII without escapes.
func (s *scanner) plain(limit int) ([]byte, error) {
	v, err := s.data()
	if err != nil {
		return nil, err
	}
	if len(v) > limit {
		return nil, fmt.Errorf("a string of %d characters", len(v))
	}
	for _, c := range v {
		if c < ' ' || c > '~' {
			return nil, errSyntax
		}
	}
	return v, nil
}

func (s *scanner) text(limit int) (string, error) {
	v, err := s.plain(limit)
	return string(v), err
}

// hash reads 64 hex digits in display order.
func (s *scanner) hash() (h pool.Hash, err error) {
	v, err := s.data()
	if err != nil {
		return h, err
	}
	if len(v) != 64 {
		return h, fmt.Errorf("hash has %d hex digits, want 64", len(v))
	}
	if _, err := hex.Decode(h[:], v); err != nil {
		return pool.Hash{}, err
	}
	for i := 0; i < 16; i++ {
		h[i], h[31-i] = h[31-i], h[i]
	}
	return h, nil
}

// integer reads a number without fraction or exponent.
func (s *scanner) integer() (int64, error) {
	negative := s.space() == '-'
	if negative {
		s.i++
	}
	start := s.i
	var v int64
	for ; s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		d := int64(s.b[s.i] - '0')
		if v > (math.MaxInt64-d)/10 {
			return 0, errors.New("a number is out of range")
		}
		v = v*10 + d
	}
	switch n := s.i - start; {
	case n == 0:
		return 0, s.fail()
	case n > 1 && s.b[start] == '0':
		return 0, errSyntax
	}
	if s.i < len(s.b) {
		switch s.b[s.i] {
		case '.', 'e', 'E':
			return 0, errors.New("a number is not whole")
		}
	}
	if negative {
		v = -v
	}
	return v, nil
}

// skip passes over a value that is not needed, checking it as JSON.
func (s *scanner) skip() error {
	switch c := s.space(); {
	case c >= '0' && c <= '9' || c == '-':
		at := s.i
		if _, err := s.integer(); err == nil {
			return nil
		}
		s.i = at // a fraction or a large number
	case c == '[' && s.i+1 < len(s.b) && s.b[s.i+1] == ']':
		s.i += 2
		return nil
	}
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if err := s.skipString(); err != nil {
				return err
			}
			if depth == 0 {
				return s.valid(start)
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.valid(start)
			}
			if depth--; depth == 0 {
				s.i++
				return s.valid(start)
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.valid(start)
			}
		}
		s.i++
	}
	return errCut
}

func (s *scanner) valid(start int) error {
	if v := s.b[start:s.i]; len(v) > maxMember || !json.Valid(v) {
		return errSyntax
	}
	return nil
}

// skipString passes over a string with escapes.
func (s *scanner) skipString() error {
	for s.i++; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return nil
		}
	}
	s.i = len(s.b)
	return errCut
}
