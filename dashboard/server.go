package dashboard

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/dashboard/api"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
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
	maxConns     = 8192             // open at once, live streams included
	perMinute    = 1200             // requests of one client
	drainTime    = 5 * time.Second  // for requests in flight when the server ends
)

// Server answers for all pools. It is safe for concurrent use.
type Server struct {
	opts    Options          // static
	now     func() time.Time // static
	log     zerolog.Logger   // static
	board   *view.Board      // static
	api     *api.API         // static
	events  *api.Events      // static
	assets  *assets          // static
	pages   *pages           // static
	limiter web.Limiter
	started time.Time // static
	meter   meter
}

// New checks the options and prepares assets and templates.
func New(o Options) (*Server, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("load the dashboard's assets: %w", err)
	}
	return newServer(o, a)
}

func newServer(o Options, a *assets) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == 0 {
		o.Tick = api.Tick
	}
	if o.PerMinute == 0 {
		o.PerMinute = perMinute
	}
	board, err := view.New(view.Options{Pools: o.Pools, NoDoc: o.NoDoc, BadCursor: o.BadCursor, Live: o.Live, MaxJobAge: o.MaxJobAge, Log: o.Log, Now: o.Now})
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, now: o.Now, log: o.Log, board: board, assets: a, started: o.Now(), limiter: web.Limiter{PerMinute: o.PerMinute}}
	s.events = api.NewEvents(board, o.Tick)
	s.api = api.New(board, o.Version, s.events)
	s.meter.make()
	if s.pages, err = loadPages(s); err != nil {
		return nil, fmt.Errorf("load the dashboard's pages: %w", err)
	}
	return s, nil
}

// Serve, called once, answers on ln until ctx ends, then lets requests in flight finish, for at most five seconds. It
// closes ln and returns when every goroutine it started is done; the error is nil after a drain.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer s.board.Close()
	live, endLive := context.WithCancel(context.WithoutCancel(ctx))
	var ticker sync.WaitGroup
	ticker.Go(func() { s.events.Run(live) })
	defer ticker.Wait()
	defer endLive()
	conns := &trackedListener{Listener: ln, max: maxConns}
	server := &fasthttp.Server{
		Handler:               func(c *fasthttp.RequestCtx) { s.handle(web.Request{RequestCtx: c}) },
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
		endLive()
		ticker.Wait()
		drain, done := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		err = server.ShutdownWithContext(drain)
		done()
		if err != nil {
			s.log.Debug().Err(err).Msg("dashboard requests were cut off")
		}
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
