//go:build (linux || darwin || freebsd) && (amd64 || arm64) && !nogpu

package gpu

import (
	"fmt"
	"runtime"

	"github.com/ebitengine/purego"
)

func open(path string) (*opencl, error) {
	paths := []string{path}
	if path == "" {
		paths = []string{"libOpenCL.so.1", "libOpenCL.so"}
		if runtime.GOOS == "darwin" {
			paths = []string{"/System/Library/Frameworks/OpenCL.framework/OpenCL"}
		}
	}
	var first error
	for _, p := range paths {
		lib, err := purego.Dlopen(p, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		cl := new(opencl)
		for name, to := range cl.functions() {
			at, err := purego.Dlsym(lib, name)
			if err != nil {
				return nil, fmt.Errorf("%w: %s has no %s: %v", ErrNoLibrary, p, name, err)
			}
			purego.RegisterFunc(to, at)
		}
		return cl, nil
	}
	return nil, fmt.Errorf("%w: %v", ErrNoLibrary, first)
}
