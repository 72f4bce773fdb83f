package edge

import (
	"testing"

	"github.com/adit-pool/adit/pool/journal"
)

// The record of a found block that the previous release left is taken up.
func TestPreviousReleaseRecord(t *testing.T) {
	found := 0
	err := readRecords(journal.Disk{}, "../../itest/testdata/previous-release/bitcoin/candidates", func(r record, block []byte) {
		found++
		if r.Candidate.Pool != "bitcoin" || r.Candidate.Height < 305 || len(block) < 200 || !r.Settled {
			t.Errorf("%+v, %d bytes", r, len(block))
		}
	}, func(path string, err error) { t.Errorf("%s: %v", path, err) })
	if err != nil || found != 1 {
		t.Errorf("%d records, %v", found, err)
	}
}
