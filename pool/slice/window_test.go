package slice

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

// TestWindowMoves asks for windows anywhere, in any order: the sums that move from one to the next are
// those of a straight addition, and an unreadable slice spoils only the windows that it is in.
func TestWindowMoves(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenLog(journal.Disk{}, dir, 0, zerolog.Nop(), func(*Slice) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const all = 30
	var whole []pool.Slice
	var end int64 // of slice 20
	for n := uint64(1); n <= all; n++ {
		s := &Slice{Slice: pool.Slice{Number: n}, Prev: f.head, Reason: ReasonFull}
		for account := range byte(6) {
			if (n*7+uint64(account)*3)%4 != 0 {
				w := pool.Weight{Account: pool.AccountID{account}, Score: pool.Work{Hi: n, Lo: n*1_000_003 + uint64(account)}}
				s.Weight = append(s.Weight, w)
				if s.Score, err = s.Score.Add(w.Score); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := f.Append(s); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, s.Slice)
		if n == 20 {
			end = f.size
		}
	}
	check := func(t interface{ Fatalf(string, ...any) }, first, last uint64, rest pool.Work) {
		got, err := f.Sum(first, last, rest)
		if err != nil {
			t.Fatalf("%d to %d: %v", first, last, err)
		}
		want := make(pool.Sums)
		for n := first; n <= last; n++ {
			part := whole[n-1].Score
			if n == first {
				part = rest
			}
			if err := want.Add(&whole[n-1], part); err != nil {
				t.Fatalf("%v", err)
			}
		}
		if !slices.Equal(got.Weights(), want.Weights()) {
			t.Fatalf("%d to %d, rest %s: %v, want %v", first, last, rest, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 8 {
			first := rapid.Uint64Range(1, all).Draw(t, "first")
			last := rapid.Uint64Range(first, all).Draw(t, "last")
			rest := whole[first-1].Score
			if rapid.Bool().Draw(t, "part") {
				rest = pool.Work{Hi: rapid.Uint64Range(0, rest.Hi-1).Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
			}
			check(t, first, last, rest)
		}
	})
	for _, x := range [][2]uint64{{0, 3}, {5, 4}, {3, all + 1}} {
		if _, err := f.Sum(x[0], x[1], pool.Work{}); err == nil {
			t.Errorf("slices %d to %d were summed", x[0], x[1])
		}
	}
	if _, err := f.Sum(3, 4, pool.Work{Hi: 1 << 60}); err == nil {
		t.Error("more than a slice has was taken of it")
	}

	clear(f.cache) // what is asked for comes from the disk
	names, err := filepath.Glob(filepath.Join(dir, "*"+Suffix))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[end-1] ^= 1
	if err := os.WriteFile(names[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, 21, 25, whole[20].Score)
	if _, err := f.Sum(18, 25, whole[17].Score); !errors.Is(err, ErrSlice) {
		t.Errorf("a window with a damaged slice: %v", err)
	}
	check(t, 22, 27, whole[21].Score)
}
