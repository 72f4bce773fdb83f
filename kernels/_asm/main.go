// Command _asm writes the assembly of the kernels. It is a module of its own, so
// that the pool does not depend on the assembler it is written with; the
// go:generate lines of the packages beside it call it.
package main

import (
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"
)

// files are the assembly files by the last word of the command line.
var files = map[string]func(){
	"clock":          clock,
	"ports":          ports,
	"cpuid":          cpuid,
	"sha256d-shani":  sha256dSHANI,
	"sha256d-avx2":   sha256dAVX2,
	"sha256d-avx512": sha256dAVX512,
	"scrypt-shani":   scryptSHANI,
	"scrypt-avx2":    scryptAVX2,
	"scrypt-avx512":  scryptAVX512,
}

func main() {
	name := os.Args[len(os.Args)-1]
	write, ok := files[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no assembly file named %q\n", name)
		os.Exit(2)
	}
	build.ConstraintExpr("!purego")
	write()
	build.Generate()
}
