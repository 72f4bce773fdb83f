// Package rpc is a JSON-RPC 1.0 client over HTTP for full nodes of btcd's and
// Bitcoin Core's kind. It knows how to ask, how to sign in and how to say what
// went wrong; it knows no method names, no chains and no retries: a caller that
// wants a second try, a second node or a long poll makes its own [Client].
//
// One call is one POST:
//
//	-> {"jsonrpc":"1.0","id":7,"method":"getblockhash","params":[12]}
//	<- {"result":"00…","error":null,"id":7}
//	<- {"result":null,"error":{"code":-8,"message":"…"},"id":7}
//
// The Core family answers a node error with HTTP 500 or 404 and this same body,
// btcd with 200; both are read alike. Every failure is an [*Error] (the node
// understood and said no) or wraps one of [ErrUnreachable], [ErrUnauthorized],
// [ErrTimeout] and [ErrResponse], or the caller's own context.Canceled.
package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout = 10 * time.Second
	// MaxResponse is the largest response body in bytes that is read.
	MaxResponse = 64 << 20
	// idleTimeout is below the time after which nodes close an idle connection
	// themselves (btcd 10 s, Core family 30 s), so that a call is not lost on one.
	idleTimeout = 8 * time.Second
)

// Options says where a node is and how to sign in to it.
type Options struct {
	URL        string        // http://host:port or https://host:port; user and password may stand in it
	User       string        // basic auth; wins over URL and CookieFile
	Password   string        // basic auth, with User
	CookieFile string        // the Core family's .cookie, read when User is empty and again after a 401
	Timeout    time.Duration // for one whole call; 0 is 10 s. A long poll needs a client with a longer one
}

// Client calls one node. It is safe for concurrent use and keeps connections alive.
type Client struct {
	// Static after New.
	http    *http.Client
	url     string // without credentials
	host    string
	auth    *credentials
	timeout time.Duration
	badURL  error // reported by every call

	nextID atomic.Uint64
}

// New returns a client for the node at o.URL. It does no I/O; a URL that cannot
// be used is reported by the first call.
func New(o Options) *Client {
	c := &Client{timeout: o.Timeout}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		// The text of err repeats the URL, which may hold a password.
		c.badURL = fmt.Errorf("%w: the node's url cannot be parsed: want http://host:port", ErrUnreachable)
		return c
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		c.badURL = fmt.Errorf("%w: the node's url needs the form http://host:port", ErrUnreachable)
		return c
	}
	user, password := o.User, o.Password
	if u.User != nil {
		if user == "" {
			user = u.User.Username()
			password, _ = u.User.Password()
		}
		u.User = nil
	}
	c.url, c.host = u.String(), u.Host
	c.auth = &credentials{user: user, password: password, cookieFile: o.CookieFile}
	c.http = &http.Client{
		// A redirect would carry the password to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			// No Proxy: the environment must not send node credentials elsewhere.
			DialContext:           (&net.Dialer{Timeout: min(c.timeout, 5*time.Second), KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   min(c.timeout, 5*time.Second),
			MaxIdleConnsPerHost:   4,
			IdleConnTimeout:       idleTimeout,
			DisableCompression:    true,
			ResponseHeaderTimeout: c.timeout,
		},
	}
	return c
}

// At is a client of another path of the same node, such as /wallet/NAME, over the same connections.
func (c *Client) At(path string) *Client {
	other := &Client{http: c.http, url: c.url, host: c.host, auth: c.auth, timeout: c.timeout, badURL: c.badURL}
	if u, err := url.Parse(c.url); err == nil && c.badURL == nil {
		other.url = u.JoinPath(path).String()
	}
	return other
}

// Host returns host:port of the node, for messages.
func (c *Client) Host() string { return c.host }

// Close closes idle connections. Calls under way go on.
func (c *Client) Close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// Call calls method with params and decodes the result into result, which may
// be nil when only success matters. A JSON null leaves result as it was.
func (c *Client) Call(ctx context.Context, method string, result any, params ...any) error {
	raw, err := c.CallRaw(ctx, nil, method, params...)
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("decode result of %s from %s: %w: %w", method, c.host, ErrResponse, err)
	}
	return nil
}

// Buffer holds one response. The next call with the same Buffer overwrites what
// the former returned. Its zero value is ready.
type Buffer struct{ b bytes.Buffer }

// CallRaw calls method with params and returns the bytes of the result as the
// node sent them, without decoding the body. They lie in buf, or in fresh memory
// when buf is nil. The result has balanced brackets and closed strings, no more:
// the caller's parser must be strict.
func (c *Client) CallRaw(ctx context.Context, buf *Buffer, method string, params ...any) ([]byte, error) {
	if c.badURL != nil {
		return nil, fmt.Errorf("call %s: %w", method, c.badURL)
	}
	if buf == nil {
		buf = new(Buffer)
	}
	if params == nil {
		params = []any{}
	}
	id := c.nextID.Add(1)
	body, err := json.Marshal(request{Version: "1.0", ID: id, Method: method, Params: params})
	if err != nil {
		return nil, fmt.Errorf("encode parameters of %s: %w", method, err)
	}

	callCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status, err := c.post(callCtx, body, &buf.b)
	if err != nil {
		return nil, fmt.Errorf("call %s on %s: %w", method, c.host, c.classify(ctx, callCtx, err))
	}
	result, err := c.read(method, id, status, buf.b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("call %s on %s: %w", method, c.host, err)
	}
	return result, nil
}

type request struct {
	Version string `json:"jsonrpc"`
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

// post sends body and reads the answer into out, a second time when a 401 came
// and the cookie file has changed meanwhile.
func (c *Client) post(ctx context.Context, body []byte, out *bytes.Buffer) (status int, err error) {
	auth, err := c.auth.header()
	if err != nil {
		return 0, err
	}
	status, err = c.postOnce(ctx, auth, body, out)
	if err != nil || status != http.StatusUnauthorized {
		return status, err
	}
	fresh, err := c.auth.refresh(auth)
	if err != nil {
		return 0, err
	}
	if fresh == auth {
		return status, nil
	}
	return c.postOnce(ctx, fresh, body, out)
}

func (c *Client) postOnce(ctx context.Context, auth string, body []byte, out *bytes.Buffer) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.ContentLength > MaxResponse {
		return 0, tooLarge()
	}
	out.Reset()
	if resp.ContentLength > 0 {
		// The length is only a claim: memory beyond 1 MiB follows the bytes.
		out.Grow(int(min(resp.ContentLength, 1<<20)) + bytes.MinRead)
	}
	n, err := out.ReadFrom(io.LimitReader(resp.Body, MaxResponse+1))
	if err != nil {
		return 0, err
	}
	if n > MaxResponse {
		return 0, tooLarge()
	}
	return resp.StatusCode, nil
}

// read turns a status and a body into a result or an error.
func (c *Client) read(method string, id uint64, status int, body []byte) ([]byte, error) {
	switch status {
	case http.StatusUnauthorized:
		return nil, c.auth.rejected()
	case http.StatusForbidden:
		return nil, fmt.Errorf("%w: http status 403: the node does not allow this address (rpcallowip)", ErrUnauthorized)
	case http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%w: http status 503: the node takes no more calls now: %s", ErrUnreachable, snippet(body))
	}
	r, err := locate(body)
	if err != nil {
		return nil, fmt.Errorf("%w: http status %d, %w: %s", ErrResponse, status, err, snippet(body))
	}
	if !isNull(r.err) {
		return nil, nodeError(method, r.err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%w: http status %d without an error: %s", ErrResponse, status, snippet(body))
	}
	if r.result == nil {
		return nil, fmt.Errorf("%w: neither result nor error: %s", ErrResponse, snippet(body))
	}
	if got, err := strconv.ParseUint(string(r.id), 10, 64); err != nil || got != id {
		return nil, fmt.Errorf("%w: it answers call id %s, not %d", ErrResponse, snippet(r.id), id)
	}
	return r.result, nil
}

// classify gives a transport failure its kind. The caller's own cancelling is
// not a failure of the node and keeps its identity.
func (c *Client) classify(caller, call context.Context, err error) error {
	var network net.Error
	switch {
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrUnauthorized), errors.Is(err, ErrResponse):
		return err
	case errors.Is(caller.Err(), context.Canceled):
		return context.Canceled
	case caller.Err() != nil:
		return fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)
	case call.Err() != nil, errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("%w: no answer within %v: %w", ErrTimeout, c.timeout, context.DeadlineExceeded)
	}
	var wrapped *url.Error // repeats method and URL
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
