package allocation

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// File is the published file of one block: how its reward was divided, in a form that anybody can
// recompute and that names nobody. Rows are sorted by row id, and a unit that is left over between equal
// remainders goes to the lower row id. The file is compact JSON, one newline at its end; Sum is the SHA-256 of
// the same bytes with sum "". The ledger's document of the block holds Sum too.
type File struct {
	V          int         `json:"v"`
	Pool       string      `json:"pool"`
	Block      pool.Hash   `json:"block"`
	Height     int64       `json:"height"`
	Scheme     string      `json:"scheme"`
	Reward     pool.Amount `json:"reward"` // base units that the coinbase pays the pool and accounts of it
	FeeVersion int         `json:"fee_version"`
	FeePPM     uint32      `json:"fee_ppm"`
	Fee        pool.Amount `json:"fee"`
	Carry      pool.Amount `json:"carry"`
	Window     Window      `json:"window"`
	Score      pool.Work   `json:"score"`          // sum over rows
	Root       ledger.Hex  `json:"root,omitempty"` // of the Merkle-sum tree over rows; from version 2
	Rows       []Row       `json:"rows"`
	Sum        ledger.Hex  `json:"sum"`
}

// Window says which slices the reward was divided over: First to Last, of First only Rest.
type Window struct {
	First uint64     `json:"first"`
	Last  uint64     `json:"last"`
	Rest  pool.Work  `json:"rest"`
	Hash  ledger.Hex `json:"hash"` // of slice Last: it stands for all slices up to there
}

// Row is one account's part.
type Row struct {
	Row    RowID       `json:"row"`
	Score  pool.Work   `json:"score"`
	Amount pool.Amount `json:"amount"`
	// Fee is the fee rate of an account that has one of its own.
	Fee OwnFee `json:"fee_ppm,omitzero"`
}

// OwnFee is a fee rate in parts per million that one account has for itself; the zero value is none.
type OwnFee uint32

// OwnFeeOf is the rate of an account, which may be 0.
func OwnFeeOf(ppm uint32) OwnFee { return OwnFee(ppm + 1) }

// PPM is the rate; ok is false when the account has none of its own.
func (f OwnFee) PPM() (ppm uint32, ok bool) { return uint32(f) - 1, f != 0 }

// MarshalJSON writes the rate.
func (f OwnFee) MarshalJSON() ([]byte, error) { return strconv.AppendUint(nil, uint64(f)-1, 10), nil }

// UnmarshalJSON reads a rate of at most 1000000.
func (f *OwnFee) UnmarshalJSON(b []byte) error {
	ppm, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil || ppm > 1_000_000 {
		return fmt.Errorf("fee of %.20q ppm", b)
	}
	*f = OwnFeeOf(uint32(ppm))
	return nil
}

// RowID names an account in one allocation file: HMAC-SHA-256(pool secret, block ‖ account), the block in
// internal byte order. Whoever does not know the secret cannot tell whose it is, nor find it in two files.
type RowID [32]byte

// MarshalText writes 64 hex digits.
func (r RowID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, r[:]), nil }

// UnmarshalText reads 64 hex digits.
func (r *RowID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(r) {
		return fmt.Errorf("row id of %d digits", len(b))
	}
	_, err := hex.Decode(r[:], b)
	return err
}

// key stands for the row in a scheme's arithmetic. It sorts as the row id does.
func (r RowID) key() pool.AccountID { return pool.AccountID(r[:20]) }

// Secret is the pool's key of row ids.
type Secret [32]byte

// Row is the id of an account's row in the file of a block.
func (s *Secret) Row(block pool.Hash, account pool.AccountID) (id RowID) {
	h := hmac.New(sha256.New, s[:])
	h.Write(block[:])
	h.Write(account[:])
	h.Sum(id[:0])
	return id
}

// ReadSecret reads the secret in a file of 64 hex digits.
func ReadSecret(path string) (Secret, error) {
	var s Secret
	b, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read the pool's secret: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if _, err := hex.Decode(s[:], []byte(text[:min(len(text), 64)])); err != nil || len(text) != 64 {
		return s, fmt.Errorf("the pool's secret in %s is not 64 hex digits: restore it from the backup of the ledger", path)
	}
	return s, nil
}

// OpenSecret is ReadSecret, and makes the file, for its owner only, when there is none.
func OpenSecret(path string) (Secret, error) {
	s, err := ReadSecret(path)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	rand.Read(s[:]) // never fails: crypto/rand ends the program instead
	if err := journal.ReplaceFile(journal.Disk{}, filepath.Dir(path), filepath.Base(path), []byte(hex.EncodeToString(s[:])+"\n")); err != nil {
		return s, err
	}
	return s, nil
}

// Splitter is what of a scheme divides a reward.
type Splitter interface {
	Split(w *pool.Window, reward pool.Amount, feePPM uint32) (pool.Split, error)
}

// New divides a block's value, which doc holds, over the weights of its window. It returns the file
// and the credits by account.
func New(poolID string, secret *Secret, doc *ledger.BlockDoc, last [32]byte, weights []pool.Weight, scheme Splitter) (*File, []pool.Credit, error) {
	a := &File{
		V: Version, Pool: poolID, Block: doc.Hash, Height: doc.Height, Scheme: doc.Scheme, Reward: doc.Reward(),
		FeeVersion: doc.FeeVersion, FeePPM: doc.FeePPM,
		Window: Window{doc.Window.First, doc.Window.Last, doc.Window.Rest, last[:]},
		Rows:   make([]Row, 0, len(weights)),
	}
	own := make(map[pool.AccountID]OwnFee, len(doc.AccountFees))
	for _, f := range doc.AccountFees {
		own[f.Account] = OwnFeeOf(f.PPM)
	}
	owner := make(map[RowID]pool.AccountID, len(weights))
	for _, w := range weights {
		id := secret.Row(doc.Hash, w.Account)
		owner[id] = w.Account
		a.Rows = append(a.Rows, Row{Row: id, Score: w.Score, Fee: own[w.Account]})
	}
	slices.SortFunc(a.Rows, func(x, y Row) int { return bytes.Compare(x.Row[:], y.Row[:]) })
	if err := a.split(scheme); err != nil {
		return nil, nil, err
	}
	if err := a.Seal(); err != nil {
		return nil, nil, err
	}
	var credits []pool.Credit
	for _, r := range a.Rows {
		if r.Amount > 0 {
			credits = append(credits, pool.Credit{Account: owner[r.Row], Amount: r.Amount})
		}
	}
	slices.SortFunc(credits, func(x, y pool.Credit) int { return bytes.Compare(x.Account[:], y.Account[:]) })
	return a, credits, nil
}

// split computes all amounts from reward, fee rates and scores, and checks that they add up. With the same
// rate for all, the fee comes off the reward and the rest is divided. With accounts that have rates of their
// own the whole reward is divided first; each of those pays its fee of its part, and the parts of the others
// together are divided as if they were the reward.
func (a *File) split(scheme Splitter) error {
	a.Score, a.Fee, a.Carry = pool.Work{}, 0, 0
	for i := range a.Rows {
		var err error
		if a.Score, err = a.Score.Add(a.Rows[i].Score); err != nil {
			return fmt.Errorf("sum the scores: %w", err)
		}
	}
	rest, err := a.own(scheme)
	if err != nil {
		return err
	}
	common := func(r *Row) bool { return r.Fee == 0 }
	if err := a.divide(scheme, rest, a.FeePPM, common); err != nil {
		return err
	}
	sum := a.Fee + a.Carry
	for i := range a.Rows {
		sum += a.Rows[i].Amount
	}
	if sum != a.Reward {
		return fmt.Errorf("the split gives %d of %d", sum, a.Reward)
	}
	return nil
}

// own gives the accounts with rates of their own their parts; rest is what the others have together.
func (a *File) own(scheme Splitter) (rest pool.Amount, err error) {
	if !slices.ContainsFunc(a.Rows, func(r Row) bool { return r.Fee != 0 }) {
		return a.Reward, nil
	}
	if err := a.divide(scheme, a.Reward, 0, func(*Row) bool { return true }); err != nil {
		return 0, err
	}
	for i := range a.Rows {
		r := &a.Rows[i]
		ppm, own := r.Fee.PPM()
		if !own {
			rest += r.Amount
			continue
		}
		fee, err := r.Amount.MulPPM(ppm)
		if err != nil {
			return 0, err
		}
		a.Fee += fee
		r.Amount -= fee
	}
	return rest, nil
}

// Gross is what each row has of the reward before any fee: what accounts with rates of their own pay them of.
func (a *File) Gross(scheme Splitter) ([]pool.Amount, error) {
	b := *a
	b.Rows = slices.Clone(a.Rows)
	if err := b.divide(scheme, b.Reward, 0, func(*Row) bool { return true }); err != nil {
		return nil, err
	}
	out := make([]pool.Amount, len(b.Rows))
	for i := range b.Rows {
		out[i] = b.Rows[i].Amount
	}
	return out, nil
}

// divide sets the amounts of the rows that among says to what reward gives them, and adds fee and carry.
func (a *File) divide(scheme Splitter, reward pool.Amount, ppm uint32, among func(*Row) bool) error {
	w := pool.Window{First: a.Window.First, Last: a.Window.Last, Rest: a.Window.Rest, Weight: make([]pool.Weight, 0, len(a.Rows))}
	for i := range a.Rows {
		if !among(&a.Rows[i]) {
			continue
		}
		w.Weight = append(w.Weight, pool.Weight{Account: a.Rows[i].Row.key(), Score: a.Rows[i].Score})
		var err error
		if w.Score, err = w.Score.Add(a.Rows[i].Score); err != nil {
			return fmt.Errorf("sum the scores: %w", err)
		}
	}
	split, err := scheme.Split(&w, reward, ppm)
	if err != nil {
		return err
	}
	a.Fee += split.Fee
	a.Carry += split.Carry
	next := 0
	for i := range a.Rows {
		r := &a.Rows[i]
		if !among(r) {
			continue
		}
		r.Amount = 0
		if next < len(split.Credits) && split.Credits[next].Account == r.Row.key() {
			r.Amount = split.Credits[next].Amount
			next++
		}
	}
	if next != len(split.Credits) {
		return fmt.Errorf("the split gives %d credits to rows that are not there", len(split.Credits)-next)
	}
	return nil
}

func (a *File) encode() ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write an allocation file: %w", err)
	}
	return append(b, '\n'), nil
}

// Seal sets Root and Sum to what the rest gives.
func (a *File) Seal() error {
	if a.V > 1 {
		root, err := a.root()
		if err != nil {
			return err
		}
		a.Root = root.Hash[:]
	}
	sum, err := a.sum()
	a.Sum = sum
	return err
}

func (a *File) sum() ([]byte, error) {
	bare := *a
	bare.Sum = nil
	b, err := bare.encode()
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(b)
	return h[:], nil
}

// Write puts the file into dir, durably. The same block gives the same bytes.
func (a *File) Write(fs journal.FS, dir string) error {
	b, err := a.encode()
	if err != nil {
		return err
	}
	if err := fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("make the directory of allocation files: %w", err)
	}
	return journal.ReplaceFile(fs, dir, Name(a.Block), b)
}

func Name(block pool.Hash) string { return block.String() + ".json" }

// Read returns the published file of a block, exactly as it lies in dir.
func Read(dir string, block pool.Hash) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, Name(block)))
	if err != nil {
		return nil, fmt.Errorf("read the allocation of block %s: %w", block, err)
	}
	return b, nil
}

// Version is the format of files written now. Version 1 had no root.
const Version = 2 + format.Raise

// ErrFile is wrapped by every refusal of an allocation file.
var ErrFile = errors.New("not a right allocation")

// Parse reads a file strictly: every byte is as Adit writes it, and Sum is right. The amounts
// are for [File.Recompute] to check.
func Parse(b []byte) (*File, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var a File
	if err := dec.Decode(&a); err != nil {
		return nil, fmt.Errorf("%w: offset %d: %w", ErrFile, dec.InputOffset(), err)
	}
	if a.V < 1 || a.V > Version {
		return nil, fmt.Errorf("%w: version %d, this program reads 1 to %d", ErrFile, a.V, Version)
	}
	again, err := a.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		at := 0
		for at < min(len(b), len(again)) && b[at] == again[at] {
			at++
		}
		return nil, fmt.Errorf("%w: offset %d is not as it was written", ErrFile, at)
	}
	sum, err := a.sum()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(sum, a.Sum) {
		return nil, fmt.Errorf("%w: its checksum is %x, it says %x", ErrFile, sum, []byte(a.Sum))
	}
	return &a, a.checkRoot()
}

// checkRoot compares Root with the rows.
func (a *File) checkRoot() error {
	if a.V == 1 && len(a.Root) == 0 {
		return nil
	}
	root, err := a.root()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	if !bytes.Equal(root.Hash[:], a.Root) {
		return fmt.Errorf("%w: its rows have the root %x, it says %x", ErrFile, root.Hash, []byte(a.Root))
	}
	return nil
}

// Recompute divides the reward anew and compares every amount. The error wraps [ErrFile] and names
// the first row that differs.
func (a *File) Recompute(scheme Splitter) error {
	for i := range a.Rows {
		if i > 0 && bytes.Compare(a.Rows[i-1].Row[:], a.Rows[i].Row[:]) >= 0 {
			return fmt.Errorf("%w: row %d is out of order", ErrFile, i+1)
		}
	}
	again := *a
	again.Rows = slices.Clone(a.Rows)
	if err := again.split(scheme); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return a.Same(&again)
}

// Same compares what is divided and how.
func (a *File) Same(want *File) error {
	for _, x := range []struct {
		name      string
		have, got any
	}{
		{"block", a.Block, want.Block}, {"height", a.Height, want.Height}, {"pool", a.Pool, want.Pool}, {"scheme", a.Scheme, want.Scheme},
		{"reward", a.Reward, want.Reward}, {"fee rate", a.FeePPM, want.FeePPM}, {"fee version", a.FeeVersion, want.FeeVersion},
		{"first slice", a.Window.First, want.Window.First}, {"last slice", a.Window.Last, want.Window.Last}, {"rest", a.Window.Rest, want.Window.Rest},
		{"slice hash", hex.EncodeToString(a.Window.Hash), hex.EncodeToString(want.Window.Hash)},
		{"score", a.Score, want.Score}, {"fee", a.Fee, want.Fee}, {"carry", a.Carry, want.Carry}, {"number of rows", len(a.Rows), len(want.Rows)},
	} {
		if x.have != x.got {
			return fmt.Errorf("%w: %s is %v, recomputed %v", ErrFile, x.name, x.have, x.got)
		}
	}
	for i := range a.Rows {
		if a.Rows[i] != want.Rows[i] {
			h, w := a.Rows[i], want.Rows[i]
			return fmt.Errorf("%w: row %d (%x…) has score %s and amount %d, recomputed %x…, %s and %d",
				ErrFile, i+1, h.Row[:4], h.Score, h.Amount, w.Row[:4], w.Score, w.Amount)
		}
	}
	return nil
}

// FromSlices compares the rows' scores with the window's sums in a directory of slices: row by row with
// the pool's secret, else as one sorted list of scores. The error wraps [ErrFile].
func (a *File) FromSlices(dir string, secret *Secret) error {
	w := slice.NewWindow(a.Window.First, a.Window.Last, a.Window.Rest)
	var last slice.Place
	_, err := slice.ScanClosed(dir, func(p slice.Place, s *slice.Slice) error {
		if s.Number < a.Window.First || s.Number > a.Window.Last {
			return nil
		}
		last = p
		return w.Take(s)
	})
	if err != nil {
		return err
	}
	if last.Number != a.Window.Last || !bytes.Equal(last.Hash[:], a.Window.Hash) {
		return fmt.Errorf("%w: slice %d has hash %x there, the file says slice %d with %x", ErrFile, last.Number, last.Hash, a.Window.Last, []byte(a.Window.Hash))
	}
	want := make([]Row, 0, len(a.Rows))
	for _, x := range w.Weights() {
		row := Row{Score: x.Score}
		if secret != nil {
			row.Row = secret.Row(a.Block, x.Account)
		}
		want = append(want, row)
	}
	have := slices.Clone(a.Rows)
	for i := range have {
		have[i].Amount, have[i].Fee = 0, 0
		if secret == nil {
			have[i].Row = RowID{}
		}
	}
	order := func(x, y Row) int {
		return cmp.Or(bytes.Compare(x.Row[:], y.Row[:]), x.Score.Cmp(y.Score))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(have, order)
	if !slices.Equal(want, have) {
		return fmt.Errorf("%w: the rows' scores are not what slices %d to %d give", ErrFile, a.Window.First, a.Window.Last)
	}
	return nil
}
