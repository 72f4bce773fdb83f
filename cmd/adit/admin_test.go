package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAdminAddress(t *testing.T) {
	for listen, ok := range map[string]bool{
		"": true, "127.0.0.1:6060": true, "127.9.9.9:1": true, "[::1]:6060": true,
		"0.0.0.0:6060": false, ":6060": false, "[::]:6060": false, "10.0.0.1:6060": false, "localhost:6060": false, "127.0.0.1": false,
		"[::ffff:10.0.0.1]:1": false, "example.org:6060": false, "x": false,
	} {
		c := AdminConfig{listen}
		if err := c.check(); (err == nil) != ok {
			t.Errorf("%q: %v", listen, err)
		}
	}
}

func TestAdmin(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serveAdmin(ctx, ln) }()
	at := ln.Addr().String()
	_, port, _ := net.SplitHostPort(at)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	f := func(host, path, origin string, status int, holds string) {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || !strings.Contains(string(b), holds) {
			t.Errorf("%s %s from %q: %d %.80s", host, path, origin, resp.StatusCode, b)
		}
	}
	f(at, "/debug/pprof/goroutine?debug=1", "", 200, "serveAdmin")
	f("localhost:"+port, "/debug/pprof/", "", 200, "heap")
	f("[::1]:"+port, "/debug/pprof/cmdline", "", 200, "")
	f("evil.example:"+port, "/debug/pprof/cmdline", "", 403, "loopback")
	f(at, "/debug/pprof/cmdline", "http://evil.example", 403, "loopback")
	f(at, "/metrics", "", 404, "")
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
