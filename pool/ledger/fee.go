package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/rs/zerolog"
)

// Fees is the fee schedule: versions, lowest first.
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
		if last := all[len(all)-1]; last.PPM != ppm {
			log.Warn().Uint32("configured_ppm", ppm).Uint32("ledger_ppm", last.PPM).Int("version", last.Version).
				Msg("the configured fee is not the ledger's; the ledger's is used")
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

// At is the version in force at a height: the newest one that is for it.
func (f Fees) At(height int64) FeeDoc {
	now := f[0]
	for _, doc := range f[1:] {
		if doc.Height <= height {
			now = doc
		}
	}
	return now
}
