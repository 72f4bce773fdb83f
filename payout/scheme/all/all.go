// Package all lists every reward scheme. A new one is one folder beside this and one line here.
package all

import (
	"fmt"
	"strings"

	"github.com/adit-pool/adit/payout/scheme/pplns"
	"github.com/adit-pool/adit/payout/scheme/prop"
	"github.com/adit-pool/adit/payout/scheme/solo"
	"github.com/adit-pool/adit/pool"
)

// Maker builds a scheme from the pool's window length, a decimal number of blocks, which not every
// scheme looks at.
type Maker struct {
	ID  pool.SchemeID
	New func(n string) (pool.Scheme, error)
}

// Schemes lists them all.
func Schemes() []Maker {
	return []Maker{
		{pool.SchemePPLNS, func(n string) (pool.Scheme, error) { return pplns.New(n) }},
		{pool.SchemePROP, func(string) (pool.Scheme, error) { return prop.Scheme{}, nil }},
		{pool.SchemeSOLO, func(string) (pool.Scheme, error) { return solo.Scheme{}, nil }},
	}
}

// Find builds the scheme of a name as configuration writes it ("pplns", "prop", "solo"). n is the window of
// PPLNS in blocks of expected work, such as "2" or "2.5".
func Find(name, n string) (pool.Scheme, error) {
	var names []string
	for _, m := range Schemes() {
		if m.ID.String() == name {
			return m.New(n)
		}
		names = append(names, m.ID.String())
	}
	return nil, fmt.Errorf("scheme %q is not one of %s", name, strings.Join(names, ", "))
}
