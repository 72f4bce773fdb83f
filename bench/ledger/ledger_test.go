package ledger

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestRun makes a small run of everything and looks at what does not depend on the machine.
func TestRun(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not on PATH")
		}
		t.Skip("redis-server is not on PATH: make deps installs it")
	}
	r, err := Run(t.Context(), Options{
		Accounts: 300, Few: 20, Rate: 500, For: 200 * time.Millisecond, Shares: 8_000, Pairs: 1, Dir: t.TempDir(), Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Offer.Failed != 0 || r.Offer.Shares == 0 || r.Offer.P99 < r.Offer.P50 || r.Offer.PerBlock < 1 {
		t.Errorf("offered: %+v", r.Offer)
	}
	if r.Fold.Shares < 6_000 || r.Fold.PerSecond <= 0 || r.Block.Accounts != 300 || r.Block.New <= 0 || r.Block.Slices < 30 {
		t.Errorf("fold %+v, block %+v", r.Fold, r.Block)
	}
	if r.Flat.FoldRatio <= 0 || r.Flat.WayRatio <= 0 || r.Memory.After <= r.Memory.Before {
		t.Errorf("flat %+v, memory %+v", r.Flat, r.Memory)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "300 accounts") {
		t.Errorf("table %q, %v", table.String(), err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}
