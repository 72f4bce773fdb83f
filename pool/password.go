package pool

import "strings"

// Password is what a miner asks for in the password of its login.
type Password struct {
	Start   Difficulty // d=: of its first job, 0 when not given
	Minimum Difficulty // md=: least it wants, 0 when not given
	Solo    bool       // m=solo: work whose coinbase pays its own address
	Asked   Asked
}

// Asked are wishes for an account that other parts act on, see [Note].
type Asked struct {
	PayoutLimit string // pl=: a decimal number of coins, "" when not given
	Code        string // code=: proves that who sees it shown also runs a rig of the account
}

// Longest texts of a password that are read.
const (
	maxPassword    = 512
	maxPayoutLimit = 24
	maxCode        = 64
)

// ParsePassword reads options key=value separated by ',' or ';': d=, md=, m=solo, pl= and code=. Keys are
// read in any case, the first of a kind counts, and what is not an option, or has no value that can be
// used, is passed over: passwords are "x" by custom and a login is never refused for one. The names of
// other coins (such as doge=) are kept free for addresses on merged-mined chains.
func ParsePassword(text string) Password {
	text = text[:min(len(text), maxPassword)]
	var p Password
	for option := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(option, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "d":
			first(&p.Start, difficultyOption(value))
		case "md":
			first(&p.Minimum, difficultyOption(value))
		case "m":
			p.Solo = p.Solo || strings.EqualFold(value, "solo")
		case "pl":
			if isDecimal(value) {
				first(&p.Asked.PayoutLimit, value)
			}
		case "code":
			if isCode(value) {
				first(&p.Asked.Code, value)
			}
		}
	}
	return p
}

// first sets a field that is not set yet.
func first[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func difficultyOption(text string) Difficulty {
	d, err := ParseDifficulty(text)
	if err != nil {
		return 0
	}
	return d
}

// isDecimal reports digits with at most one point among them.
func isDecimal(s string) bool {
	digits, points := 0, 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1 && len(s) <= maxPayoutLimit
}

// isCode reports letters, digits and '-'.
func isCode(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxCode
}
