package dashboard

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
)

// Limits of one HTTP client and of all.
const (
	readTimeout  = 10 * time.Second // a whole request
	writeTimeout = 20 * time.Second // a whole response
	idleTimeout  = 60 * time.Second // between two requests
	maxHeader    = 8 << 10          // bytes of request line and headers
	maxBody      = 1 << 10          // bytes; nothing here wants one
	maxConns     = 4096             // open at once
	drainTime    = 5 * time.Second  // for requests in flight when the server ends
	storeTime    = 2 * time.Second  // for the store to answer one request
)

// Server answers for all pools. It is safe for concurrent use.
type Server struct {
	opts    Options               // static
	now     func() time.Time      // static
	log     zerolog.Logger        // static
	pools   []*poolState          // static, in the order of Options
	byID    map[string]*poolState // static
	assets  *assets               // static
	pages   *pages                // static
	started time.Time             // static
	meter   meter
}

// New checks the options and prepares assets and templates.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("load the dashboard's assets: %w", err)
	}
	return newServer(o, a)
}

func newServer(o Options, a *assets) (*Server, error) {
	s := &Server{opts: o, now: o.Now, log: o.Log, assets: a, byID: make(map[string]*poolState)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.opts.MaxJobAge == 0 {
		s.opts.MaxJobAge = 5 * time.Minute
	}
	s.started = s.now()
	s.meter.make()
	var err error
	if s.pages, err = loadPages(s); err != nil {
		return nil, fmt.Errorf("load the dashboard's pages: %w", err)
	}
	for i := range o.Pools {
		p := newPoolState(&s.opts.Pools[i], s)
		s.pools = append(s.pools, p)
		s.byID[p.info.ID] = p
	}
	return s, nil
}

// Serve answers on ln until ctx ends, then lets requests in flight finish, for at most five seconds. It
// closes ln and returns when every goroutine it started is done; the error is nil after a drain.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx)) // store calls of requests being drained
	defer cancel()
	var loads sync.WaitGroup // reads that outlive the request that began them
	defer loads.Wait()
	defer cancel()
	conns := &trackedListener{Listener: ln, max: maxConns}
	server := &fasthttp.Server{
		Handler:               func(c *fasthttp.RequestCtx) { s.handle(request{RequestCtx: c, base: base, loads: &loads}) },
		ErrorHandler:          s.refuse,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		ReadBufferSize:        maxHeader,
		MaxRequestBodySize:    maxBody,
		Concurrency:           maxConns + 1,
		CloseOnShutdown:       true,
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		TCPKeepalive:          true,
		Logger:                silent{},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(conns) }()

	var err error
	select {
	case err = <-ended:
		if err == nil {
			err = net.ErrClosed
		}
		err = fmt.Errorf("serve the dashboard: %w", err)
	case <-ctx.Done():
		conns.closeUnused()
		drain, done := context.WithTimeout(base, drainTime)
		err = server.ShutdownWithContext(drain)
		done()
		if err != nil {
			s.log.Debug().Err(err).Msg("dashboard requests were cut off")
		}
		cancel()
		conns.Close() // shutdown leaves it open when serving had not begun yet
		conns.closeAll()
		<-ended
		err = nil
	}
	conns.closeAll()
	conns.wait()
	return err
}

// silent drops fasthttp's own messages: each is about one client's bytes.
type silent struct{}

func (silent) Printf(string, ...any) {}

// trackedListener knows its open connections, so that they can be counted, closed and waited for.
type trackedListener struct {
	net.Listener
	max  int
	mu   sync.Mutex
	open map[*trackedConn]struct{} // guarded by mu
	gone sync.WaitGroup
}

// Accept takes the next connection; one beyond the limit is closed at once.
func (l *trackedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		if l.open == nil {
			l.open = make(map[*trackedConn]struct{})
		}
		if len(l.open) >= l.max {
			l.mu.Unlock()
			c.Close()
			continue
		}
		t := &trackedConn{Conn: c, owner: l}
		l.open[t] = struct{}{}
		l.gone.Add(1)
		l.mu.Unlock()
		return t, nil
	}
}

// closeAll ends every connection.
func (l *trackedListener) closeAll() { l.closeIf(func(*trackedConn) bool { return true }) }

// closeUnused ends the connections that were opened in advance and never used: there is nothing to wait for.
func (l *trackedListener) closeUnused() {
	l.closeIf(func(c *trackedConn) bool { return !c.used.Load() })
}

func (l *trackedListener) closeIf(choose func(*trackedConn) bool) {
	l.mu.Lock()
	var all []*trackedConn
	for c := range l.open {
		if choose(c) {
			all = append(all, c)
		}
	}
	l.mu.Unlock()
	for _, c := range all {
		c.Conn.Close() // the goroutine that serves it calls trackedConn.Close
	}
}

func (l *trackedListener) wait() { l.gone.Wait() }

type trackedConn struct {
	net.Conn
	owner *trackedListener
	once  sync.Once
	used  atomic.Bool // something was read
}

func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.used.Store(true)
	}
	return n, err
}

// Close ends the connection and takes it off the list.
func (c *trackedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.owner.mu.Lock()
		delete(c.owner.open, c)
		c.owner.mu.Unlock()
		c.owner.gone.Done()
	})
	return err
}
