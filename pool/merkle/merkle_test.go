package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func join(l, r Node[uint64]) (Node[uint64], error) {
	if l.Sum+r.Sum < l.Sum {
		return Node[uint64]{}, errors.New("sum overflows")
	}
	b := append(append([]byte{1}, l.Hash[:]...), r.Hash[:]...)
	return Node[uint64]{sha256.Sum256(binary.LittleEndian.AppendUint64(b, l.Sum+r.Sum)), l.Sum + r.Sum}, nil
}

func leaves(n int) []Node[uint64] {
	out := make([]Node[uint64], n)
	for i := range out {
		out[i] = Node[uint64]{sha256.Sum256([]byte{0, byte(i), byte(i >> 8)}), uint64(i)}
	}
	return out
}

// Every leaf climbs to the root, nothing else does, and the frontier has the same root at every size.
func TestPaths(t *testing.T) {
	var f Frontier[uint64]
	for n := range 70 {
		want, err := Root(leaves(n), join)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Root(join); err != nil || got != want || f.Count() != uint64(n) {
			t.Fatalf("%d leaves: frontier %v, %v; want %v", n, got, err, want)
		}
		for i := range n {
			path, root, err := Path(leaves(n), i, join)
			if err != nil || root != want {
				t.Fatalf("leaf %d of %d: %v, %v", i, n, root, err)
			}
			if got, err := Climb(leaves(n)[i], path, join); err != nil || got != want {
				t.Fatalf("leaf %d of %d climbs to %v, %v", i, n, got, err)
			}
		}
		if err := f.Add(leaves(n + 1)[n], join); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForgedPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "leaves")
		i := rapid.IntRange(0, n-1).Draw(t, "index")
		path, root, err := Path(leaves(n), i, join)
		if err != nil {
			t.Fatal(err)
		}
		leaf := leaves(n)[i]
		forged := slices.Clone(path)
		step := rapid.IntRange(0, len(path)-1).Draw(t, "step")
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			forged[step].Hash[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		case 1:
			forged[step].Sum++
		case 2:
			forged[step].Left = !forged[step].Left
		case 3:
			leaf.Sum++
		}
		if got, err := Climb(leaf, forged, join); err == nil && got == root {
			t.Fatalf("a forged path leads to the root")
		}
	})
	if _, err := Climb(leaves(1)[0], make([]Step[uint64], MaxSteps+1), join); !errors.Is(err, ErrSteps) {
		t.Errorf("a path that is too long: %v", err)
	}
}
