//go:build unix

package view

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/adit-pool/adit/worker"
)

// NewScreen draws on f. It gives nil when f is no terminal that can be drawn on;
// stop ends its watch of the terminal's size.
func NewScreen(f *os.File, stats *worker.Stats) (s *Screen, stop func()) {
	size := func() (int, int, bool) {
		w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0, 0, false
		}
		if w.Col == 0 || w.Row == 0 { // a serial line does not know
			return 80, 24, true
		}
		return int(w.Col), int(w.Row), true
	}
	if _, _, ok := size(); !ok || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return nil, func() {}
	}
	signals := make(chan os.Signal, 1)
	resized, done := make(chan struct{}), make(chan struct{})
	signal.Notify(signals, unix.SIGWINCH)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				select {
				case resized <- struct{}{}:
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	s = &Screen{out: f, stats: stats, resized: resized, size: func() (int, int) {
		w, h, ok := size()
		if !ok {
			return 80, 24
		}
		return w, h
	}}
	return s, func() { signal.Stop(signals); close(done); <-ended }
}
