package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// Witness is what Redis knows of a ledger beside the ledger's own disks.
type Witness interface {
	Lease
	// Head is the last entry mirrored.
	Head(ctx context.Context) (ledger.Head, error)
	// Releases is what edges were told to drop.
	Releases(ctx context.Context) (map[slice.StreamID]uint64, error)
	// ForgetLedger forgets both, under the lease.
	ForgetLedger(ctx context.Context) error
}

// KindForgotten is the kind of the entry that [Forget] writes; its body is a [ForgottenDoc].
const KindForgotten = "ledger.forgotten"

// ForgottenDoc says what a ledger went on without, and who decided that.
type ForgottenDoc struct {
	By     ledger.Decision `json:"by"`
	Mirror uint64          `json:"mirror"` // the last entry that Redis had seen
	Heads  []string        `json:"heads"`  // signed heads of later entries, moved aside
	// Released are the shares that edges were told to drop, stream by stream.
	Released []ReleasedDoc `json:"released"`
}

// ReleasedDoc is one stream of an edge.
type ReleasedDoc struct {
	Edge    string `json:"edge"`
	Epoch   string `json:"epoch"` // 16 hex digits
	Through uint64 `json:"through"`
}

// Forget lets the ledger in a pool's directory, which nobody has open, be gone on with although more was
// published of it than is there: what is missing is lost, by a person's decision. The decision is an entry of
// the ledger; files of later heads are moved aside; Redis forgets what it had seen.
func Forget(ctx context.Context, poolID, dir string, w Witness, by ledger.Decision, log zerolog.Logger) (doc ForgottenDoc, err error) {
	doc.By = by
	if err := by.Check(); err != nil {
		return doc, err
	}
	book, err := ledger.Open(ledger.Options{Dir: filepath.Join(dir, LedgerDir), Pool: poolID, Log: log})
	if err != nil {
		return doc, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	owner := "forget/" + rand.Text()
	token, err := w.Acquire(ctx, owner)
	if err != nil {
		return doc, fmt.Errorf("take the lease, which a ledger role that runs has: %w", err)
	}
	defer func() { err = errors.Join(err, w.Release(context.WithoutCancel(ctx), owner, token)) }()
	seen, err := w.Head(ctx)
	if err != nil {
		return doc, err
	}
	released, err := w.Releases(ctx)
	if err != nil {
		return doc, err
	}
	doc.Mirror = seen.Seq
	for id, through := range released {
		doc.Released = append(doc.Released, ReleasedDoc{id.Edge, fmt.Sprintf("%016x", id.Epoch), through})
	}
	slices.SortFunc(doc.Released, func(a, b ReleasedDoc) int { return strings.Compare(a.Epoch+a.Edge, b.Epoch+b.Edge) })

	disk, heads := journal.Disk{}, filepath.Join(dir, HeadsDir)
	files, err := listFiles(dir)
	if err != nil {
		return doc, err
	}
	for _, f := range files {
		id, isHead := strings.CutPrefix(f.Name, HeadsDir+"/")
		if id = strings.TrimSuffix(id, ".json"); isHead && !book.Has(ledger.SetHeads, id) {
			doc.Heads = append(doc.Heads, id)
		}
	}
	book.SetTermFloor(max(seen.Term, book.Head().Term, book.Standing().Term))
	body, err := ledger.Body(doc)
	if err != nil {
		return doc, err
	}
	if _, err := book.Post(ledger.Entry{Kind: KindForgotten, Key: "forgotten/" + rand.Text(), Body: body}); err != nil {
		return doc, fmt.Errorf("write the decision down: %w", err)
	}
	for _, id := range doc.Heads {
		if err := disk.Rename(filepath.Join(heads, id+".json"), filepath.Join(heads, id+".forgotten")); err != nil {
			return doc, fmt.Errorf("move a signed head aside: %w", err)
		}
	}
	if len(doc.Heads) > 0 {
		if err := disk.SyncDir(heads); err != nil {
			return doc, fmt.Errorf("move signed heads aside: %w", err)
		}
	}
	return doc, w.ForgetLedger(ctx)
}
