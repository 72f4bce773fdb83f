package web

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	limitWindow = time.Minute
	maxClients  = 65_536 // counted one by one in a window; the rest share one count
)

// Limiter counts the requests of each client in windows of a minute. A client is an IPv4 address or an
// IPv6 /64. Loopback is not counted: a proxy on this machine speaks for everybody. The zero PerMinute
// counts nothing. It is safe for concurrent use.
type Limiter struct {
	PerMinute int // static

	mu     sync.Mutex
	window int64              // guarded by mu; number of the present window
	seen   map[netip.Addr]int // guarded by mu
	others int                // guarded by mu
}

// Allow counts one request, says by RateLimit headers (draft-ietf-httpapi-ratelimit-headers) how much is
// left, and reports whether it may be answered.
func (l *Limiter) Allow(r Request, now time.Time) bool {
	if l.PerMinute <= 0 {
		return true
	}
	at, _ := netip.AddrFromSlice(r.RemoteIP())
	at = at.Unmap()
	n := 0
	if !at.IsLoopback() {
		n = l.count(at, now.UnixNano()/int64(limitWindow))
	}
	reset := int64(limitWindow/time.Second) - now.Unix()%int64(limitWindow/time.Second)
	h := &r.Response.Header
	h.Set("RateLimit-Policy", fmt.Sprintf(`"requests";q=%d;w=%d`, l.PerMinute, int64(limitWindow/time.Second)))
	h.Set("RateLimit", fmt.Sprintf(`"requests";r=%d;t=%d`, max(l.PerMinute-n, 0), reset))
	if n <= l.PerMinute {
		return true
	}
	r.Problem(Problem{Status: fasthttp.StatusTooManyRequests, Detail: fmt.Sprintf("more than %d requests in a minute", l.PerMinute)})
	h.Set("Retry-After", fmt.Sprint(reset))
	return false
}

// count is how many requests the client has sent in this window.
func (l *Limiter) count(at netip.Addr, window int64) int {
	if at.Is6() {
		if p, err := at.Prefix(64); err == nil {
			at = p.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window != window || l.seen == nil {
		l.window, l.seen, l.others = window, make(map[netip.Addr]int), 0
	}
	if n, ok := l.seen[at]; ok || len(l.seen) < maxClients {
		l.seen[at] = n + 1
		return n + 1
	}
	l.others++
	return l.others
}
