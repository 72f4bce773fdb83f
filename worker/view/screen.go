package view

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/adit-pool/adit/worker"
)

// Control sequences of ECMA-48, and of xterm for the second screen, which every
// terminal of the last decades knows.
const (
	enter   = "\x1b[?1049h\x1b[?25l" // second screen, no cursor
	leave   = "\x1b[?25h\x1b[?1049l"
	home    = "\x1b[H"
	bold    = "\x1b[1m"
	normal  = "\x1b[0m"
	toEnd   = "\x1b[K" // clear the line's rest
	clear   = "\x1b[J" // clear what is below
	kept    = 200      // lines of the log
	perLine = 400      // bytes of one
)

// Screen draws a frame on a terminal every second, and at once when its size
// changes. When it ends, the terminal is as it was, with a summary.
type Screen struct {
	out     io.Writer
	stats   *worker.Stats
	size    func() (width, height int)
	resized <-chan struct{}

	mu  sync.Mutex
	log []string // guarded by mu
}

// Event keeps e for the log.
func (s *Screen) Event(e worker.Event) {
	if line := Line(e); line != "" {
		s.add(line)
	}
}

// Write keeps the lines of a log, made harmless.
func (s *Screen) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		s.add(line)
	}
	return len(p), nil
}

func (s *Screen) add(line string) {
	line = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line[:min(len(line), perLine)], ""))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log = append(s.log, line); len(s.log) > kept {
		s.log = append(s.log[:0:0], s.log[len(s.log)-kept/2:]...)
	}
}

// Run draws until ctx ends.
func (s *Screen) Run(ctx context.Context) {
	_, _ = io.WriteString(s.out, enter)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s.draw()
		select {
		case <-tick.C:
		case <-s.resized:
		case <-ctx.Done():
			_, _ = io.WriteString(s.out, leave+Summary(s.stats.Status())+"\n")
			return
		}
	}
}

// draw writes a frame in one go, over the last one, so that nothing flickers.
func (s *Screen) draw() {
	s.mu.Lock()
	log := s.log
	s.mu.Unlock()
	width, height := s.size()
	var b bytes.Buffer
	b.WriteString(home)
	for i, line := range Frame(s.stats.Status(), log, width, height) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if i == 0 {
			line = bold + line + normal
		}
		b.WriteString(line + toEnd)
	}
	b.WriteString(clear)
	_, _ = s.out.Write(b.Bytes()) // a terminal that has gone ends the program by a signal
}
