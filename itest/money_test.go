//go:build itest

package itest

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/worker"
)

// What the commands print, as somebody else's program would read it.

type shareLine struct {
	Epoch   string
	Seq     uint64
	Account string
	Worker  string
	Credit  string
	Issued  string
	Bits    string
	Hash    string
	Early   bool
	Block   bool
}

type sliceLine struct {
	Number uint64
	Reason string
	Score  string
	Shares uint64
	Ranges []struct {
		Edge, Epoch string
		From, To    uint64
	}
	Extras []struct {
		Epoch, Account, Credit, Bits, Hash string
		Seq                                uint64
	}
	Weights []struct{ Account, Score string }
}

// scoreOf is floor(credit * 2^64 / network work), from the share's own compact target.
func scoreOf(t *testing.T, credit, bits string) *big.Int {
	t.Helper()
	n, err := strconv.ParseUint(bits, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	target := new(big.Int).Lsh(big.NewInt(int64(n&0x7fffff)), uint(8*(n>>24)-24))
	work := new(big.Int).Lsh(big.NewInt(1), 256)
	work.Quo(work, target.Add(target, big.NewInt(1)))
	s := new(big.Int).Lsh(bigInt(t, credit), 64)
	return s.Quo(s, work)
}

// place names a share.
type place struct {
	epoch string
	seq   uint64
}

// outOfTurn are the shares that slices list as extras: their ranges pass over them.
func outOfTurn(lines []sliceLine) map[place]bool {
	set := map[place]bool{}
	for i := range lines {
		for _, x := range lines[i].Extras {
			if x.Seq != 0 {
				set[place{x.Epoch, x.Seq}] = true
			}
		}
	}
	return set
}

// recomputeSlice sums a slice's scores by account from the journal's shares alone.
func recomputeSlice(t *testing.T, s *sliceLine, extras map[place]bool, shares map[string]map[uint64]*shareLine) map[string]*big.Int {
	t.Helper()
	sums := map[string]*big.Int{}
	add := func(account, credit, bits string) {
		if sums[account] == nil {
			sums[account] = new(big.Int)
		}
		sums[account].Add(sums[account], scoreOf(t, credit, bits))
	}
	for _, r := range s.Ranges {
		for seq := r.From; seq < r.To; seq++ {
			if sh := shares[r.Epoch][seq]; sh == nil {
				t.Fatalf("slice %d counts share %s/%d, which is not in the journal", s.Number, r.Epoch, seq)
			} else if !extras[place{r.Epoch, seq}] {
				add(sh.Account, sh.Credit, sh.Bits)
			}
		}
	}
	for _, x := range s.Extras {
		add(x.Account, x.Credit, x.Bits)
	}
	return sums
}

// countOnce checks that the slices count every share of the journal exactly once, up to the end of each
// epoch's last range, and returns how many.
func countOnce(t *testing.T, lines []sliceLine, shares map[string]map[uint64]*shareLine) int {
	t.Helper()
	next := map[string]uint64{}
	extra := map[string]map[uint64]bool{}
	counted := 0
	for i := range lines {
		s := &lines[i]
		for _, x := range s.Extras {
			if extra[x.Epoch] == nil {
				extra[x.Epoch] = map[uint64]bool{}
			}
			if x.Seq != 0 && (extra[x.Epoch][x.Seq] || x.Seq < next[x.Epoch]) {
				t.Errorf("slice %d counts %s/%d again", s.Number, x.Epoch, x.Seq)
			}
			extra[x.Epoch][x.Seq] = true
			counted++
		}
		for _, r := range s.Ranges {
			if want := max(next[r.Epoch], 1); r.From != want {
				t.Errorf("slice %d begins at %s/%d, the one before ended at %d", s.Number, r.Epoch, r.From, want)
			}
			for seq := r.From; seq < r.To; seq++ {
				if !extra[r.Epoch][seq] {
					counted++
				}
			}
			next[r.Epoch] = r.To
		}
	}
	total := 0
	for epoch, of := range shares {
		total += len(of)
		for seq := range of {
			if seq >= next[epoch] && !extra[epoch][seq] {
				t.Logf("share %s/%d is not in a slice yet", epoch, seq)
			}
		}
	}
	t.Logf("%d shares in journals, %d counted in %d slices", total, counted, len(lines))
	return counted
}

// split divides a reward by weights: floor, leftovers by largest remainder, ties by row id.
func split(reward *big.Int, feePPM int64, weights map[string]*big.Int, row func(account string) string) (fee *big.Int, credits map[string]*big.Int) {
	fee = new(big.Int).Mul(reward, big.NewInt(feePPM))
	fee.Quo(fee, big.NewInt(1_000_000))
	pot := new(big.Int).Sub(reward, fee)
	total := new(big.Int)
	var accounts []string
	for a, w := range weights {
		if w.Sign() > 0 {
			total.Add(total, w)
			accounts = append(accounts, a)
		}
	}
	credits = map[string]*big.Int{}
	rest := map[string]*big.Rat{}
	left := new(big.Int).Set(pot)
	for _, a := range accounts {
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(pot, weights[a]), total)
		whole := new(big.Int).Quo(exact.Num(), exact.Denom())
		credits[a] = whole
		rest[a] = exact.Sub(exact, new(big.Rat).SetInt(whole))
		left.Sub(left, whole)
	}
	slices.SortFunc(accounts, func(a, b string) int {
		if c := rest[b].Cmp(rest[a]); c != 0 {
			return c
		}
		return cmp.Compare(row(a), row(b))
	})
	for i := int64(0); i < left.Int64(); i++ {
		credits[accounts[i]].Add(credits[accounts[i]], big.NewInt(1))
	}
	return fee, credits
}

// rigs are miners of the test's own, that write down all they sent and every true they got.
type rigs struct {
	mu           sync.Mutex
	submitted    map[string]bool
	acknowledged map[string]bool
	rejected     map[string]int
}

func newRigs() *rigs {
	return &rigs{submitted: map[string]bool{}, acknowledged: map[string]bool{}, rejected: map[string]int{}}
}

func (r *rigs) observe(e worker.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case worker.Submitted:
		r.submitted[shareKey(e.Share)] = true
	case worker.Accepted:
		r.acknowledged[shareKey(e.Share)] = true
	case worker.Rejected:
		r.rejected[e.Text]++
	}
}

func (r *rigs) count() (submitted, acknowledged int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.submitted), len(r.acknowledged)
}

// shareKey is what the journal keeps of a header: the first 16 bytes of its double SHA-256.
func shareKey(s worker.Share) string {
	first := sha256.Sum256(s.Header[:])
	second := sha256.Sum256(first[:])
	return hex.EncodeToString(second[:16])
}

// journalShares reads `adit journal cat` into shares by epoch and sequence, each hash once.
func (s *site) journalShares(into map[string]map[uint64]*shareLine) {
	s.t.Helper()
	for _, l := range jsonLines[shareLine](s.t, s.adit("journal", "cat", "--data-dir", s.dir)) {
		if into[l.Epoch] == nil {
			into[l.Epoch] = map[uint64]*shareLine{}
		}
		if old := into[l.Epoch][l.Seq]; old != nil && old.Hash != l.Hash {
			s.t.Errorf("share %s/%d changed", l.Epoch, l.Seq)
		}
		into[l.Epoch][l.Seq] = &l
	}
}

// compareSums checks a slice's published weights against sums recomputed from shares.
func compareSums(t *testing.T, s *sliceLine, sums map[string]*big.Int) {
	t.Helper()
	total := new(big.Int)
	sums = maps.Clone(sums)
	for _, w := range s.Weights {
		want := sums[w.Account]
		if want == nil || want.String() != w.Score {
			t.Errorf("slice %d: account %s has score %s, its shares give %v", s.Number, w.Account, w.Score, want)
			continue
		}
		total.Add(total, want)
		delete(sums, w.Account)
	}
	for account, w := range sums {
		if w.Sign() > 0 {
			t.Errorf("slice %d leaves out %v of account %s", s.Number, w, account)
		}
	}
	if total.String() != s.Score {
		t.Errorf("slice %d: score %s, sum %v", s.Number, s.Score, total)
	}
}

// adit runs a command of the binary and returns what it printed. Just after a start the ledger is not the
// active one yet: it waits for its lease, and says so.
func (s *site) adit(args ...string) string {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command(aditBinary, args...).Output()
		if err == nil {
			return string(out)
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
			if strings.Contains(string(exit.Stderr), "not the active one") && time.Now().Before(deadline) {
				continue
			}
		}
		s.t.Fatalf("adit %s: %v", strings.Join(args, " "), err)
	}
}

// jsonLines decodes one object a line.
func jsonLines[T any](t *testing.T, text string) []T {
	t.Helper()
	var all []T
	dec := json.NewDecoder(strings.NewReader(text))
	for {
		var v T
		if err := dec.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
}

// rowIDs gives the row id of an account in a block's allocation file: HMAC-SHA-256(pool secret, block ‖
// account), the block as it stands in headers.
func rowIDs(t *testing.T, poolDir, block string) func(account string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(poolDir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := hex.DecodeString(block)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(id)
	return func(account string) string {
		a, err := hex.DecodeString(account)
		if err != nil {
			t.Fatal(err)
		}
		h := hmac.New(sha256.New, secret)
		h.Write(id)
		h.Write(a)
		return hex.EncodeToString(h.Sum(nil))
	}
}
