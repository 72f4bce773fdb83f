package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/payout/desk"
)

// The active ledger role is the only one that writes to the ledger. Other commands ask it by HTTP over a
// socket in its data directory, which only the owner of the directory can open.

// controlSocket is the socket's place in a data directory.
func controlSocket(dataDir string) string { return filepath.Join(dataDir, "control.sock") }

// controlServer answers the commands.
type controlServer struct {
	http *http.Server
	done chan error
}

// startControl answers for rooms.
func startControl(dataDir string, rooms []*room) (*controlServer, error) {
	path := controlSocket(dataDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket (a path of over 100 characters is too long for one): %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("protect the control socket: %w", err)
	}
	mux := http.NewServeMux()
	payoutRoutes(mux, rooms)
	mux.HandleFunc("GET /pools", func(w http.ResponseWriter, r *http.Request) {
		ids := make([]string, 0, len(rooms))
		for _, r := range rooms {
			ids = append(ids, r.cfg.ID)
		}
		reply(w, ids, nil, nil)
	})
	ledgerRoutes(mux, rooms)
	banRoutes(mux, rooms)
	c := &controlServer{http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, done: make(chan error, 1)}
	go func() { c.done <- c.http.Serve(l) }()
	return c, nil
}

// roomOf finds the pool that a request names.
func roomOf(rooms []*room, r *http.Request) (*room, error) {
	for _, room := range rooms {
		if room.cfg.ID == r.PathValue("pool") {
			return room, nil
		}
	}
	return nil, fmt.Errorf("no pool %q here", r.PathValue("pool"))
}

// stop ends the server after the calls under way.
func (c *controlServer) stop(ctx context.Context) error {
	err := c.http.Shutdown(ctx)
	<-c.done
	return err
}

// controlReply is what goes over the socket: the document, and the same as text for a person.
type controlReply struct {
	Error  string          `json:"error,omitempty"`
	Code   int             `json:"code,omitempty"` // exit code that goes with Error, 0 for 1
	Result json.RawMessage `json:"result,omitempty"`
	Text   string          `json:"text,omitempty"`
}

func reply(w http.ResponseWriter, result any, err error, text func(io.Writer) error) {
	var out controlReply
	if result != nil && (err == nil || errors.Is(err, payout.ErrMismatch)) { // what differs is told with the error
		var failed error
		if out.Result, failed = json.Marshal(result); failed == nil && text != nil {
			var b strings.Builder
			failed = text(&b)
			out.Text = b.String()
		}
		err = errors.Join(err, failed)
	}
	if err != nil {
		out = controlReply{Error: err.Error(), Code: desk.Code(err), Result: out.Result, Text: out.Text}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the caller is gone: nobody to tell
}

// callControl asks the server that runs on a data directory.
func callControl(ctx context.Context, dataDir, method, path string) (*controlReply, error) {
	return callControlBody(ctx, dataDir, method, path, nil)
}

// callControlBody is callControl with a body. When the error is the server's, the reply comes with it.
func callControlBody(ctx context.Context, dataDir, method, path string, body io.Reader) (*controlReply, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", controlSocket(dataDir))
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://adit"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no adit serve answers for %s: is it running, and is --data-dir or --config right? (%w)", dataDir, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer of adit serve: %w", err)
	}
	var r controlReply
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("adit serve answered %s", resp.Status)
	}
	if r.Error != "" {
		return &r, &exitError{errors.New(r.Error), max(r.Code, 1)}
	}
	return &r, nil
}
