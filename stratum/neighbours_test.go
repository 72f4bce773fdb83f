package stratum_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/adit-pool/adit/stratum/stratumtest"
)

// process is another process of this test binary.
type process struct {
	cmd   *exec.Cmd
	in    io.Closer
	first string // line it wrote
}

func startRole(t *testing.T, role string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), roleVar+"="+role)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in = in
	t.Cleanup(func() { p.stop() })
	lines := bufio.NewReader(out)
	if p.first, err = lines.ReadString('\n'); err != nil {
		t.Fatalf("role %s: %v", role, err)
	}
	p.first = strings.TrimSpace(p.first)
	return p
}

// stop ends the process and waits for it; again it does nothing.
func (p *process) stop() {
	p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// memory is the process's resident set in MiB.
func (p *process) memory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// miners share an edge with those who misbehave.
type miners []*stratumtest.Client

// times has every miner submit n shares one after the other, and returns how long the slowest but one of a
// hundred took.
func (m miners) times(t *testing.T, n int) time.Duration {
	t.Helper()
	all := make([][]time.Duration, len(m))
	var wg sync.WaitGroup
	for i, c := range m {
		wg.Go(func() {
			for range n {
				sh, err := c.Found()
				if err != nil {
					t.Error(err)
					return
				}
				line, id := c.SubmitLine(sh)
				from := time.Now()
				if err := c.Accepted(line, id); err != nil {
					t.Error(err)
					return
				}
				all[i] = append(all[i], time.Since(from))
				time.Sleep(5 * time.Millisecond) // a rig, not a loop
			}
		})
	}
	wg.Wait()
	times := slices.Concat(all...)
	if len(times) < len(m)*n {
		t.FailNow()
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}

// P2, P3, P4, P8: beside peers that misbehave, each kind in a process of its own, other miners' shares take little
// longer than without them, and the server's process holds no more than it may. With ADIT_LONG set it is measured
// with many: five alternated pairs, whose medians may differ by a factor of two. The short form only shows that the
// miners are served at all, in a time that does not depend on the machine's mood.
func TestNeighbours(t *testing.T) {
	const memory = 384 // MiB that connections may hold
	const rest = 192   // that the rest of the process may grow by
	long := os.Getenv("ADIT_LONG") != ""
	shares, pairs := 10, 1
	if long {
		shares, pairs = 300, 5
	}
	for _, nuisance := range []struct {
		name        string
		short, many int // connections
	}{
		{"slow-readers", 40, 300}, {"half-open", 40, 3000}, {"floods", 5, 30}, {"strangers", 300, 15_000}, {"names", 10, 500},
	} {
		t.Run(nuisance.name, func(t *testing.T) {
			n := nuisance.short
			if long {
				n = nuisance.many
			}
			server := startRole(t, fmt.Sprintf("server %s %d", t.TempDir(), memory))
			var rigs miners
			for i := range 10 {
				c := stratumtest.Dial(t, server.first)
				c.Open(fmt.Sprintf("%s.good%d", neighbour, i))
				rigs = append(rigs, c)
			}
			rigs.times(t, shares) // warm
			idle, peak := server.memory(t), 0
			var alone, beside []time.Duration
			for range pairs {
				alone = append(alone, rigs.times(t, shares))
				p := startRole(t, fmt.Sprintf("%s %s %d", nuisance.name, server.first, n))
				beside = append(beside, rigs.times(t, shares))
				peak = max(peak, server.memory(t))
				p.stop()
			}
			slices.Sort(alone)
			slices.Sort(beside)
			a, b := alone[pairs/2], beside[pairs/2]
			t.Logf("%d of them: p99 of a share alone %v, beside %v (%.2f times); memory %d MiB, before them %d", n, a, b, float64(b)/float64(a), peak, idle)
			if limit := 2 * a; long && b > limit || b > 5*time.Second {
				t.Errorf("p99 %v beside them, %v alone", b, a)
			}
			if peak-idle > memory+rest {
				t.Errorf("%d MiB, from %d: more than the %d that may be", peak, idle, memory)
			}
		})
	}
}
