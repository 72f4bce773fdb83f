package devnode

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

const (
	outputLimit = 8 << 20 // bytes of one log file; one older file is kept
	tailLimit   = 4 << 10 // bytes of output kept in memory for error messages
)

// outputLog takes what a child prints into a bounded file and remembers the end.
type outputLog struct {
	path string

	mu   sync.Mutex
	f    *os.File // guarded by mu; nil when it could not be opened again
	size int64    // guarded by mu
	tail []byte   // guarded by mu: of this start only
}

func openOutputLog(path string) (*outputLog, error) {
	o := &outputLog{path: path}
	return o, o.open()
}

func (o *outputLog) open() error {
	f, err := os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	o.f, o.size = f, info.Size()
	return nil
}

// Write never fails: with a full disk the log is lost, the child lives on.
func (o *outputLog) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, p...)
	if over := len(o.tail) - tailLimit; over > 0 {
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
	if o.f != nil && o.size > outputLimit {
		o.f.Close()
		o.f = nil
		if os.Rename(o.path, o.path+".1") == nil {
			_ = o.open()
		}
	}
	if o.f != nil {
		n, _ := o.f.Write(p)
		o.size += int64(n)
	}
	return len(p), nil
}

func (o *outputLog) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f != nil {
		o.f.Close()
		o.f = nil
	}
}

func (o *outputLog) tailText() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.tail)
}

// lastLines returns ": " and the last three lines of output in one line, and
// where the rest is.
func (o *outputLog) lastLines() string {
	lines := strings.Split(strings.TrimSpace(o.tailText()), "\n")
	lines = lines[max(0, len(lines)-3):]
	text := strings.Join(lines, " | ")
	if text == "" {
		text = "no output"
	}
	return fmt.Sprintf(": %s (log: %s)", text, o.path)
}
