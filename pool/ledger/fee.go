package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

// FeeDoc is one version of the fee schedule, by its number, in the set "fees". It is for all blocks from a
// height on, or for those of one scheme, or for one account's part of them.
type FeeDoc struct {
	Version  int             `json:"version"`
	PPM      uint32          `json:"ppm"`
	Height   int64           `json:"height"`             // first block height that it is for
	Scheme   string          `json:"scheme,omitempty"`   // "" for every scheme
	Account  *pool.AccountID `json:"account,omitempty"`  // nil for every account
	Standard bool            `json:"standard,omitempty"` // the account pays again what all pay; PPM is 0

	Author   string `json:"author"`
	Approver string `json:"approver,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// AccountFee is the fee of an account that has one of its own.
type AccountFee struct {
	Account pool.AccountID `json:"account"`
	PPM     uint32         `json:"ppm"`
	Version int            `json:"version"`
}

// Fees is the fee schedule: versions, lowest first. Of the versions that are for a block, a scheme and an
// account, the newest counts; one for an account comes before those for all.
type Fees []FeeDoc

// ReadFees reads the schedule from the book.
func ReadFees(book *Book) (Fees, error) {
	var all Fees
	for id, body := range book.Docs(SetFees) {
		var doc FeeDoc
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, fmt.Errorf("read fee version %s: %w", id, err)
		}
		all = append(all, doc)
	}
	return all, nil
}

// OpenFees gives an empty book version 1 from the configuration; later the configuration counts for
// nothing, which is said when it differs.
func OpenFees(book *Book, ppm uint32, log zerolog.Logger) error {
	all, err := ReadFees(book)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		if first := all[0]; first.PPM != ppm {
			log.Warn().Uint32("configured_ppm", ppm).Uint32("ledger_ppm", first.PPM).
				Msg("the configured fee is not the one that the ledger began with; the ledger's schedule is used: adit ledger fees")
		}
		return nil
	}
	if ppm > 1_000_000 {
		return fmt.Errorf("fee of %d ppm is more than everything", ppm)
	}
	doc := FeeDoc{Version: 1, PPM: ppm, Author: "configuration"}
	body, err := Body(doc)
	if err != nil {
		return err
	}
	_, err = book.Post(Entry{
		Kind: "fee.schedule", Key: "fee/1", Body: body,
		Subject: &Subject{Set: SetFees, ID: strconv.Itoa(doc.Version), Rank: int64(doc.Version)},
	})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("post the fee schedule: %w", err)
	}
	return nil
}

// At is the version that is for all accounts in blocks of a scheme at a height; the first one when the others
// are for later or for somebody else. There is at least one version in a schedule.
func (f Fees) At(height int64, scheme string) FeeDoc {
	now := f[0]
	for _, doc := range f[1:] {
		if doc.Account == nil && doc.Height <= height && (doc.Scheme == "" || doc.Scheme == scheme) {
			now = doc
		}
	}
	return now
}

// Own lists the accounts that have a fee of their own in blocks of a scheme at a height, sorted by account.
func (f Fees) Own(height int64, scheme string) []AccountFee {
	now := make(map[pool.AccountID]AccountFee)
	for _, doc := range f {
		switch {
		case doc.Account == nil || doc.Height > height || doc.Scheme != "" && doc.Scheme != scheme:
		case doc.Standard:
			delete(now, *doc.Account)
		default:
			now[*doc.Account] = AccountFee{*doc.Account, doc.PPM, doc.Version}
		}
	}
	return slices.SortedFunc(maps.Values(now), func(a, b AccountFee) int { return bytes.Compare(a.Account[:], b.Account[:]) })
}

// For is what one account pays in blocks of a scheme at a height.
func (f Fees) For(height int64, scheme string, account pool.AccountID) (ppm uint32, version int) {
	var own *FeeDoc
	for i := range f {
		doc := &f[i]
		if doc.Account == nil || *doc.Account != account || doc.Height > height || doc.Scheme != "" && doc.Scheme != scheme {
			continue
		}
		if own = doc; doc.Standard {
			own = nil
		}
	}
	if own == nil {
		doc := f.At(height, scheme)
		own = &doc
	}
	return own.PPM, own.Version
}

// has reports whether the schedule had a version in force with a rate, for all or for an account.
func (f Fees) has(height int64, account *pool.AccountID, version int, ppm uint32) bool {
	return slices.ContainsFunc(f, func(d FeeDoc) bool {
		return d.Version == version && d.PPM == ppm && d.Height <= height && !d.Standard &&
			(d.Account == nil) == (account == nil) && (account == nil || *d.Account == *account)
	})
}

// Check refuses a block whose fees the schedule has not for its height.
func (f Fees) Check(doc *BlockDoc) error {
	base := f.has(doc.Height, nil, doc.FeeVersion, doc.FeePPM)
	if !base && doc.Window == nil && doc.Finder != nil {
		base = f.has(doc.Height, doc.Finder, doc.FeeVersion, doc.FeePPM)
	}
	if !base {
		return fmt.Errorf("block %s has fee %d ppm of version %d, which the schedule has not for its height", doc.Hash, doc.FeePPM, doc.FeeVersion)
	}
	for _, own := range doc.AccountFees {
		if !f.has(doc.Height, &own.Account, own.Version, own.PPM) {
			return fmt.Errorf("block %s has fee %d ppm of version %d for account %s, which the schedule has not for its height", doc.Hash, own.PPM, own.Version, own.Account)
		}
	}
	return nil
}

// ParseFees reads a schedule from its documents, in any order.
func ParseFees(docs []json.RawMessage) (Fees, error) {
	all := make(Fees, len(docs))
	for i, body := range docs {
		if err := json.Unmarshal(body, &all[i]); err != nil {
			return nil, fmt.Errorf("read a fee version: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b FeeDoc) int { return a.Version - b.Version })
	return all, nil
}
