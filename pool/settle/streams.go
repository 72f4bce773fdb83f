package settle

import (
	"context"
	"errors"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// Streams is where edges put journal blocks and candidates.
type Streams interface {
	// Epochs lists the streams that were ever registered and are not gone.
	Epochs(ctx context.Context) ([]slice.StreamID, error)
	// Read returns up to limit blocks whose last sequence is above afterSeq, oldest first, exactly as the
	// journal wrote them. It returns at once, with nothing when there is nothing.
	Read(ctx context.Context, id slice.StreamID, afterSeq uint64, limit int) ([][]byte, error)
	// Candidates returns the found blocks that are not acknowledged and whose message id is above after
	// ("" for all), oldest first, at once.
	Candidates(ctx context.Context, after string) ([]CandidateMsg, error)
	// AckCandidate says that the ledger has the candidate; it need not be returned any more.
	AckCandidate(ctx context.Context, messageID string) error
	// Trim says that shares up to throughSeq are on the ledger's disk and need not be kept.
	Trim(ctx context.Context, id slice.StreamID, throughSeq uint64) error
}

// CandidateMsg is a found block as delivered; it may come more than once.
type CandidateMsg struct {
	ID string // of the message
	pool.Candidate
}

// Lease makes sure that one settler works at a time.
type Lease interface {
	// Acquire takes the lease, or returns ErrLeaseHeld. The owner that holds it gets it again at once: an
	// owner's name belongs to one ledger disk, whose lock one process has. token goes up with every
	// success.
	Acquire(ctx context.Context, owner string) (token uint64, err error)
	// Renew keeps it, or returns ErrLeaseLost.
	Renew(ctx context.Context, owner string, token uint64) error
	// Release gives it back; to have lost it already is no error.
	Release(ctx context.Context, owner string, token uint64) error
}

// The ways in which a [Lease] is not had.
var (
	ErrLeaseHeld = errors.New("another settler holds the lease")
	ErrLeaseLost = errors.New("the lease was lost")
)

// Mirror is the copy of the ledger that pages read.
type Mirror interface {
	// Head is the last entry mirrored, the zero Head when there is none.
	Head(ctx context.Context) (ledger.Head, error)
	// Apply adds entries behind prev, heads[i] being the head after entries[i]. It changes nothing when
	// the mirror does not stand at prev.
	Apply(ctx context.Context, prev ledger.Head, entries []ledger.Entry, heads []ledger.Head) error
}

// Windows shows each account its share of the window that a block found now would be split over.
type Windows interface {
	// PublishWindow replaces what was published before. weights are sorted by account.
	PublishWindow(ctx context.Context, total pool.Work, weights []pool.Weight) error
}
