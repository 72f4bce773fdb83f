package devnode

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrInUse: another process that is alive runs its child in this directory.
var ErrInUse = errors.New("directory is in use by another running process")

// pidFile names the child of a directory and is locked by its parent for as
// long as the child lives, so two parents never fight over one directory. Its
// text is "pid\nidentity\n", or nothing when no child runs.
type pidFile struct{ f *os.File }

// lockPidFile opens and locks the file; the lock goes when the parent dies.
func lockPidFile(path string) (*pidFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open pid file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked", ErrInUse, path)
		}
		return nil, fmt.Errorf("lock pid file %s: %w", path, err)
	}
	return &pidFile{f}, nil
}

// endStale ends the process that the file names, if that very process still
// runs: SIGTERM, and SIGKILL after grace. It returns its pid, 0 if there was none.
func (p *pidFile) endStale(grace time.Duration) (int, error) {
	text, err := io.ReadAll(io.LimitReader(p.f, 8192))
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	number, rest, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(number)
	want := strings.TrimSuffix(rest, "\n")
	if err != nil || pid <= 1 || want == "" {
		return 0, nil // empty, or cut short by a crash before the child was known
	}
	alive := func() (bool, error) {
		got, err := identity(pid)
		return got == want, err
	}
	if running, err := alive(); err != nil || !running {
		return 0, err
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, 5 * time.Second}} {
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return 0, fmt.Errorf("send %v to process %d: %w", step.signal, pid, err)
		}
		for end := time.Now().Add(step.wait); time.Now().Before(end); time.Sleep(readyPoll) {
			if running, err := alive(); err != nil || !running {
				return pid, err
			}
		}
	}
	return 0, fmt.Errorf("process %d does not end", pid)
}

// write records the child.
func (p *pidFile) write(pid int) error {
	id, err := identity(pid)
	if err != nil {
		return err
	}
	if err := p.f.Truncate(0); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if _, err := p.f.WriteAt(fmt.Appendf(nil, "%d\n%s\n", pid, id), 0); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// release empties and unlocks the file. It stays, since removing a lock file
// would let two parents hold two files of one name.
func (p *pidFile) release() {
	_ = p.f.Truncate(0)
	_ = p.f.Close()
}
