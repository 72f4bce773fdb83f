package view

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/adit-pool/adit/worker"
)

// output is a terminal's other end.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

func TestScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, resized := &output{}, make(chan struct{})
		width := 80
		s := &Screen{out: out, stats: &worker.Stats{}, resized: resized, size: func() (int, int) { return width, 24 }}
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { s.Run(ctx) })
		synctest.Wait()
		first := out.take()
		if !strings.HasPrefix(first, enter+home+bold+"0 H/s") || !strings.HasSuffix(first, clear) || strings.Contains(first, "\r\n\r\n\r\n") {
			t.Errorf("%q", first)
		}
		s.Event(worker.Event{Kind: worker.Message, Text: "hello", Time: time.Now()})
		_, _ = s.Write([]byte("a log line with \x1b[31mcolour\x07\nand another\n"))
		time.Sleep(time.Second)
		synctest.Wait()
		second := out.take()
		if !strings.Contains(second, `the pool says: "hello"`) || !strings.Contains(second, "[31mcolour") || strings.Contains(second, "\x07") ||
			strings.Contains(second, "\x1b[31m") || !strings.Contains(second, "and another"+toEnd) {
			t.Errorf("%q", second)
		}
		width = 10
		resized <- struct{}{}
		synctest.Wait()
		for line := range strings.SplitSeq(strings.NewReplacer(home, "", bold, "", normal, "", toEnd, "", clear, "").Replace(out.take()), "\r\n") {
			if len([]rune(line)) > 10 || !harmless(line) {
				t.Errorf("%q on a terminal of 10", line)
			}
		}
		cancel()
		wait.Wait()
		if last := out.take(); !strings.HasPrefix(last, leave) || !strings.Contains(last, "0 accepted") {
			t.Errorf("%q", last)
		}
	})
}

// The log of a rig that runs for months stays small.
func TestLogIsBounded(t *testing.T) {
	s := &Screen{}
	for range 10_000 {
		s.add(strings.Repeat("x", 1000))
	}
	if len(s.log) > kept || len(s.log[0]) > perLine {
		t.Errorf("%d lines of %d", len(s.log), len(s.log[0]))
	}
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &output{}
		p := NewPlain(out, &worker.Stats{})
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { p.Run(ctx) })
		p.Event(worker.Event{Kind: worker.Message, Text: "hello", Time: time.Now()})
		p.Event(worker.Event{Kind: worker.NewJob})
		time.Sleep(2*time.Minute + time.Second)
		cancel()
		wait.Wait()
		lines := strings.Split(strings.TrimSpace(out.take()), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "hello") || strings.Contains(strings.Join(lines, ""), "\x1b") {
			t.Errorf("%q", lines)
		}
	})
}

// A file is no terminal.
func TestNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, stop := NewScreen(f, &worker.Stats{})
	stop()
	if s != nil {
		t.Error("a file was taken for a terminal")
	}
}
