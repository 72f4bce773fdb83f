package all

import (
	"fmt"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// Programs lists the searches for OpenCL devices, one for each kernel that has one.
func Programs() []kernels.Program {
	return []kernels.Program{
		sha256d.Program(),
		scrypt.Program(),
	}
}

// Program finds the program of the named kernel.
func Program(name string) (kernels.Program, error) {
	for _, p := range Programs() {
		if p.Kernel.Name() == name {
			return p, nil
		}
	}
	return kernels.Program{}, fmt.Errorf("no OpenCL program for kernel %q", name)
}
