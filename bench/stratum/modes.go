package stratum

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// connections measures the way to the first job, then what idle connections hold.
func connections(ctx context.Context, o Options, server Server) (r Result, err error) {
	before, err := usage(server.PIDs)
	if err != nil {
		return r, err
	}
	all, waits, failed, err := open(ctx, o, server)
	defer closeAll(all)
	if err != nil {
		return r, err
	}
	after, err := usage(server.PIDs)
	if err != nil {
		return r, err
	}
	r = Result{
		Connections: len(all), Failed: failed, FirstJob50: quantile(waits, 0.5), FirstJob99: quantile(waits, 0.99),
		ServerCPU: after.cpu - before.cpu,
	}
	sleep(ctx, o.For) // idle
	idle, err := usage(server.PIDs)
	r.Memory = (idle.resident - before.resident) / int64(len(all))
	return r, err
}

// shares keeps a number of shares in flight on every connection.
func shares(ctx context.Context, o Options, server Server) (Result, error) {
	all, _, failed, err := open(ctx, o, server)
	defer closeAll(all)
	if err != nil {
		return Result{}, err
	}
	return load(ctx, all, failed, server, o.For, func(c *client, stop <-chan struct{}, t *tally) error {
		return c.stream(o.InFlight, stop, t)
	})
}

// soak sends a share now and then on every connection.
func soak(ctx context.Context, o Options, server Server) (Result, error) {
	all, _, failed, err := open(ctx, o, server)
	defer closeAll(all)
	if err != nil {
		return Result{}, err
	}
	place := map[*client]int{}
	for i, c := range all {
		place[c] = i
	}
	return load(ctx, all, failed, server, o.For, func(c *client, stop <-chan struct{}, t *tally) error {
		offset := o.Every * time.Duration(place[c]) / time.Duration(len(all))
		return c.drip(o.Every, offset, stop, t)
	})
}

// tally is what one connection saw.
type tally struct {
	accepted, rejected, unanswered uint64
	answers                        []time.Duration // a sample
}

// load runs a client's work on every connection for a time.
func load(ctx context.Context, all []*client, failed int, server Server, d time.Duration, work func(*client, <-chan struct{}, *tally) error) (Result, error) {
	before, err := usage(server.PIDs)
	if err != nil {
		return Result{}, err
	}
	begin, stop := time.Now(), make(chan struct{})
	tallies := make([]tally, len(all))
	broken := make([]error, len(all))
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() { broken[i] = work(c, stop, &tallies[i]) })
	}
	sleep(ctx, d)
	close(stop)
	group.Wait()
	took := time.Since(begin)
	after, err := usage(server.PIDs)
	r := Result{Connections: len(all), Failed: failed, ServerCPU: after.cpu - before.cpu}
	var answers []time.Duration
	for i, t := range tallies {
		r.Accepted += t.accepted
		r.Rejected += t.rejected
		r.Unanswered += t.unanswered
		answers = append(answers, t.answers...)
		if broken[i] != nil {
			r.Failed++
			if err == nil && r.Failed == len(all) {
				err = broken[i]
			}
		}
	}
	slices.Sort(answers)
	r.Answer50, r.Answer99 = quantile(answers, 0.5), quantile(answers, 0.99)
	r.PerSecond = float64(r.Accepted) / took.Seconds()
	return r, err
}

// stream keeps depth shares in flight until stop, then reads what is missing.
func (c *client) stream(depth int, stop <-chan struct{}, t *tally) error {
	sent := make([]time.Time, depth) // ring: pools answer in order
	head, flying := 0, 0
	stopping := false
	for {
		select {
		case <-stop:
			stopping = true
		default:
		}
		if stopping && flying == 0 {
			return nil
		}
		// Refill when half of the window is free and nothing more is buffered.
		if !stopping && flying <= depth/2 && c.reader.Buffered() == 0 {
			now := time.Now()
			for flying < depth {
				c.append()
				sent[(head+flying)%depth] = now
				flying++
			}
			if err := c.flush(); err != nil {
				t.unanswered += uint64(flying)
				return err
			}
		}
		line, err := c.read()
		if err != nil {
			t.unanswered += uint64(flying)
			return err
		}
		if isCall(line) {
			if err := c.called(line); err != nil {
				return err
			}
			continue
		}
		if flying == 0 {
			return fmt.Errorf("an answer that nothing was asked for: %.100q", line)
		}
		t.count(line, time.Since(sent[head]))
		head, flying = (head+1)%depth, flying-1
	}
}

// drip sends a share each time every has passed.
func (c *client) drip(every, offset time.Duration, stop <-chan struct{}, t *tally) error {
	type answer struct {
		yes bool
		at  time.Time
		err error
	}
	var mu sync.Mutex // guards job and ntime
	answers := make(chan answer, 4)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		for {
			_ = c.conn.SetReadDeadline(time.Time{})
			line, err := c.reader.ReadBytes('\n')
			if err == nil && isCall(line) {
				mu.Lock()
				err = c.called(line)
				mu.Unlock()
				if err == nil {
					continue
				}
			}
			select {
			case answers <- answer{accepted(line), time.Now(), err}:
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	next := time.NewTimer(offset)
	defer next.Stop()
	for {
		select {
		case <-stop:
			return nil
		case a := <-answers:
			return fmt.Errorf("between shares: %v, %v", a.yes, a.err)
		case <-next.C:
		}
		next.Reset(every)
		begin := time.Now()
		mu.Lock()
		c.append()
		mu.Unlock()
		if err := c.flush(); err != nil {
			t.unanswered++
			return err
		}
		late := time.NewTimer(patience)
		select {
		case a := <-answers:
			late.Stop()
			if a.err != nil {
				t.unanswered++
				return a.err
			}
			if a.yes {
				t.accepted++
			} else {
				t.rejected++
			}
			t.answers = append(t.answers, a.at.Sub(begin))
		case <-late.C:
			t.unanswered++
			return fmt.Errorf("no answer in %v", patience)
		}
	}
}

const sample = 16 // one answer of so many is timed, so that memory stays small

func (t *tally) count(line []byte, took time.Duration) {
	if accepted(line) {
		t.accepted++
	} else {
		t.rejected++
	}
	if (t.accepted+t.rejected)%sample == 0 {
		t.answers = append(t.answers, took)
	}
}

// notify measures from a new tip at the node to the clean job at the first and at
// the last connection: the medians over the tips.
func notify(ctx context.Context, o Options, server Server) (Result, error) {
	all, _, failed, err := open(ctx, o, server)
	defer closeAll(all)
	if err != nil {
		return Result{}, err
	}
	before, err := usage(server.PIDs)
	if err != nil {
		return Result{}, err
	}
	heard := make(chan time.Time, len(all))
	var group sync.WaitGroup
	stopped := make(chan struct{})
	for _, c := range all {
		group.Go(func() {
			_ = c.conn.SetReadDeadline(time.Time{})
			for {
				line, err := c.reader.ReadBytes('\n')
				if err != nil {
					return
				}
				if clean(line) {
					select {
					case heard <- time.Now():
					case <-stopped:
						return
					}
				}
			}
		})
	}
	defer group.Wait()
	defer closeAll(all)
	defer close(stopped)
	sleep(ctx, time.Second) // late jobs of the opening
	for len(heard) > 0 {
		<-heard
	}
	var firsts, lasts []time.Duration
	for tip := range o.Tips {
		if tip > 0 {
			sleep(ctx, 2*time.Second)
			for len(heard) > 0 { // a second clean job for the same tip
				<-heard
			}
		}
		begin := time.Now()
		if err := moveOn(ctx, server.Node); err != nil {
			return Result{}, err
		}
		late := time.NewTimer(patience)
		var first, last time.Duration
		for i := range all {
			select {
			case at := <-heard:
				took := at.Sub(begin)
				if last = max(last, took); i == 0 || took < first {
					first = took
				}
			case <-late.C:
				return Result{}, fmt.Errorf("%d of %d connections heard of a new tip in %v", i, len(all), patience)
			}
		}
		late.Stop()
		firsts, lasts = append(firsts, first), append(lasts, last)
	}
	after, err := usage(server.PIDs)
	slices.Sort(firsts)
	slices.Sort(lasts)
	return Result{
		Connections: len(all), Failed: failed, TipFirst: quantile(firsts, 0.5), TipLast: quantile(lasts, 0.5), ServerCPU: after.cpu - before.cpu,
	}, err
}

// moveOn tells a Node to take a new tip.
func moveOn(ctx context.Context, node string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/tip", nil)
	if err != nil {
		return fmt.Errorf("tell the node to move on: %w", err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("tell the node to move on: %w", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("tell the node to move on: %s", answer.Status)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
