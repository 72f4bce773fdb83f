// Package kerneltest is the suite that every kernel passes: known headers,
// random headers against a slow and straight implementation that shares no code
// with the kernels, and searches that must find every nonce and invent none.
package kerneltest

import (
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/adit-pool/adit/kernels"
)

//go:embed testdata/headers.json
var headersJSON []byte

// vector is a header known to the world; the hash is big-endian hex as block
// explorers print it.
type vector struct {
	Name    string `json:"name"`
	Kernel  string `json:"kernel"`
	Header  string `json:"header"`
	PowHash string `json:"pow_hash_display"`
}

// Run runs the suite on k.
func Run(t *testing.T, k kernels.Kernel) {
	straight, budget := reference(t, k.Name())
	t.Run("vectors", func(t *testing.T) { vectors(t, k) })
	t.Run("random", func(t *testing.T) { random(t, k, straight, budget) })
	t.Run("target edge", func(t *testing.T) { targetEdge(t, k, straight) })
	t.Run("ranges", func(t *testing.T) { ranges(t, k, straight, budget) })
	t.Run("stop", func(t *testing.T) { stop(t, k) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, k) })
	if budget >= 1000 { // what a slow kernel would show is shown by a fast one
		t.Run("versions", func(t *testing.T) { versions(t, k, straight, budget) })
		t.Run("versions stop", func(t *testing.T) { versionsStop(t, k) })
	}
}

// hashFunc is a reference: header to hash in internal order.
type hashFunc func(header [kernels.HeaderSize]byte) [32]byte

// reference gives the straight implementation of the named function and how
// many of its hashes a test may spend.
func reference(t *testing.T, name string) (straight hashFunc, budget int) {
	t.Helper()
	switch name {
	case "sha256d":
		return straightSHA256d, 20_000
	case "scrypt":
		return straightScrypt, 100
	}
	t.Fatalf("kernel %q has no reference implementation in kerneltest", name)
	return nil, 0
}

func vectors(t *testing.T, k kernels.Kernel) {
	var all []vector
	if err := json.Unmarshal(headersJSON, &all); err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, v := range all {
		if v.Kernel != k.Name() {
			continue
		}
		used++
		header := [kernels.HeaderSize]byte(unhex(t, v.Header))
		want := [32]byte(unhex(t, v.PowHash))
		hash := k.Hash(&header)
		display := hash
		slices.Reverse(display[:])
		if display != want {
			t.Errorf("%s: hash %x, want %x", v.Name, display, want)
		}
		// The search finds the real nonce, its own hash being the target.
		nonce := binary.LittleEndian.Uint32(header[76:])
		first := nonce - min(nonce, 3)
		if got := collect(k, header, first, 8, want); !slices.Contains(got, nonce) {
			t.Errorf("%s: Scan found %x, want %x among them", v.Name, got, nonce)
		}
	}
	if used < 2 {
		t.Errorf("only %d vectors for %q", used, k.Name())
	}
}

func random(t *testing.T, k kernels.Kernel, straight hashFunc, budget int) {
	rng := seeded(t)
	for range budget {
		header := randomHeader(rng)
		if got, want := k.Hash(&header), straight(header); got != want {
			t.Fatalf("header %x: hash %x, want %x", header, got, want)
		}
	}
}

// targetEdge: a hash equal to the target counts, one above does not.
func targetEdge(t *testing.T, k kernels.Kernel, straight hashFunc) {
	rng := seeded(t)
	for range 20 {
		header := randomHeader(rng)
		nonce := binary.LittleEndian.Uint32(header[76:])
		target := straight(header)
		slices.Reverse(target[:])
		if got := collect(k, header, nonce, 1, target); !slices.Equal(got, []uint32{nonce}) {
			t.Fatalf("header %x: target equal to the hash found %x", header, got)
		}
		below := target
		for i := 31; ; i-- { // below = target - 1
			below[i]--
			if below[i] != 0xff {
				break
			}
		}
		if got := collect(k, header, nonce, 1, below); len(got) != 0 {
			t.Fatalf("header %x: target one below the hash found %x", header, got)
		}
	}
}

func ranges(t *testing.T, k kernels.Kernel, straight hashFunc, budget int) {
	rng := seeded(t)
	f := func(first uint32, count, hashed uint64) {
		t.Helper()
		header := randomHeader(rng)
		before := header
		hashes := displayHashes(header, first, hashed, straight)
		target := rareTarget(hashes)
		want := meeting(first, hashes, target)
		var got []uint32
		tried := k.Scan(&header, first, count, &target, func(n uint32) bool {
			got = append(got, n)
			return true
		})
		if tried != hashed || !slices.Equal(got, want) {
			t.Errorf("Scan(%#x, %d): %d hashes, found %x; want %d and %x", first, count, tried, got, hashed, want)
		}
		if header != before {
			t.Errorf("Scan(%#x, %d) wrote to the header", first, count)
		}
	}
	n := uint64(budget / 2)
	f(0, 0, 0)
	f(0, n, n)
	f(rng.Uint32()>>1, n, n)
	for count := uint64(1); count <= 9; count++ { // partial lanes
		f(7, count, count)
	}
	f(0xffffffff, 1, 1)
	f(0xffffffff, 5, 1)
	f(0xfffffff5, 1<<40, 11)
}

// displayHashes are the hashes of count nonces from first, as big-endian numbers.
func displayHashes(header [kernels.HeaderSize]byte, first uint32, count uint64, straight hashFunc) [][32]byte {
	hashes := make([][32]byte, count)
	for i := range hashes {
		binary.LittleEndian.PutUint32(header[76:], first+uint32(i))
		hashes[i] = straight(header)
		slices.Reverse(hashes[i][:])
	}
	return hashes
}

// rareTarget is met by some two and one of 256 of the hashes. A kernel that looks
// at a whole group of nonces again when one of them may meet the target would
// hide what it misses behind a target that is often met.
func rareTarget(hashes [][32]byte) [32]byte {
	if len(hashes) == 0 {
		return [32]byte{}
	}
	sorted := slices.SortedFunc(slices.Values(hashes), func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
	return sorted[min(1+len(sorted)/256, len(sorted)-1)]
}

// meeting are the nonces from first whose hashes are at most target.
func meeting(first uint32, hashes [][32]byte, target [32]byte) (nonces []uint32) {
	for i, hash := range hashes {
		if slices.Compare(hash[:], target[:]) <= 0 {
			nonces = append(nonces, first+uint32(i))
		}
	}
	return nonces
}

// stop: a search told to stop has tried exactly the nonces up to the last one
// found, and goes on from there to the same end as a search in one go.
func stop(t *testing.T, k kernels.Kernel) {
	header := randomHeader(seeded(t))
	everyFourth := [32]byte{0: 0x40}
	const first, count = 5, 64
	whole := collect(k, header, first, count, everyFourth)
	var parts []uint32
	for at, left := uint32(first), uint64(count); left > 0; {
		last, hit := uint32(0), false
		hashes := k.Scan(&header, at, left, &everyFourth, func(n uint32) bool {
			if hit {
				t.Fatalf("nonce %d reported after found said stop", n)
			}
			last, hit = n, true
			parts = append(parts, n)
			return false
		})
		if hit && uint64(last-at)+1 != hashes || !hit && hashes != left {
			t.Fatalf("Scan(%d, %d): found %v at %d, %d hashes", at, left, hit, last, hashes)
		}
		at += uint32(hashes)
		left -= hashes
	}
	if !slices.Equal(parts, whole) {
		t.Errorf("in parts %v, in one go %v", parts, whole)
	}
}

func concurrent(t *testing.T, k kernels.Kernel) {
	header := randomHeader(seeded(t))
	everyFourth := [32]byte{0: 0x40}
	want := collect(k, header, 0, 32, everyFourth)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if got := collect(k, header, 0, 32, everyFourth); !slices.Equal(got, want) {
				t.Errorf("found %v, alone %v", got, want)
			}
		})
	}
	wait.Wait()
}

// BenchmarkScan reports hashes per second of one goroutine and, by the clock it
// had on the average, cycles per hash: that number is to be compared with what the
// CPU's execution units allow.
func BenchmarkScan(b *testing.B, k kernels.Kernel) {
	var header [kernels.HeaderSize]byte
	var none [32]byte
	b.ReportAllocs()
	clock := kernels.Clock()
	b.ResetTimer()
	k.Scan(&header, 0, uint64(b.N), &none, func(uint32) bool { return true })
	b.StopTimer()
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "H/s")
	if clock = (clock + kernels.Clock()) / 2; clock != 0 {
		b.ReportMetric(clock/rate, "cycles/H")
	}
}

// BenchmarkHash is the cost of the proof-of-work hash of one share.
func BenchmarkHash(b *testing.B, k kernels.Kernel) {
	var header [kernels.HeaderSize]byte
	b.ReportAllocs()
	for b.Loop() {
		k.Hash(&header)
	}
}

func collect(k kernels.Kernel, header [kernels.HeaderSize]byte, first uint32, count uint64, target [32]byte) []uint32 {
	var nonces []uint32
	k.Scan(&header, first, count, &target, func(n uint32) bool {
		nonces = append(nonces, n)
		return true
	})
	return nonces
}

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func randomHeader(rng *rand.Rand) (header [kernels.HeaderSize]byte) {
	for i := range header {
		header[i] = byte(rng.Uint32())
	}
	return header
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
