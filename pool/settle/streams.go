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
	// PublishReleases tells edges the same, stream by stream: their journals may drop the shares.
	PublishReleases(ctx context.Context, through map[slice.StreamID]uint64) error
	// Releases is what edges were told so far, as far as it is still known.
	Releases(ctx context.Context) (map[slice.StreamID]uint64, error)
}

// CandidateMsg is a found block as delivered; it may come more than once.
type CandidateMsg struct {
	ID string // of the message
	pool.Candidate
}

// The ways in which the lease is not had that makes sure that one settler works at a time.
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
