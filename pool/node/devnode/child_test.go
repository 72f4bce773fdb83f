package devnode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// childFlag makes the test binary play a child, or the parent of one.
const childFlag = "-devnode-play="

func TestMain(m *testing.M) {
	for _, arg := range os.Args[1:] {
		if role, ok := strings.CutPrefix(arg, childFlag); ok {
			play(role)
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

func play(role string) {
	role, value, _ := strings.Cut(role, ":")
	switch role {
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Minute)
	case "deaf": // to SIGTERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Minute)
	case "exit":
		fmt.Println("first line")
		fmt.Fprintln(os.Stderr, "listen tcp 127.0.0.1:1: bind: Address already in use")
		os.Exit(3)
	case "parent": // of one sleeper and, when they are given, of real nodes
		dir, btcd, _ := strings.Cut(value, ":")
		c, err := startChild(self(filepath.Join(dir, "sleeper"), "sleep"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(c.PID())
		if btcd != "" {
			n, err := StartBtcd(context.Background(), BtcdOptions{Binary: btcd, Dir: filepath.Join(dir, "btcd")})
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(n.PID())
		}
		fmt.Println("up")
		time.Sleep(time.Minute)
	}
}

// self is the spec of the test binary in a role.
func self(dir, role string) spec {
	exe, _ := os.Executable()
	os.MkdirAll(dir, 0o700)
	return spec{name: "child", binary: exe, dir: dir, args: []string{childFlag + role}, log: zerolog.Nop()}
}

func start(t *testing.T, s spec) *child {
	t.Helper()
	c, err := startChild(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// await waits until ok, at most a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	await(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		id, err := identity(pid)
		return err == nil && id == ""
	})
}

func TestChildStops(t *testing.T) {
	dir := t.TempDir()
	exited := 0
	s := self(dir, "sleep")
	s.onExit = func() { exited++ }
	c := start(t, s)
	await(t, "the child speaks", func() bool { return strings.Contains(c.out.tailText(), "sleeping") })
	if group, err := syscall.Getpgid(c.PID()); err != nil || group != c.PID() {
		t.Errorf("process group %d of child %d (%v): Ctrl-C would reach it", group, c.PID(), err)
	}
	if err := c.Err(); err != nil {
		t.Errorf("running, but %v", err)
	}
	begin := time.Now()
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("stop took %v", took)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
	c.Kill()
	if err := c.Err(); err != nil || exited != 1 {
		t.Errorf("after a stop that was asked for: %v, onExit ran %d times", err, exited)
	}
	awaitGone(t, c.PID())
	if text, err := os.ReadFile(filepath.Join(dir, "child.pid")); err != nil || len(text) != 0 {
		t.Errorf("pid file holds %q, %v", text, err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "child.log")); string(text) != "sleeping\n" {
		t.Errorf("log holds %q", text)
	}
}

func TestDeafChildIsKilled(t *testing.T) {
	c := start(t, self(t.TempDir(), "deaf"))
	await(t, "it is deaf", func() bool { return strings.Contains(c.out.tailText(), "deaf") })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Stop(ctx); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("stop: %v", err)
	}
	awaitGone(t, c.PID())
}

func TestChildEndsByItself(t *testing.T) {
	c := start(t, self(t.TempDir(), "exit"))
	err := c.ready(t.Context(), func(context.Context) error { return errors.New("no answer") })
	if !errors.Is(err, errPortTaken) || !strings.Contains(err.Error(), "exit status 3: first line | listen tcp") {
		t.Errorf("ready: %v", err)
	}
	if c.Err() == nil {
		t.Error("no error after an end nobody asked for")
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("stop after the end: %v", err)
	}
}

func TestReadyGivesUp(t *testing.T) {
	c := start(t, self(t.TempDir(), "sleep"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.ready(ctx, func(context.Context) error { return errors.New("connection refused") }); err == nil {
		t.Error("ready without an answer")
	}
	awaitGone(t, c.PID())
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	s := self(dir, "sleep")
	s.binary = filepath.Join(dir, "absent")
	if _, err := startChild(s); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent program: %v", err)
	}
	s.binary = filepath.Join(dir, "text")
	if err := os.WriteFile(s.binary, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := startChild(s); !errors.Is(err, syscall.ENOEXEC) {
		t.Errorf("no program: %v", err)
	}
	start(t, self(dir, "sleep")) // both failures have freed the directory
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	c := start(t, self(dir, "sleep"))
	if _, err := startChild(self(dir, "sleep")); !errors.Is(err, ErrInUse) {
		t.Errorf("second start: %v", err)
	}
	if c.Err() != nil {
		t.Error("the first child was harmed")
	}
}

// orphan starts a process that a dead parent would have left and writes the pid
// file that this parent would have written.
func orphan(t *testing.T, dir, role string) *exec.Cmd {
	t.Helper()
	s := self(dir, role)
	cmd := exec.Command(s.binary, s.args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	bufio.NewReader(out).ReadString('\n')
	go func() { cmd.Wait(); close(reaped) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-reaped })
	p, err := lockPidFile(filepath.Join(dir, "child.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	p.f.Close() // the parent dies: the lock goes, the text stays
	return cmd
}

func TestStaleProcessIsEnded(t *testing.T) {
	dir := t.TempDir()
	old := orphan(t, dir, "sleep")
	c := start(t, self(dir, "sleep"))
	awaitGone(t, old.Process.Pid)
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

func TestStaleDeafProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	old := orphan(t, dir, "deaf")
	p, err := lockPidFile(filepath.Join(dir, "child.pid"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	if pid, err := p.endStale(50 * time.Millisecond); err != nil || pid != old.Process.Pid {
		t.Errorf("ended %d, %v", pid, err)
	}
	awaitGone(t, old.Process.Pid)
}

func TestStrangersAreLeftAlone(t *testing.T) {
	f := func(text string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "child.pid")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := lockPidFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if pid, err := p.endStale(time.Second); pid != 0 || err != nil {
			t.Errorf("%q: ended %d, %v", text, pid, err)
		}
	}
	own, err := identity(os.Getpid())
	if err != nil || own == "" {
		t.Fatalf("own identity %q, %v", own, err)
	}
	f("")
	f("garbage")
	f("-1\nx\n")
	f("1\n" + own + "\n")
	f(fmt.Sprintf("%d", os.Getpid()))
	f(fmt.Sprintf("%d\n12345 /usr/bin/other\n", os.Getpid())) // the pid was given to another since
	f("4194304\n" + own + "\n")                               // above any pid
}

// TestKilledParent kills a parent of children with SIGKILL: they must be gone
// without anybody's doing, and a new parent can take over their directories.
func TestKilledParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip("needs the parent death signal of Linux")
	}
	dir := t.TempDir()
	s := self(dir, "parent:"+dir+":"+btcdBinary(t))
	parent := exec.Command(s.binary, s.args...)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Process.Kill()
	var pids []int
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "up"; {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("parent says %q", lines.Text())
		}
		pids = append(pids, pid)
	}
	if len(pids) != 2 {
		t.Fatalf("children: %v", pids)
	}
	for _, pid := range pids {
		if id, err := identity(pid); err != nil || id == "" {
			t.Fatalf("child %d does not run: %v", pid, err)
		}
	}
	parent.Process.Kill()
	parent.Wait()
	for _, pid := range pids {
		awaitGone(t, pid)
	}
	start(t, self(filepath.Join(dir, "sleeper"), "sleep"))
}

func TestOutputLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	o, err := openOutputLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 20 {
		o.Write(line)
	}
	o.Write([]byte("a\nb\nc\nd\n"))
	for _, p := range []string{path, path + ".1"} {
		if info, err := os.Stat(p); err != nil || info.Size() > outputLimit+int64(len(line)) {
			t.Errorf("%s: %v %v", p, info, err)
		}
	}
	if got := len(o.tailText()); got != tailLimit {
		t.Errorf("tail of %d bytes", got)
	}
	if got := o.lastLines(); got != ": b | c | d (log: "+path+")" {
		t.Errorf("last lines %q", got)
	}
}

func TestWithPort(t *testing.T) {
	var seen []string
	got, err := withPort("", func(addr string) (string, error) {
		seen = append(seen, addr)
		if len(seen) < 3 {
			return "", fmt.Errorf("x: %w", errPortTaken)
		}
		return addr, nil
	})
	if err != nil || len(seen) != 3 || got != seen[2] {
		t.Errorf("%q %v after %v", got, err, seen)
	}
	n := 0
	_, err = withPort("", func(string) (int, error) { n++; return 0, errPortTaken })
	if !errors.Is(err, errPortTaken) || n != portAttempts {
		t.Errorf("%v after %d attempts", err, n)
	}
	n = 0
	_, err = withPort("127.0.0.1:1", func(string) (int, error) { n++; return 0, errPortTaken })
	if !errors.Is(err, errPortTaken) || n != 1 {
		t.Errorf("a given port: %v after %d attempts", err, n)
	}
	for _, bad := range []string{"0.0.0.0:1", "8.8.8.8:1", ":1", "x", "example.org:1"} {
		if _, err := withPort(bad, func(string) (int, error) { return 0, nil }); err == nil {
			t.Errorf("listens on %q", bad)
		}
	}
}
