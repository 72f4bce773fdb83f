//go:build itest

package itest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// member is one process of a pool that is spread over several: it is started again and again on the same
// directory, as whoever supervises it would.
type member struct {
	t        *testing.T
	name     string
	role     string
	config   string
	stratum  string // "" for a ledger
	s        *site
	template site // state and directory of every start
	wasUp    bool // this start
	ended    int  // times that it ended by itself after it had been up
	refused  int  // times that it did not come up, with a reason
	tmpfs    string
}

// memberConfig is the configuration of one member.
func memberConfig(name, redis, web, reward, stratum string, node *process, user, password string) string {
	text := fmt.Sprintf(`data_dir = %q
[redis]
url = %q
[edge]
name = %q
[ledger]
name = %q
[dashboard]
listen = %q
[payout]
key_file = "key"
[[pool]]
id = "bitcoin"
coin = "bitcoin"
network = "simnet"
reward_address = %q
fee_ppm = 12345
[[pool.node]]
url = %q
user = %q
password = %q
`, name, redis, name, name, web, reward, "http://"+node.addr, user, password)
	if stratum != "" {
		const difficulty = "0.0000003" // a share takes some 1 300 hashes, a block 131 072
		text += fmt.Sprintf("[[pool.stratum]]\nlisten = %q\nstart_difficulty = %s\nmin_difficulty = %s\nmax_difficulty = %s\n",
			stratum, difficulty, difficulty, difficulty)
	}
	return text
}

// up starts the member and waits until it answers.
func (m *member) up() {
	m.t.Helper()
	m.launch()
	m.awaitUp()
}

func (m *member) launch() {
	m.t.Helper()
	m.s = start(m.t, m.template.dir, "serve", "--config", m.config, "--role", m.role)
	m.s.state = m.template.state
	m.wasUp = false
}

// awaitUp waits until a member that was launched answers. One that refuses to start, because Redis or node are
// away at that moment, is launched again.
func (m *member) awaitUp() {
	m.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; m.launch() {
		for {
			var text string
			err := m.s.get("/livez", &text)
			if err == nil && strings.Contains(m.s.printed(), "the pool is up") {
				m.wasUp = true
				return
			}
			if time.Now().After(deadline) {
				m.t.Fatalf("%s does not come up within three minutes: %v\n%s", m.name, err, tail(m.s.printed(), 4000))
			}
			select {
			case <-m.s.done:
			case <-time.After(50 * time.Millisecond):
				continue
			}
			break
		}
		m.refused++
		time.Sleep(200 * time.Millisecond)
	}
}

// revive starts the member when it is down; that it ended by itself is noted, and is a fault of ours.
func (m *member) revive() bool {
	select {
	case <-m.s.done:
	default:
		return false
	}
	if m.wasUp && (m.s.err == nil || !strings.Contains(m.s.err.Error(), "killed")) {
		m.ended++
		m.t.Logf("%s ended by itself: %v\n%s", m.name, m.s.err, tail(m.s.printed(), 1500))
	}
	return true
}

func (m *member) pid() int { return m.s.cmd.Process.Pid }

// limitFiles lets no file of the member grow beyond some bytes until it is called with -1: RLIMIT_FSIZE gives
// EFBIG where a full disk gives ENOSPC.
func (m *member) limitFiles(bytes int) {
	limit := uint64(bytes)
	if bytes < 0 {
		limit = unix.RLIM_INFINITY
	}
	_ = unix.Prlimit(m.pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: unix.RLIM_INFINITY}, nil) // it may have ended
}

// smallDisk puts the member's directory on a file system of some MiB in memory, where that is allowed.
func (m *member) smallDisk(size int) {
	if err := os.MkdirAll(m.template.dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", m.template.dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		m.t.Logf("no tmpfs can be mounted: %v", err)
		return
	}
	m.tmpfs = m.template.dir
	m.t.Cleanup(func() {
		m.s.kill()
		if err := unix.Unmount(m.tmpfs, unix.MNT_DETACH); err != nil {
			m.t.Error(err)
		}
	})
}

// fillDisk takes the last byte of the small disk until the result is called.
func (m *member) fillDisk() (free func()) {
	path := filepath.Join(m.tmpfs, "filler")
	f, err := os.Create(path)
	if err != nil {
		return func() { os.Remove(path) }
	}
	block := make([]byte, 1<<20)
	for size := len(block); size >= 1; {
		if _, err := f.Write(block[:size]); err != nil {
			size /= 16
		}
	}
	f.Close()
	return func() { os.Remove(path) }
}

// canTrace reports whether system calls of a child can be made to fail here.
func canTrace() bool {
	c := exec.Command("sleep", "60")
	if c.Start() != nil {
		return false
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	x := exec.Command("timeout", "-s", "INT", "1", "strace", "-f", "-qq", "-o", os.DevNull, "-e", "inject=fsync:error=EIO", "-p", fmt.Sprint(c.Process.Pid))
	out, _ := x.CombinedOutput()
	return x.ProcessState != nil && !strings.Contains(string(out), "attach") && !strings.Contains(string(out), "ptrace")
}

// failSyncs lets every fsync of the member fail with EIO for a while.
func (m *member) failSyncs(nap func()) {
	x := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-p", fmt.Sprint(m.pid()))
	if x.Start() != nil {
		return
	}
	nap()
	_ = x.Process.Signal(os.Interrupt)
	_ = x.Wait()
}
