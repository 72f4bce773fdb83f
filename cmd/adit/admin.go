package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"
)

// AdminConfig is the listener for profiles of the running process.
type AdminConfig struct {
	Listen string `toml:"listen"`
}

// check refuses an address that others than this host could reach: profiles show memory.
func (c *AdminConfig) check() error {
	if c.Listen == "" {
		return nil
	}
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("admin.listen %q: give a loopback address such as 127.0.0.1:6060 (no name), or none", c.Listen)
	}
	return nil
}

// adminHandler serves Go's profiles to programs on this host. A browser that was led here under another name
// is refused, as is whatever could come from a page.
func adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		at, err := netip.ParseAddr(host)
		if local := err == nil && at.IsLoopback() || host == "localhost"; !local || r.Header.Get("Origin") != "" {
			http.Error(w, "only from this host, by its loopback address", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serveAdmin answers on ln until ctx ends; a profile under way is cut off.
func serveAdmin(ctx context.Context, ln net.Listener) error {
	server := &http.Server{Handler: adminHandler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve admin.listen: %w", err)
	case <-ctx.Done():
	}
	err := server.Close()
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
