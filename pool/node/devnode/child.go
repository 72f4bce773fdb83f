package devnode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

const (
	stopGrace    = 10 * time.Second      // from SIGTERM to SIGKILL
	startTimeout = 60 * time.Second      // from exec to the first answer
	readyPoll    = 20 * time.Millisecond // between two questions whether it answers
)

// spec says what to run.
type spec struct {
	name   string // of the program, its log and its pid file
	binary string
	dir    string // absolute
	args   []string
	log    zerolog.Logger
	onExit func() // called once after the process has ended, may be nil
}

// child is one running process.
type child struct {
	// Static after startChild.
	name   string
	cmd    *exec.Cmd
	out    *outputLog
	done   chan struct{} // closed by wait, last of all
	onExit func()
	pids   *pidFile

	asked atomic.Bool // Stop or Kill was called
	err   error       // owned by wait until done is closed
}

// startChild ends what an earlier run left in the directory and starts the
// process. The caller must see to it that Stop or Kill is called.
func startChild(s spec) (*child, error) {
	binary, err := exec.LookPath(s.binary)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", s.name, err)
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return nil, fmt.Errorf("find %s: %w", s.name, err)
	}
	pids, err := lockPidFile(filepath.Join(s.dir, s.name+".pid"))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	stale, err := pids.endStale(stopGrace)
	if err != nil {
		pids.release()
		return nil, fmt.Errorf("end the %s of an earlier run: %w", s.name, err)
	}
	if stale != 0 {
		s.log.Warn().Str("process", s.name).Int("pid", stale).Msg("ended a process that an earlier run left behind")
	}
	out, err := openOutputLog(filepath.Join(s.dir, s.name+".log"))
	if err != nil {
		pids.release()
		return nil, fmt.Errorf("open log of %s: %w", s.name, err)
	}

	c := &child{name: s.name, out: out, pids: pids, onExit: s.onExit, done: make(chan struct{})}
	c.cmd = exec.Command(binary, s.args...)
	c.cmd.Dir = s.dir
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = sysProcAttr()
	c.cmd.WaitDelay = time.Second // a grandchild may hold the output open

	started := make(chan error)
	go c.wait(started)
	if err := <-started; err != nil {
		<-c.done
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	return c, nil
}

// wait starts the process and waits for its end on one OS thread: the parent
// death signal is bound to the life of the thread that forked, so this thread
// must live as long as the child.
func (c *child) wait(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	err := c.cmd.Start()
	if err == nil {
		if err = c.pids.write(c.cmd.Process.Pid); err != nil {
			c.asked.Store(true)
			c.cmd.Process.Kill()
			c.cmd.Wait()
		}
	}
	started <- err
	if err == nil {
		err = c.cmd.Wait()
		if !c.asked.Load() {
			if err == nil {
				err = errors.New("exit status 0")
			}
			c.err = fmt.Errorf("%s ended by itself: %w%s", c.name, err, c.out.lastLines())
		}
	}
	if c.onExit != nil {
		c.onExit()
	}
	c.pids.release()
	c.out.close()
	close(c.done)
}

// PID returns the process id.
func (c *child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the process has ended and all that belonged to it is freed.
func (c *child) Done() <-chan struct{} { return c.done }

// Err is nil while the process runs and after an end that Stop or Kill asked
// for; else it says how the process ended, with the last lines of its log.
func (c *child) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Stop asks the process to end (SIGTERM, on which nodes and Redis flush and
// close their files) and waits. When ctx ends, or after ten seconds, it is
// killed, and the returned error says so. Stop after the end is no error.
func (c *child) Stop(ctx context.Context) error {
	c.asked.Store(true)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	case <-grace.C:
	}
	c.Kill()
	return fmt.Errorf("stop %s: it did not end in time and was killed", c.name)
}

// Kill ends the process with SIGKILL, as a power cut would, and waits for it.
func (c *child) Kill() {
	c.asked.Store(true)
	// The only error is that it has ended already.
	_ = c.cmd.Process.Kill()
	<-c.done
}

// ready asks until answer succeeds, the child ends or the time is over; on
// failure the child is killed.
func (c *child) ready(ctx context.Context, answer func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	// A question may hang at a stranger who took the port: the end cuts it short.
	ask, cut := context.WithCancel(ctx)
	watch.Go(func() {
		select {
		case <-c.done:
			cut()
		case <-ctx.Done():
			cut()
		}
	})
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := answer(ask)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.done:
			if portTaken(c.out.tailText()) {
				return fmt.Errorf("%w: %w", errPortTaken, c.err)
			}
			return c.err
		case <-ctx.Done():
			c.Kill()
			return fmt.Errorf("%s does not answer: %w%s", c.name, err, c.out.lastLines())
		}
	}
}

// prepareDir makes dir, readable by its owner only, and returns it absolute.
func prepareDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// writePrivate writes a file that holds a password: 0600 from its first byte.
func writePrivate(path, text string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
