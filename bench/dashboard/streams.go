package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/bench/stratum"
)

// crowd is connections that are held open, each with a goroutine.
type crowd struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn // guarded by mu

	bytes atomic.Uint64 // read by live streams
	ended atomic.Int64  // live streams that the server ended
	over  atomic.Bool   // close was called
}

// hold dials and lets use have the connection until close.
func (c *crowd) hold(ctx context.Context, address string, use func(net.Conn)) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	c.wg.Go(func() { use(conn) })
	return nil
}

func (c *crowd) close() {
	c.over.Store(true)
	c.mu.Lock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// stream opens one live stream and reads it; it returns when the first event is there.
func (c *crowd) stream(ctx context.Context, address string) error {
	first := make(chan error, 1)
	err := c.hold(ctx, address, func(conn net.Conn) {
		if _, err := fmt.Fprintf(conn, "GET /api/v1/events HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", address); err != nil {
			first <- err
			return
		}
		r := bufio.NewReaderSize(conn, 2048)
		status, err := r.ReadString('\n')
		if err == nil && !strings.Contains(status, " 200 ") {
			err = fmt.Errorf("the server answers %s", strings.TrimSpace(status))
		}
		first <- err
		if err != nil {
			return
		}
		buf := make([]byte, 2048)
		for {
			n, err := r.Read(buf)
			c.bytes.Add(uint64(n))
			if err != nil {
				if !c.over.Load() {
					c.ended.Add(1)
				}
				return
			}
		}
	})
	if err != nil {
		return err
	}
	select {
	case err := <-first:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// streams opens n of them, a few at a time.
func (c *crowd) streams(ctx context.Context, address string, n int) error {
	slots := make(chan struct{}, 64)
	errs := make(chan error, n)
	for range n {
		slots <- struct{}{}
		go func() {
			errs <- c.stream(ctx, address)
			<-slots
		}()
	}
	var all error
	failed := 0
	for range n {
		if err := <-errs; err != nil {
			failed++
			all = err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d live streams did not open: %w", failed, n, all)
	}
	return nil
}

// slow opens clients that send a header by single bytes, that read nothing, and that ask with huge queries,
// n of each. They go on by themselves when the server ends them.
func (c *crowd) slow(ctx context.Context, address string, n int) error {
	kinds := []func(net.Conn){
		func(conn net.Conn) { // a byte now and then
			text := "GET /api/v1/pools HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("a", 4000)
			for i := range len(text) {
				if _, err := io.WriteString(conn, text[i:i+1]); err != nil || c.over.Load() {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
		func(conn net.Conn) { // reads nothing of many answers
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(1) // the least there is
			}
			_, _ = io.WriteString(conn, strings.Repeat("GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 50))
			for !c.over.Load() {
				time.Sleep(100 * time.Millisecond)
			}
		},
		func(conn net.Conn) { // a query that is too long, and many that are long
			_, err := io.WriteString(conn, "GET /api/v1/pools?"+strings.Repeat("a=b&", 1700)+" HTTP/1.1\r\nHost: x\r\n\r\n")
			if err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(conn, 512))
				_, _ = io.WriteString(conn, "GET /?"+strings.Repeat("%", 20_000)+" HTTP/1.1\r\nHost: x\r\n\r\n")
			}
		},
	}
	for range n {
		for _, kind := range kinds {
			if err := c.hold(ctx, address, kind); err != nil {
				return fmt.Errorf("open a slow client: %w", err)
			}
		}
	}
	for range n { // the slots of those that were ended are taken again and again
		c.wg.Go(func() {
			for ctx.Err() == nil && !c.over.Load() {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "tcp", address)
				if err != nil {
					return
				}
				_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
				kinds[2](conn)
				conn.Close()
				time.Sleep(500 * time.Millisecond)
			}
		})
	}
	return nil
}

// streams measures what the server needs for live streams while nothing else happens.
func streams(ctx context.Context, o Options) ([]Row, error) {
	if len(o.PIDs) == 0 {
		return nil, errors.New("give --server-pid: what streams cost is read from the process")
	}
	idle, err := cpuOver(ctx, o)
	if err != nil {
		return nil, err
	}
	c := new(crowd)
	defer c.close()
	began := time.Now()
	if err := c.streams(ctx, o.Address, o.Streams); err != nil {
		return nil, err
	}
	opened := time.Since(began)
	if err := sleep(ctx, min(o.For, 4*time.Second)); err != nil { // first answers are behind
		return nil, err
	}
	before := c.bytes.Load()
	busy, err := cpuOver(ctx, o)
	if err != nil {
		return nil, err
	}
	read := float64(c.bytes.Load()-before) / o.For.Seconds()
	return []Row{
		{What: fmt.Sprintf("%d live streams opened in", o.Streams), Value: opened.Seconds(), Unit: "s"},
		{What: "ended by the server", Value: float64(c.ended.Load()), Unit: "streams"},
		{What: "bytes a stream each two seconds", Value: 2 * read / float64(max(o.Streams, 1)), Unit: "bytes"},
		{What: "server without streams", Value: 100 * idle, Unit: "% of a core"},
		{What: "server with them", Value: 100 * busy, Unit: "% of a core"},
		{What: "what the streams cost", Value: 100 * (busy - idle), Unit: "% of a core", Aim: 10},
	}, nil
}

// cpuOver is the part of a core that the server uses over a while.
func cpuOver(ctx context.Context, o Options) (float64, error) {
	before, err := stratum.CPU(o.PIDs)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := sleep(ctx, o.For); err != nil {
		return 0, err
	}
	after, err := stratum.CPU(o.PIDs)
	return (after - before).Seconds() / time.Since(began).Seconds(), err
}
