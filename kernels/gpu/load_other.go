//go:build !((linux || darwin || freebsd) && (amd64 || arm64)) || nogpu

package gpu

import "fmt"

func open(string) (*opencl, error) {
	return nil, fmt.Errorf("%w: this program was built without it", ErrNoLibrary)
}
