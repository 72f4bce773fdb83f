package kernels

// Features are the instruction sets that implementations have use for, each
// with the operating system's leave to use its registers.
type Features struct {
	SHA    bool // SHA-256 instructions, with AVX beside them
	AVX2   bool
	AVX512 bool // F and BW
	SHA2   bool // those of arm64
}
