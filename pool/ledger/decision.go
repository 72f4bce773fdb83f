package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/pool"
)

// Decision says who wanted an entry that a person makes, who allowed it, and why.
type Decision struct {
	Author   string `json:"author"`
	Approver string `json:"approver"`
	Reason   string `json:"reason"`
}

// ErrDecision reports a decision that may not be booked.
var ErrDecision = errors.New("not decided as it must be")

const maxDecision = 200

// Check refuses a decision that names nobody, gives no reason, or was approved by its author.
func (d *Decision) Check() error {
	for name, text := range map[string]string{"author": d.Author, "approver": d.Approver, "reason": d.Reason} {
		if strings.TrimSpace(text) == "" || len(text) > maxDecision {
			return fmt.Errorf("%w: give an %s of 1 to %d bytes", ErrDecision, name, maxDecision)
		}
	}
	if strings.EqualFold(strings.TrimSpace(d.Author), strings.TrimSpace(d.Approver)) {
		return fmt.Errorf("%w: author and approver are the same person", ErrDecision)
	}
	return nil
}

// ChangeFee posts the next version of the fee schedule: doc's PPM from block height doc.Height on, for doc's
// scheme and account or for all. It is for blocks that are found from then on; the caller sees to it that
// the height is not reached yet. A version for a lower height than one for the same blocks would undo what
// was decided for later and is refused.
func ChangeFee(book *Book, doc FeeDoc, d Decision) (Entry, error) {
	if err := d.Check(); err != nil {
		return Entry{}, err
	}
	if doc.PPM > 1_000_000 {
		return Entry{}, fmt.Errorf("%w: a fee of %d ppm is more than everything", ErrDecision, doc.PPM)
	}
	if doc.Standard && (doc.Account == nil || doc.PPM != 0) {
		return Entry{}, fmt.Errorf("%w: only an account can go back to what all pay, and without a rate", ErrDecision)
	}
	doc.Version, doc.Author, doc.Approver, doc.Reason = 1, d.Author, d.Approver, d.Reason
	for id, body := range book.Docs(SetFees) {
		var v FeeDoc
		if err := json.Unmarshal(body, &v); err != nil {
			return Entry{}, fmt.Errorf("read fee version %s: %w", id, err)
		}
		if v.Version >= doc.Version {
			doc.Version = v.Version + 1
		}
		same := (v.Account == nil) == (doc.Account == nil) && (v.Account == nil || *v.Account == *doc.Account) &&
			(v.Scheme == "" || doc.Scheme == "" || v.Scheme == doc.Scheme)
		if same && v.Height > doc.Height {
			return Entry{}, fmt.Errorf("%w: version %d is for blocks from height %d on, this one would begin below", ErrDecision, v.Version, v.Height)
		}
	}
	body, err := Body(doc)
	if err != nil {
		return Entry{}, err
	}
	return book.Post(Entry{
		Kind: "fee.schedule", Key: fmt.Sprintf("fee/%d", doc.Version), Body: body,
		Subject: &Subject{Set: SetFees, ID: strconv.Itoa(doc.Version), Rank: int64(doc.Version)},
	})
}

// Adjustment is the body of an entry that gives a miner something, or takes it, by a person's decision.
type Adjustment struct {
	Account pool.AccountID `json:"account"`
	Amount  pool.Amount    `json:"amount"` // above 0: to the miner, from the operator's equity
	Decision
}

// Adjust posts an adjustment of a miner's available balance against the operator's equity. key names the
// request: the same one again gives [ErrExists] and nothing is posted twice. A balance never falls below
// zero by it.
func Adjust(book *Book, key string, a Adjustment) (Entry, error) {
	if err := a.Check(); err != nil {
		return Entry{}, err
	}
	if key == "" {
		return Entry{}, fmt.Errorf("%w: it has no key", ErrDecision)
	}
	if a.Amount == 0 || a.Amount == -a.Amount {
		return Entry{}, fmt.Errorf("%w: an amount of %d", ErrDecision, a.Amount)
	}
	if !book.Has(SetAccounts, a.Account.String()) {
		return Entry{}, fmt.Errorf("%w: account %s was never credited", ErrDecision, a.Account)
	}
	body, err := Body(a)
	if err != nil {
		return Entry{}, err
	}
	p := Posting{Debit: OperatorEquity, Credit: MinerAvailable(a.Account), Amount: a.Amount}
	if a.Amount < 0 {
		p = Posting{Debit: p.Credit, Credit: p.Debit, Amount: -a.Amount}
	}
	h := sha256.Sum256([]byte(key)) // any text may name a request
	return book.Post(Entry{Kind: "adjustment", Key: "adjust/" + hex.EncodeToString(h[:16]), Body: body, Postings: []Posting{p}})
}
