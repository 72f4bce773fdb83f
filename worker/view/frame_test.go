package view

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/adit-pool/adit/worker"
	"github.com/adit-pool/adit/worker/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata anew")

func of(v float64) *float64 { return &v }

// busy is a rig with all that can be shown.
func busy() worker.Status {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return worker.Status{
		Time: now, Started: now.Add(-26*time.Hour - 3*time.Second), Kernel: "sha256d",
		Pool: worker.PoolStatus{
			Address: "backup.pool.example:3334", User: "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig1", TLS: true, Index: 1,
			Since: now.Add(-125 * time.Second), LoggedIn: true, Difficulty: "16384", Job: "4f", JobTime: now.Add(-7 * time.Second),
			Latency: 12345 * time.Microsecond,
		},
		Counts: worker.Counts{
			Hashrate: 5.0123e9, Submitted: 1234, Accepted: 1200, Rejected: 33, Stale: 31, Lost: 1,
			Rejects: []worker.Reject{{Code: 21, Reason: "Job not found", Count: 31}, {Reason: "Above target", Count: 2}},
		},
		Devices: []worker.DeviceStatus{
			{Name: "cpu", Model: "AMD EPYC", Path: "shani-4x", State: worker.Searching, Duty: 100, Hashrate: 25e6, Accepted: 7,
				Reading: telemetry.Reading{Temperature: of(61.5), Power: of(45)}},
			{Name: "gpu0", Model: "NVIDIA GeForce RTX 4090", Path: "opencl", State: worker.Throttled, Duty: 50, Why: "84 °C, limit 80 °C",
				Hashrate: 4.9873e9, Accepted: 1193, Rejected: 33, Stale: 31,
				Reading: telemetry.Reading{Temperature: of(84), Power: of(410), Fan: of(97)}},
			{Name: "gpu1", Model: "NVIDIA GeForce RTX 4090", Path: "opencl", State: worker.Disabled, Why: "8 errors, the last: the device was lost", Errors: 8},
		},
	}
}

var log = []string{"11:59:58 accepted, difficulty 16384, gpu0", "11:59:59 gpu1 is disabled: 8 errors, the last: the device was lost"}

// The frames at several sizes are files, to be looked at.
func TestFrames(t *testing.T) {
	f := func(name string, s worker.Status, log []string, width, height int) {
		t.Helper()
		got := strings.Join(Frame(s, log, width, height), "\n") + "\n"
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
	f("wide.txt", busy(), log, 140, 30)
	f("usual.txt", busy(), log, 80, 24)
	f("sixty.txt", busy(), log, 60, 24)
	f("narrow.txt", busy(), log, 40, 24)
	f("low.txt", busy(), log, 80, 6)
	start := worker.Status{Time: time.Unix(0, 0), Kernel: "scrypt", Devices: []worker.DeviceStatus{{Name: "cpu", State: worker.Searching, Duty: 100}}}
	f("start.txt", start, nil, 80, 24)
	away := busy()
	away.Pool = worker.PoolStatus{Address: "pool.example:3333", Why: "connect to pool: connection refused"}
	f("away.txt", away, log, 80, 24)
}

// Whatever the size, a frame keeps to it.
func TestFrameFits(t *testing.T) {
	s := busy()
	for width := -1; width < 200; width += 3 {
		for height := -1; height < 40; height += 2 {
			lines := Frame(s, log, width, height)
			if len(lines) > max(height, 1) {
				t.Fatalf("%dx%d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if utf8.RuneCountInString(line) > max(width, 1) {
					t.Fatalf("%dx%d: %q", width, height, line)
				}
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(Hashrate(0), "0 H/s")
	f(Hashrate(0.5), "500 mH/s")
	f(Hashrate(999.4), "999 H/s")
	f(Hashrate(999.9), "1.00 kH/s")
	f(Hashrate(12.34e6), "12.3 MH/s")
	f(Hashrate(4.9e24), "4900000 EH/s")
	f(scaled(8.2e-8, "J/H"), "82.0 nJ/H")
	f(scaled(1e-30, "J"), "0.00 aJ")
	f(duration(3*time.Second+900*time.Millisecond), "00:00:03")
	f(duration(49*time.Hour), "2d 01:00:00")
	f(percent(0, 0), "0 %")
	f(percent(1, 3), "33.33 %")
	f(percent(1, 1_000_000), "<0.01 %")
	f(percent(5, 5), "100 %")
	f(cut("abcdef", 4), "abc…")
	f(cut("abcdef", 0), "")
}

func TestLines(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 1, 0, time.UTC)
	f := func(e worker.Event, want string) {
		t.Helper()
		e.Time = at
		if got := Line(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(worker.Event{Kind: worker.Connected, Text: "pool:1"}, "12:00:01 connected to pool:1")
	f(worker.Event{Kind: worker.Accepted, Share: worker.Share{Difficulty: "8"}, Device: "cpu"}, "12:00:01 accepted, difficulty 8, cpu")
	f(worker.Event{Kind: worker.Rejected, Code: 21, Text: "Stale share", Device: "gpu0"}, "12:00:01 rejected: Stale share (21), gpu0")
	f(worker.Event{Kind: worker.Message, Text: "hi"}, `12:00:01 the pool says: "hi"`)
	f(worker.Event{Kind: worker.DeviceDisabled, Device: "gpu0", Text: "8 errors"}, "12:00:01 gpu0 is disabled: 8 errors")
	f(worker.Event{Kind: worker.NewJob}, "")
	if got, want := Summary(busy()), "12:00:00 5.01 GH/s, 1200 accepted, 33 rejected (31 stale), up 1d 02:00:03, 455 W, 90.8 nJ/H; "+
		"cpu 25.0 MH/s; gpu0 4.99 GH/s (throttled to 50 %); gpu1 0 H/s (disabled)"; got != want {
		t.Errorf("%q", got)
	}
}

func harmless(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
