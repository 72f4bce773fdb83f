package kernels

import (
	"strings"

	"github.com/adit-pool/adit/kernels"
)

// limit is how many cycles of this CPU a hash takes at the least: the number of
// instructions of each kind that the algorithm needs, by the implementation's
// way, times what its execution units take for one, measured on this CPU. Waiting
// for results and for memory is left out: it can be hidden. 0 is unknown.
//
// SHA-256d by the SHA instructions: a nonce is 62 SHA256RNDS2 (three of the 128
// rounds do not depend on it, and the last three need not be done), of which 46
// go with the 23 groups that make message words.
//
// With a word of each nonce in a register: a round is 35 operations (two sums of
// three rotations, each two shifts and an exclusive or, 11 each; choice and
// majority 3 each; 7 additions), a message word 21; with instructions for
// rotation and three-input logic 17 and 11. 122 rounds and 81 words are needed. With
// several versions at once the header's 36 words are made once for all, with the
// addition of K to 46, and its 60 rounds are an operation shorter.
//
// Scrypt: 4096 Salsa20/8 of 8 rounds; a round is four steps on rows (addition,
// rotation, exclusive or: 5 operations, or 3 with a rotate instruction) and 3
// shuffles; and 12 operations to begin and end. PBKDF2 is below 2 % and left out.
func limit(algorithm, path string, ports kernels.Ports) float64 {
	path, rolled := strings.CutSuffix(path, rolledSuffix)
	family, _, _ := strings.Cut(path, "-")
	sha := func(round, word float64) float64 {
		if rolled {
			return 122*round - 60 + 45*word + (36*word+46)/kernels.Together
		}
		return 122*round + 81*word
	}
	salsas := func(step float64) float64 { return 4096 * (8*(4*step+3) + 12) }
	switch algorithm + " " + family {
	case "sha256d shani":
		return 23*ports.Rounds4 + 16*ports.Rounds2
	case "sha256d avx2":
		return sha(35, 21) * ports.Mix256 / 8
	case "sha256d avx512":
		return sha(17, 11) * ports.Mix512 / 16
	case "scrypt avx2":
		return salsas(5) * ports.Mix256 / 2
	case "scrypt avx512":
		return salsas(3) * ports.Mix512 / 4
	}
	return 0
}
