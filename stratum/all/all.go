// Package all lists every Stratum dialect. A new one is one folder beside this and one line here.
package all

import (
	"fmt"

	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/v1"
)

// Dialects returns a new value of each dialect, for one server.
func Dialects() []stratum.Dialect {
	return []stratum.Dialect{
		v1.New(),
	}
}

// Named returns a new value of the dialect with a name; the error of an unknown name lists those that
// there are.
func Named(name string) (stratum.Dialect, error) {
	var names []string
	for _, d := range Dialects() {
		if d.Name() == name {
			return d, nil
		}
		names = append(names, d.Name())
	}
	return nil, fmt.Errorf("unknown stratum dialect %q: there are %q", name, names)
}
