// Package all lists every kernel. A new one is one folder beside this and one
// line here.
package all

import (
	"fmt"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// Kernels lists them all, one for each proof-of-work function.
func Kernels() []kernels.Kernel {
	return []kernels.Kernel{
		sha256d.Kernel{},
		scrypt.Kernel{},
	}
}

// Named finds a kernel by its name; the error of an unknown name lists those
// that there are.
func Named(name string) (kernels.Kernel, error) {
	var names []string
	for _, k := range Kernels() {
		if k.Name() == name {
			return k, nil
		}
		names = append(names, k.Name())
	}
	return nil, fmt.Errorf("unknown kernel %q: there are %q", name, names)
}
