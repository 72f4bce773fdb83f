package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rows of one answer of a list.
const (
	DefaultLimit = 20
	MaxLimit     = 100
	maxCursor    = 128 // bytes
)

// Query reads the query parameters that a path knows, and refuses others: a misspelt one would be passed
// over in silence otherwise.
func (r Request) Query(known ...string) (map[string]string, error) {
	out := make(map[string]string)
	for key, value := range r.QueryArgs().All() {
		if !slices.Contains(known, string(key)) {
			if len(known) == 0 {
				return nil, BadRequest(fmt.Sprintf("unknown parameter %.40q: this path takes none", key))
			}
			return nil, BadRequest(fmt.Sprintf("unknown parameter %.40q; there are %s", key, strings.Join(known, ", ")))
		}
		out[string(key)] = string(value)
	}
	return out, nil
}

// Page reads limit and cursor of a list's query.
func Page(q map[string]string) (limit int, cursor string, err error) {
	limit = DefaultLimit
	if text := q["limit"]; text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n < 1 || n > MaxLimit {
			return 0, "", BadRequest(fmt.Sprintf("limit must be a number from 1 to %d", MaxLimit))
		}
		limit = int(n)
	}
	if cursor = q["cursor"]; len(cursor) > maxCursor {
		return 0, "", BadRequest("that is no cursor of this list")
	}
	return limit, cursor, nil
}
