package payout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/pool"
)

// maxSigned bounds a text that an account's owner signs, in bytes.
const maxSigned = 1000

// signedText is what the texts that owners sign have in common: a title, then "name: value" lines that begin with
// pool, account and counter.
type signedText struct {
	account pool.AccountID
	counter uint64
	values  map[string]string // of the lines behind the counter
}

// parseSigned reads such a text strictly; forms are the names of the lines behind the counter, each form of another
// length. Spaces at line ends and a last line end are taken off by signers now and then, and are not counted.
func parseSigned(text, title, poolID string, forms ...[]string) (s signedText, err error) {
	if len(text) > maxSigned {
		return s, badOrder("it has %d bytes", len(text))
	}
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	if strings.TrimRight(lines[0], "\r ") != title {
		return s, badOrder("its first line is not %q", title)
	}
	names := []string{"pool", "account", "counter"}
	i := slices.IndexFunc(forms, func(form []string) bool { return len(lines) == 1+len(names)+len(form) })
	if i < 0 {
		return s, badOrder("it has %d lines", len(lines))
	}
	s.values = map[string]string{}
	for i, name := range append(names, forms[i]...) {
		value, ok := strings.CutPrefix(strings.TrimRight(lines[i+1], "\r "), name+": ")
		if !ok {
			return s, badOrder("line %d does not begin with %q", i+2, name+": ")
		}
		s.values[name] = value
	}
	if s.values["pool"] != poolID {
		return s, badOrder("it is for pool %.40q", s.values["pool"])
	}
	if err := s.account.UnmarshalText([]byte(s.values["account"])); err != nil {
		return s, badOrder("account %.80q", s.values["account"])
	}
	if s.counter, err = strconv.ParseUint(s.values["counter"], 10, 64); err != nil {
		return s, badOrder("counter %.40q", s.values["counter"])
	}
	return s, nil
}

// badOrder says what is wrong with a signed text.
func badOrder(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOrder, fmt.Sprintf(format, args...))
}
