package itest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool/node/rpc"
)

// adit and btcd are the binaries under test, built once.
var aditBinary, btcdBinary string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "itest:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "adit-itest")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	aditBinary = filepath.Join(dir, "adit")
	args := []string{"build", "-o", aditBinary}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/adit")...).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build adit: %w\n%s", err, out)
	}
	btcdBinary = os.Getenv("ADIT_BTCD")
	if btcdBinary == "" {
		btcdBinary = filepath.Join(dir, "btcd")
		build := exec.Command("go", "build", "-o", btcdBinary, "github.com/btcsuite/btcd")
		build.Dir = "../tools/btcd"
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build btcd: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}

// devState is what `adit serve --dev` writes into its data directory.
type devState struct {
	Coin          string `json:"coin"` // and the id of its pool
	RewardAddress string `json:"reward_address"`
	Dashboard     string `json:"dashboard"`
	Stratum       string `json:"stratum"`
	NodeURL       string `json:"node_url"`
	NodeUser      string `json:"node_user"`
	NodePassword  string `json:"node_password"`
}

// site is a running `adit serve`.
type site struct {
	t     *testing.T
	dir   string
	state devState
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has been waited for
	err   error         // of the process; valid after done

	mu  sync.Mutex
	out bytes.Buffer // all it printed
}

// startDev runs `adit serve --dev` on free ports and waits until it is up.
func startDev(t *testing.T, dir string, args ...string) *site {
	t.Helper()
	_ = os.Remove(filepath.Join(dir, "up"))
	s := start(t, dir, append([]string{
		"serve", "--dev", "--data-dir", dir, "--stratum-listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0",
		"--difficulty", "0.0000000001", // for slow rigs of the test's own
	}, args...)...)
	s.await("the site to be up", time.Minute, func() error {
		if !strings.Contains(s.printed(), "the pool is up") {
			return errors.New("not yet")
		}
		b, err := os.ReadFile(filepath.Join(dir, "dev.json"))
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &s.state)
	})
	return s
}

// start runs the binary and collects what it prints.
func start(t *testing.T, dir string, args ...string) *site {
	t.Helper()
	s := &site{t: t, dir: dir, done: make(chan struct{})}
	s.cmd = exec.Command(aditBinary, args...)
	s.cmd.Env = append(os.Environ(), "ADIT_BTCD="+btcdBinary)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			s.mu.Lock()
			s.out.WriteString(line)
			s.mu.Unlock()
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		s.err = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("adit %s printed:\n%s", strings.Join(args, " "), tail(s.printed(), 12_000))
		}
	})
	return s
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func (s *site) printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// kill ends the process as a power cut would.
func (s *site) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop is Ctrl-C.
func (s *site) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
		if s.err != nil {
			s.t.Errorf("adit ended with %v after Ctrl-C", s.err)
		}
	case <-time.After(time.Minute):
		s.t.Fatal("adit did not stop within 30 s of Ctrl-C")
	}
}

// await polls until f is content.
func (s *site) await(what string, limit time.Duration, f func() error) {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-s.done:
			s.t.Fatalf("adit ended (%v) while waiting for %s: %v\n%s", s.err, what, err, tail(s.printed(), 4000))
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s within %v: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// pool reads an API path below the site's pool into v.
func (s *site) pool(path string, v any) error { return s.get("/api/v1/pools/"+s.state.Coin+path, v) }

// get reads an API path into v.
func (s *site) get(path string, v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.state.Dashboard+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 {
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, tail(string(b), 200))
	}
	if raw, ok := v.(*string); ok {
		*raw = string(b)
		return nil
	}
	return json.Unmarshal(b, v)
}

// node is a client of the site's own full node, for asking it without the pool's code between.
func (s *site) node() *rpc.Client {
	return rpc.New(rpc.Options{URL: s.state.NodeURL, User: s.state.NodeUser, Password: s.state.NodePassword, Timeout: 10 * time.Second})
}
