package kernels

import (
	"testing"
	"time"
)

func TestDisabled(t *testing.T) {
	f := func(list, kernel, implementation string, want bool) {
		t.Helper()
		if got := disabled(list, kernel, implementation); got != want {
			t.Errorf("%q turns %s/%s off: %v, want %v", list, kernel, implementation, got, want)
		}
	}
	f("", "sha256d", "shani-2x", false)
	f("sha256d", "sha256d", "shani-2x", true)
	f("sha256d", "scrypt", "avx2-6x", false)
	f("sha256d/shani", "sha256d", "shani-2x", true)
	f("sha256d/shani", "sha256d", "shani", true)
	f("sha256d/shani-2x", "sha256d", "shani-3x", false)
	f("sha256d/shani-2x", "sha256d", "shani-2x", true)
	f("sha256d/avx", "sha256d", "avx2-8x", false)
	f("sha256d/", "sha256d", "avx2-8x", false)
	f("sha256", "sha256d", "avx2-8x", false)
	f("scrypt/avx2, sha256d/avx512", "sha256d", "avx512-16x", true)
}

type fake struct {
	Kernel
	wrongHash, missing, short bool
}

func (f fake) Hash(header *[HeaderSize]byte) [32]byte {
	hash := [32]byte(header[:32])
	if f.wrongHash && header[0] != 13 {
		hash[31] ^= 1
	}
	return hash
}

func (f fake) Scan(_ *[HeaderSize]byte, first uint32, count uint64, _ *[32]byte, found func(uint32) bool) uint64 {
	for i := range count {
		if i%8 == 3 && !(f.missing && i > 40) {
			found(first + uint32(i))
		}
	}
	if f.short {
		return count - 1
	}
	return count
}

func TestTrialFindsFaults(t *testing.T) {
	f := func(k fake, want bool) {
		t.Helper()
		if got := NewTrial(fake{}, 100, [32]byte{}).Passed(k, 70); got != want {
			t.Errorf("%+v passed: %v, want %v", k, got, want)
		}
	}
	f(fake{}, true)
	f(fake{wrongHash: true}, false)
	f(fake{missing: true}, false)
	f(fake{short: true}, false)
}

func TestBest(t *testing.T) {
	all := []Implementation{
		{Name: "one", Lanes: 1, Each: 200},
		{Name: "off", Lanes: 1, Off: "absent"},
		{Name: "four", Lanes: 4, Each: 60},
		{Name: "many", Lanes: 24, Each: 20},
	}
	f := func(n int, want string) {
		t.Helper()
		if got := Best(all, n); got.Name != want {
			t.Errorf("%d headers by %s, want %s", n, got.Name, want)
		}
	}
	f(1, "one")
	f(2, "four")
	f(4, "four")
	f(9, "many")
	f(1<<20, "many")
}

func TestCalibrate(t *testing.T) {
	all := Calibrate([]Implementation{{Name: "slow", Lanes: 2, Kernel: sleepy(400)}, {Name: "off", Off: "absent"}, {Name: "fast", Lanes: 1, Kernel: sleepy(20)}})
	if all[0].Each <= all[2].Each || all[2].Each < 20_000 || all[1].Each != 0 {
		t.Errorf("calibrated as %+v", all)
	}
}

// sleepy takes that many microseconds of a processor a nonce.
type sleepy int

func (sleepy) Name() string                    { return "sleepy" }
func (sleepy) Diff1() (target [32]byte)        { return target }
func (sleepy) Hash(*[HeaderSize]byte) [32]byte { return [32]byte{} }
func (s sleepy) Scan(_ *[HeaderSize]byte, _ uint32, count uint64, _ *[32]byte, _ func(uint32) bool) uint64 {
	for end := ThreadTime() + time.Duration(count)*time.Duration(s)*time.Microsecond; ThreadTime() < end; {
	}
	return count
}
