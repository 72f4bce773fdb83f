package redis

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
	goredis "github.com/redis/go-redis/v9"
)

// documented reads the table of docs/redis.md.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/redis.md")
	must(t, err)
	rows := make(map[string][]string)
	_, table, _ := strings.Cut(string(b), "\n## Keys\n")
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		rows[cells[1]] = cells[2:5]
	}
	return rows
}

// TestKeysAreDocumented does everything there is, and compares the keys that it finds, their types and
// whether they expire, with the documentation.
func TestKeysAreDocumented(t *testing.T) {
	s := sharedServer(t, &shared.single)
	ctx := t.Context()
	rows := documented(t)
	patterns := make(map[string]*regexp.Regexp)
	placeholders := strings.NewReplacer("EPOCH", "[0-9a-f]{16}", "ACCOUNT", "[0-9a-f]{40}", "NAME", "[0-9a-f]{24}",
		"RANDOM", "[0-9a-f]{16}", "SET", "[a-z]+", "HOUR", "[0-9]+")
	for row := range rows {
		patterns[row] = regexp.MustCompile("^" + placeholders.Replace(row) + "$")
	}

	p := s.pool(t)
	p.chunk = 2
	seen := make(map[string]bool)
	look := func() {
		for _, key := range s.raw.Keys(ctx, "*").Val() {
			rest, ok := strings.CutPrefix(key, "adit:{main}:")
			found := false
			for row, re := range patterns {
				if !ok || !re.MatchString(rest) {
					continue
				}
				found, seen[row] = true, true
				if kind := s.raw.Type(ctx, key).Val(); kind != rows[row][0] {
					t.Errorf("%s is a %s, documented as %s", key, kind, rows[row][0])
				}
				expires := s.raw.PTTL(ctx, key).Val() > 0
				always := regexp.MustCompile(`^\d+ (s|min|h)\b`).MatchString(rows[row][2])
				if expires != always {
					t.Errorf("%s expires: %v, documented: %s", key, expires, rows[row][2])
				}
			}
			if !found {
				t.Errorf("%s is not documented", key)
			}
		}
	}
	p.r.client.AddHook(&watcher{look})
	_, err := p.Append(ctx, "edge", testEpoch, 0, []journal.Block{entry(0, 1, []byte("x"))})
	must(t, err)
	must(t, p.PublishCandidate(ctx, candidate(1)))
	_, err = p.Acquire(ctx, "A")
	must(t, err)
	must(t, p.PublishReleases(ctx, map[slice.StreamID]uint64{{Edge: "edge", Epoch: testEpoch}: 1}))
	must(t, p.HoldEdge(ctx, "edge", "A"))
	must(t, p.ReportLedger(ctx, pool.LedgerReport{Name: "A"}))
	must(t, p.PublishWindow(ctx, pool.WorkOf(3), []pool.Weight{{Account: miner(1), Score: pool.WorkOf(3)}}))
	must(t, p.Report(ctx, pool.Report{Edge: "edge", Time: statsStart, Interval: 10_000, Workers: []pool.WorkerReport{rig(1, "x", 1, statsStart)},
		Limits: []pool.LimitReport{{Account: miner(1), Limit: 5, Work: 1}}}))
	must(t, p.KeepNotes(ctx, []pool.Note{{Account: miner(1), Kind: pool.NoteCode, Value: "1", Time: statsStart}}))
	b := newBook()
	b.post(ledger.Entry{Subject: &ledger.Subject{Set: "blocks", ID: "1", Rank: 1}, Body: []byte(`{}`)})
	b.credits(5, 1)
	b.block("1", 1, 1)
	b.post(ledger.Entry{Subject: &ledger.Subject{Set: ledger.SetPayouts, ID: "1", Rank: 1}, Body: []byte(`{}`),
		Postings: []ledger.Posting{{Debit: ledger.MinerAvailable(miner(0)), Credit: ledger.MinerInPayout(miner(0)), Amount: 1}}})
	must(t, b.rollForward(ctx, p))
	for row := range rows {
		if !seen[row] {
			t.Errorf("%s is documented and was never seen", row)
		}
	}
}

// watcher looks after every command and pipeline.
type watcher struct{ look func() }

func (w *watcher) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (w *watcher) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		defer w.look()
		return next(ctx, cmd)
	}
}
func (w *watcher) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		defer w.look()
		return next(ctx, cmds)
	}
}
