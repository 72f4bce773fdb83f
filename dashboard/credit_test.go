package dashboard

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// The page about one credit computes it anew: what it says is what the ledger has, and its links lead somewhere.
// The sum on the page is that of the whole reward, also where the coinbase paid a part of it to accounts.
func TestCreditPage(t *testing.T) {
	hash := pool.Hash{9}
	s := newSite(t, func(o *Options) { o.Pools[0].Files = fakeFiles{hash: `{"v":2}`} })
	alice, bob := pool.AccountOf("toy", boardtest.Script("toy1alice")), pool.AccountOf("toy", boardtest.Script("toy1bob"))
	doc := ledger.BlockDoc{
		Hash: hash, Height: 30_000, Time: boardtest.Start().UnixMilli(), State: ledger.BlockImmature, Bits: 0x1e00ffff, Value: 701, Direct: 300, Fee: 1, FeePPM: 1000, FeeVersion: 1,
		Scheme: "pplns", Window: &ledger.BlockWindow{First: 3, Last: 4}, Score: pool.Work{Hi: 3}, Allocation: []byte{1},
		Credits: []pool.Credit{{Account: alice, Amount: 667}, {Account: bob, Amount: 333}}, Scores: []pool.Work{{Hi: 2}, {Hi: 1}},
	}
	s.store.Add(ledger.SetBlocks, hash.String(), doc)
	page := s.get("/user/toy1alice/credit/toy/" + hash.String())
	for _, want := range []string{"⌊1000 × 36893488147419103232 / 55340232221128654848⌋ = 666", "+ 1 = 667", "66.7 %", "feed" + alice.String(),
		`href="/api/v1/pools/toy/blocks/` + hash.String() + `/allocation"`, "adit verify allocation " + hash.String() + ".json", "adit explain --block " + hash.String() + " --miner toy1alice"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("%d: no %s", page.status, want)
		}
	}
	if !strings.Contains(s.get("/user/toy1bob").body, `href="/user/toy1bob/credit/toy/`+hash.String()+`"`) {
		t.Error("the miner's page does not lead there")
	}
	if a := s.get("/api/v1/pools/toy/blocks/" + hash.String() + "/allocation"); a.status != 200 || a.get("X-Content-Type-Options") != "nosniff" || a.get("Content-Security-Policy") == "" {
		t.Errorf("the allocation file: %d %s", a.status, a.header)
	}
	// A credit that the block's document does not account for is not said to be right.
	doc.Hash = pool.Hash{10}
	doc.Credits[0].Amount++
	s.store.Add(ledger.SetBlocks, doc.Hash.String(), doc)
	s.wait(time.Minute)
	if page := s.get("/user/toy1alice/credit/toy/" + doc.Hash.String()); page.status != 200 || strings.Contains(page.body, "⌊") {
		t.Errorf("a wrong credit: %d", page.status)
	}
}

// Days add up to the credits and payouts that they are of, and leave out what was not kept whole.
func TestDays(t *testing.T) {
	s := newSite(t, nil)
	read := func(s *site) (credited, withdrawn, paid int64, days int) {
		var out struct {
			Days []struct{ Credited, Withdrawn, Paid string }
		}
		if err := json.Unmarshal([]byte(s.get("/api/v1/pools/toy/miners/toy1carol/days").body), &out); err != nil {
			t.Fatal(err)
		}
		number := func(text string) (n int64) {
			if _, err := fmt.Sscan(text, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, d := range out.Days {
			credited, withdrawn, paid = credited+number(d.Credited), withdrawn+number(d.Withdrawn), paid+number(d.Paid)
		}
		return credited, withdrawn, paid, len(out.Days)
	}
	const each = (5_000_012_345 - 50_000_123) * 140 / 1000
	if credited, withdrawn, paid, days := read(s); credited != 58*each || withdrawn != each || paid != 4*140*12_345_678 || days != 2 {
		t.Errorf("credited %d, withdrawn %d, paid %d on %d days", credited, withdrawn, paid, days)
	}
	rows, err := csv.NewReader(strings.NewReader(s.get("/api/v1/pools/toy/miners/toy1carol/days?format=csv").body)).ReadAll()
	if err != nil || len(rows) != 3 || strings.Join(rows[0], " ") != "day_utc blocks payouts credited_units credited_TOY immature_units immature_TOY withdrawn_units withdrawn_TOY paid_units paid_TOY" {
		t.Fatalf("%v %q", err, rows)
	}
	for _, row := range rows[1:] {
		for i := 3; i < len(row); i += 2 {
			if a, err := pool.ParseAmount(row[i+1], 8); err != nil || fmt.Sprint(int64(a)) != row[i] {
				t.Errorf("%s and %s: %v", row[i], row[i+1], err)
			}
		}
	}
	many := newSite(t, func(o *Options) { o.Pools[0].Store = boardtest.Pool(200) })
	if credited, _, _, days := read(many); days != 1 || credited >= 99*each {
		t.Errorf("of 200 blocks %d are credited on %d days", credited, days)
	}
}
