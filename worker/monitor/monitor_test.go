package monitor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker"
	"github.com/adit-pool/adit/worker/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a monitor and gives its address.
func serve(t *testing.T, stats *worker.Stats) string {
	t.Helper()
	s, err := Listen("127.0.0.1:0", stats)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

func get(t *testing.T, address, path, host string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

// A rig without a pool is watched while it runs.
func TestMonitor(t *testing.T) {
	stats := &worker.Stats{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Run(ctx, worker.Options{
			Pool: "stratum+tcp://127.0.0.1:1", User: `al"ice\`, Kernel: sha256d.Generic{}, Threads: 1, Stats: stats,
		})
	}()
	defer func() { cancel(); <-ended }()
	address := serve(t, stats)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s := stats.Status(); s.Pool.Why != "" && len(s.Devices) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the rig did not start")
		}
	}
	code, body, header := get(t, address, "/status", "")
	var s worker.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v\n%s", code, err, body)
	}
	if s.Kernel != "sha256d" || s.Pool.Address != "127.0.0.1:1" || s.Pool.Why == "" || s.Devices[0].Name != "cpu" || s.Started.IsZero() {
		t.Errorf("%+v", s)
	}
	code, body, _ = get(t, address, "/metrics", "localhost:80")
	if code != 200 || !strings.Contains(body, `adit_rig_device_hashes_total{device="cpu"} 0`) || !strings.Contains(body, "adit_rig_pool_connected{pool=\"127.0.0.1:1\",index=\"0\"} 0\n") {
		t.Errorf("%d\n%s", code, body)
	}
	f := func(path, host string, want int) {
		t.Helper()
		if code, body, _ := get(t, address, path, host); code != want {
			t.Errorf("%s at %s: %d %s", path, host, code, body)
		}
	}
	f("/", "", 200)
	f("/", "[::1]:80", 200)
	f("/other", "", 404)
	f("/status", "evil.example", 403)
	f("/status", "127.0.0.1.evil.example:80", 403)
}

func TestListenRefuses(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1", "127.0.0.1:99999", "nowhere.invalid:1"} {
		if s, err := Listen(address, &worker.Stats{}); err == nil {
			t.Errorf("%q: listens at %v", address, s.Addr())
		}
	}
	s, err := Listen(":0", &worker.Stats{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	if !strings.HasPrefix(s.Addr().String(), "127.0.0.1:") {
		t.Errorf("without a host it listens at %v", s.Addr())
	}
}

// Every line is a comment or a sample, every family has one head before its
// samples, and texts from outside stay inside their quotes.
func TestMetrics(t *testing.T) {
	v := 61.5
	s := worker.Status{
		Time: time.Now(), Started: time.Now().Add(-time.Minute), Kernel: "sha256d",
		Pool:   worker.PoolStatus{Address: "pool.example:3333", LoggedIn: true, Difficulty: "0.5", Latency: 2 * time.Millisecond},
		Counts: worker.Counts{Accepted: 5, Rejected: 3, Stale: 2, Rejects: []worker.Reject{{Code: 20, Reason: `a"b\c`, Count: 1}}},
		Devices: []worker.DeviceStatus{
			{Name: "cpu", Reading: telemetry.Reading{Temperature: &v, Power: &v}},
			{Name: "gpu0", State: worker.Disabled, Reading: telemetry.Reading{Fan: &v}},
		},
	}
	text := metrics(s)
	sample := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(,[a-z]+="(?:[^"\\]|\\.)*")*\})? -?[0-9.e+-]+$`)
	family := ""
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(name, " ")
			if seen[family] {
				t.Errorf("family %s twice", family)
			}
			seen[family] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		if m := sample.FindStringSubmatch(line); m == nil || m[1] != family {
			t.Errorf("line %q in family %q", line, family)
		}
	}
	for _, want := range []string{
		`adit_rig_shares_total{result="rejected"} 1`, `adit_rig_shares_total{result="stale"} 2`,
		`adit_rig_rejects_total{code="20",reason="a\"b\\c"} 1`, `adit_rig_device_temperature_celsius{device="cpu"} 61.5`,
		`adit_rig_device_disabled{device="gpu0"} 1`, `adit_rig_device_fan_ratio{device="gpu0"} 0.615`, `adit_rig_difficulty 0.5`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}
