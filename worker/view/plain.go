package view

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/adit-pool/adit/worker"
)

// Plain prints a line for each event and a summary a minute: for files, pipes and
// system logs.
type Plain struct {
	stats *worker.Stats
	every time.Duration

	mu  sync.Mutex
	out io.Writer // guarded by mu
}

// NewPlain prints to out.
func NewPlain(out io.Writer, stats *worker.Stats) *Plain {
	return &Plain{stats: stats, every: time.Minute, out: out}
}

// Event prints e.
func (p *Plain) Event(e worker.Event) {
	if line := Line(e); line != "" {
		p.print(line)
	}
}

func (p *Plain) print(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintln(p.out, line) // whoever reads may have gone
}

// Run prints the summaries until ctx ends, and a last one.
func (p *Plain) Run(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.print(Summary(p.stats.Status()))
		case <-ctx.Done():
			p.print(Summary(p.stats.Status()))
			return
		}
	}
}
