package kernels

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Implementation is one way to compute a kernel's function on this machine.
type Implementation struct {
	Name   string  // such as "shani-3x": the instructions and how many nonces are hashed in step
	Lanes  int     // nonces hashed in step
	Off    string  // why it cannot be used here; empty when it can
	Kernel Kernel  // nil when Off is not empty
	Each   float64 // nanoseconds a nonce in a search, by Calibrate; 0 when not measured
}

// DisableVariable names the environment variable that turns implementations
// off. It is a list, separated by commas, of kernel names ("sha256d": all its
// fast implementations), of kernel/implementation ("scrypt/avx2-6x") and of
// kernel/instructions ("sha256d/shani": all that begin so).
const DisableVariable = "ADIT_KERNELS_DISABLE"

// Disabled tells whether the environment turns an implementation off.
func Disabled(kernel, implementation string) bool {
	return disabled(os.Getenv(DisableVariable), kernel, implementation)
}

func disabled(list, kernel, implementation string) bool {
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		rest, ok := strings.CutPrefix(entry, kernel)
		if !ok {
			continue
		}
		what, ok := strings.CutPrefix(rest, "/")
		if rest == "" || ok && (what == implementation || what != "" && strings.HasPrefix(implementation, what+"-")) {
			return true
		}
	}
	return false
}

// Trial is a short examination that an implementation must pass on this very
// CPU before it is used: the hash of a header, and the nonces found in a range of
// another.
type Trial struct {
	headers [2][HeaderSize]byte // to search, and to hash
	hash    [32]byte
	target  [32]byte
	nonces  []uint32 // found by the reference
	rolled  []uint64 // nonce and version that a Rolling reference found
}

const trialFirst = 0xfffe // the first nonce

// trialVersions are those of the trial of a Rolling kernel.
var trialVersions = [...]uint32{0x20000000, 0x3fffe000, 0x00c0ffee}

// NewTrial makes a trial with the answers of reference for at most count nonces.
// An implementation may hash a whole group of lanes again when one of them may
// meet the target, which hides what it misses; so target must be met rarely.
func NewTrial(reference Kernel, count uint64, target [32]byte) *Trial {
	t := &Trial{target: target}
	for i := range t.headers {
		for j := range t.headers[i] {
			t.headers[i][j] = byte(j*167 + 13 + i*29)
		}
	}
	t.hash = reference.Hash(&t.headers[1])
	t.nonces, _ = t.search(reference, count)
	if r, ok := reference.(Rolling); ok {
		t.rolled, _ = t.searchRolled(r, count/4) // in several versions
	}
	return t
}

func (t *Trial) searchRolled(k Rolling, count uint64) (finds []uint64, tried uint64) {
	tried = k.ScanVersions(&t.headers[0], trialVersions[:], trialFirst, count, &t.target, func(n uint32, version int) bool {
		finds = append(finds, uint64(n)<<8|uint64(version))
		return true
	})
	return finds, tried
}

func (t *Trial) search(k Kernel, count uint64) (nonces []uint32, tried uint64) {
	tried = k.Scan(&t.headers[0], trialFirst, count, &t.target, func(n uint32) bool {
		nonces = append(nonces, n)
		return true
	})
	return nonces, tried
}

// Passed tells whether k gives the reference's hash and, in a search of count
// nonces, its nonces. count is at most that of NewTrial, and for k to show all
// its lanes more than they are.
func (t *Trial) Passed(k Kernel, count uint64) bool {
	if k.Hash(&t.headers[1]) != t.hash {
		return false
	}
	nonces, tried := t.search(k, count)
	end, _ := slices.BinarySearch(t.nonces, trialFirst+uint32(count))
	if tried != count || !slices.Equal(nonces, t.nonces[:end]) {
		return false
	}
	r, ok := k.(Rolling)
	if !ok || t.rolled == nil {
		return true
	}
	finds, tried := t.searchRolled(r, count/4)
	end, _ = slices.BinarySearch(t.rolled, uint64(trialFirst+uint32(count/4))<<8)
	return tried == count/4 && slices.Equal(finds, t.rolled[:end])
}

// Calibrate measures how long a nonce takes each usable implementation on this
// machine now, by its best of some short bursts, taken in turn so that a busy
// moment strikes all alike, in the processor's time where that is known. The CPU's name is not asked: which instructions win
// differs between CPUs that have the same ones. It takes some 2 ms an
// implementation.
func Calibrate(all []Implementation) []Implementation {
	var header [HeaderSize]byte
	var none [32]byte
	return calibrate(all, func(k Kernel, count uint64) {
		k.Scan(&header, 0, count, &none, func(uint32) bool { return true })
	})
}

// CalibrateRolling is Calibrate for a search of Together versions.
func CalibrateRolling(all []Implementation) []Implementation {
	var header [HeaderSize]byte
	var none [32]byte
	var versions [Together]uint32
	return calibrate(all, func(k Kernel, count uint64) {
		ScanVersions(k, &header, versions[:], 0, (count+Together-1)/Together, &none, func(uint32, int) bool { return true })
	})
}

// calibrate measures scan, which tries count hashes.
func calibrate(all []Implementation, scan func(k Kernel, count uint64)) []Implementation {
	const (
		burst  = 300 * time.Microsecond
		bursts = 3
	)
	run := func(k Kernel, count uint64) time.Duration {
		start := ThreadTime()
		scan(k, count)
		return max(ThreadTime()-start, 1)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all = slices.Clone(all)
	counts := make([]uint64, len(all))
	for i, impl := range all {
		if impl.Off != "" {
			continue
		}
		counts[i] = uint64(impl.Lanes)
		for run(impl.Kernel, counts[i]) < burst {
			counts[i] *= 2
		}
	}
	for range bursts {
		for i := range all {
			if all[i].Off != "" {
				continue
			}
			each := float64(run(all[i].Kernel, counts[i])) / float64(counts[i])
			if all[i].Each == 0 || each < all[i].Each {
				all[i].Each = each
			}
		}
	}
	return all
}

// Best is the implementation that hashes n headers soonest: some hash a whole
// group of lanes even when there are fewer. all was calibrated, and one of them
// must be usable.
func Best(all []Implementation, n int) Implementation {
	best, soonest := -1, 0.0
	for i, impl := range all {
		if impl.Off != "" {
			continue
		}
		groups := (n + impl.Lanes - 1) / impl.Lanes
		if took := impl.Each * float64(groups*impl.Lanes); best < 0 || took < soonest {
			best, soonest = i, took
		}
	}
	return all[best]
}
