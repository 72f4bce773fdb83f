package kernels_test

import (
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/kernels"
)

func TestMeetsEqualsBigInt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var target, hash [32]byte
		copy(target[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "target"))
		copy(hash[:], target[:])
		slices.Reverse(hash[:])
		// A hash near the target: equal but for at most two bytes.
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			hash[rapid.IntRange(0, 31).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		display := hash
		slices.Reverse(display[:])
		want := new(big.Int).SetBytes(display[:]).Cmp(new(big.Int).SetBytes(target[:])) <= 0
		if got := kernels.Meets(&hash, &target); got != want {
			t.Fatalf("Meets(%x, %x) = %v", hash, target, got)
		}
	})
}

func TestClip(t *testing.T) {
	f := func(first uint32, count, want uint64) {
		t.Helper()
		if got := kernels.Clip(first, count); got != want {
			t.Errorf("Clip(%d, %d) = %d, want %d", first, count, got, want)
		}
	}
	f(0, 0, 0)
	f(0, 1<<40, 1<<32)
	f(0xffffffff, 1, 1)
	f(0xffffffff, 2, 1)
	f(0xfffffff0, 8, 8)
	f(1, 1<<64-1, 1<<32-1)
}
