//go:build !purego

package scrypt

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"github.com/adit-pool/adit/kernels"
)

// initial is the initial state of SHA-256 (FIPS 180-4, section 5.3.3).
var initial = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// useSHANI tells whether PBKDF2 is to use the SHA instructions. They were tried
// against the standard library before.
var useSHANI = sync.OnceValue(func() bool {
	return kernels.CPU().SHA && !kernels.Disabled(name, "shani") && shaniRight()
})

// password is the header as the password of PBKDF2 (RFC 8018) with HMAC-SHA256
// (RFC 2104) and one iteration. shani selects the code for both its methods.
type password struct {
	shani        bool
	header       *[kernels.HeaderSize]byte
	inner, outer [8]uint32 // HMAC's two states after the key
}

// expand makes the 128 bytes that ROMix works on, as 32 little-endian words. The
// salt is the header.
func (p *password) expand(header *[kernels.HeaderSize]byte, b *[32]uint32) {
	p.header = header
	if !p.shani {
		bytes := p.standard(header[:], 128)
		for i := range b {
			b[i] = binary.LittleEndian.Uint32(bytes[4*i:])
		}
		return
	}
	var block [64]byte
	// HMAC takes the hash of a key that is longer than a block.
	key := initial
	compressSHANI(&key, &header[0], 1)
	copy(block[:], header[64:])
	block[16] = 0x80
	binary.BigEndian.PutUint32(block[60:], 8*kernels.HeaderSize)
	compressSHANI(&key, &block[0], 1)
	pad := func(state *[8]uint32, with uint32) {
		for i := range 16 {
			word := with
			if i < 8 {
				word ^= key[i]
			}
			binary.BigEndian.PutUint32(block[4*i:], word)
		}
		*state = initial
		compressSHANI(state, &block[0], 1)
	}
	pad(&p.outer, 0x5c5c5c5c)
	pad(&p.inner, 0x36363636)

	salted := p.inner
	compressSHANI(&salted, &header[0], 1)
	clear(block[:])
	copy(block[:], header[64:])
	block[20] = 0x80
	binary.BigEndian.PutUint32(block[60:], 8*(64+kernels.HeaderSize+4))
	for i := range 4 {
		block[19] = byte(i + 1) // the number of the output block, big-endian
		state := salted
		compressSHANI(&state, &block[0], 1)
		p.finish(&state)
		for j, word := range state {
			b[8*i+j] = bits.ReverseBytes32(word)
		}
	}
}

// key makes the hash: the salt is what ROMix made of the words of expand.
func (p *password) key(b *[32]uint32) (hash [32]byte) {
	if !p.shani {
		salt := make([]byte, 0, 128)
		for _, word := range b {
			salt = binary.LittleEndian.AppendUint32(salt, word)
		}
		return [32]byte(p.standard(salt, 32))
	}
	var salt [192]byte // with the output block's number, which is 1, and the padding
	for i, word := range b {
		binary.LittleEndian.PutUint32(salt[4*i:], word)
	}
	salt[131], salt[132] = 1, 0x80
	binary.BigEndian.PutUint32(salt[188:], 8*(64+128+4))
	state := p.inner
	compressSHANI(&state, &salt[0], 3)
	p.finish(&state)
	for i, word := range state {
		binary.BigEndian.PutUint32(hash[4*i:], word)
	}
	return hash
}

// finish is the outer hash of HMAC over the inner one.
func (p *password) finish(state *[8]uint32) {
	var block [64]byte
	for i, word := range state {
		binary.BigEndian.PutUint32(block[4*i:], word)
	}
	block[32] = 0x80
	binary.BigEndian.PutUint32(block[60:], 8*(64+32))
	*state = p.outer
	compressSHANI(state, &block[0], 1)
}

// standard is PBKDF2 by the standard library.
func (p *password) standard(salt []byte, size int) []byte {
	key, err := pbkdf2.Key(sha256.New, string(p.header[:]), salt, 1, size)
	if err != nil {
		panic(fmt.Sprintf("scrypt: PBKDF2: %v", err)) // never: the parameters are constants
	}
	return key
}

// shaniRight compares both steps with the standard library's.
func shaniRight() bool {
	for i := range 4 {
		var header [kernels.HeaderSize]byte
		for j := range header {
			header[j] = byte(j*j + 7*i + 1)
		}
		fast, slow := password{shani: true}, password{}
		var a, b [32]uint32
		fast.expand(&header, &a)
		slow.expand(&header, &b)
		if a != b || fast.key(&a) != slow.key(&b) {
			return false
		}
	}
	return true
}
