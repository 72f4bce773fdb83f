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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node starts a server that answers every call with status and body; %d in body
// becomes the call's id.
func node(t *testing.T, status int, body string) *Client {
	t.Helper()
	return serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		var q request
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Errorf("request: %v", err)
		}
		w.WriteHeader(status)
		io.WriteString(w, strings.ReplaceAll(body, "%d", fmt.Sprint(q.ID)))
	})
}

func serve(t *testing.T, o Options, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.URL = s.URL
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func TestCall(t *testing.T) {
	c := serve(t, Options{User: "u", Password: "p:w"}, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "u" || password != "p:w" || r.Method != http.MethodPost {
			t.Errorf("%s by %q %q", r.Method, user, password)
		}
		body, _ := io.ReadAll(r.Body)
		if want := `{"jsonrpc":"1.0","id":1,"method":"getblockhash","params":[12,"00ff",{"a":["b\"c"]}]}`; string(body) != want {
			t.Errorf("sent %s\nwant %s", body, want)
		}
		io.WriteString(w, `{"result":"00ab","error":null,"id":1}`+"\n")
	})
	var hash string
	if err := c.Call(t.Context(), "getblockhash", &hash, 12, "00ff", map[string]any{"a": []string{`b"c`}}); err != nil || hash != "00ab" {
		t.Fatalf("%q %v", hash, err)
	}
}

func TestCallSendsEmptyParams(t *testing.T) {
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !bytes.Contains(body, []byte(`"params":[]`)) {
			t.Errorf("sent %s", body)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("sent credentials that nobody configured")
		}
		io.WriteString(w, `{"result":null,"error":null,"id":1}`)
	})
	if err := c.Call(t.Context(), "uptime", nil); err != nil {
		t.Fatal(err)
	}
}

func TestNodeError(t *testing.T) {
	f := func(status int, body string, code int, message string) {
		t.Helper()
		err := node(t, status, body).Call(t.Context(), "submitblock", nil)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%v is no *Error", err)
		}
		if e.Code != code || e.Message != message || e.Method != "submitblock" {
			t.Errorf("got %+v", e)
		}
	}
	f(200, `{"jsonrpc":"1.0","result":null,"error":{"code":-22,"message":"Block decode failed"},"id":%d}`, -22, "Block decode failed")
	f(500, `{"result":null,"error":{"code":-10,"message":"Litecoin is in initial sync"},"id":%d}`, CodeInitialSync, "Litecoin is in initial sync")
	f(404, `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":%d}`, CodeMethodNotFound, "Method not found")
	f(400, `{"error":"bad batch","id":null}`, 0, "bad batch")
	f(200, `{"error":{"code":-1,"message":"a\nlevel=error \u001b[31m"},"id":null}`, -1, "a level=error  [31m")
	f(500, `{"error":{"code":-1,"message":"`+strings.Repeat("x", 9000)+`"}}`, -1, strings.Repeat("x", 512))
}

func TestUnusableResponse(t *testing.T) {
	f := func(status int, body string, kind error) {
		t.Helper()
		var n int
		err := node(t, status, body).Call(t.Context(), "getblockcount", &n)
		if !errors.Is(err, kind) {
			t.Errorf("%d %q: %v, want kind %v", status, body, err, kind)
		}
		var e *Error
		if errors.As(err, &e) {
			t.Errorf("%d %q passes for a node error: %v", status, body, err)
		}
	}
	f(200, ``, ErrResponse)
	f(200, `<html>`, ErrResponse)
	f(400, "Client sent an HTTP request to an HTTPS server.\n", ErrResponse)
	f(200, `[]`, ErrResponse)
	f(200, `{}`, ErrResponse)
	f(200, `{"result":1,"error":null,"id":%d`, ErrResponse)
	f(200, `{"result":1,"error":null,"id":%d} x`, ErrResponse)
	f(200, `{"result":1,"error":null,"id":9%d}`, ErrResponse)
	f(200, `{"result":1,"error":null}`, ErrResponse)
	f(200, `{"result":1,"result":2,"error":null,"id":%d}`, ErrResponse)
	f(200, `{"result":"one","error":null,"id":%d}`, ErrResponse)
	f(200, `{"result":nonsense,"error":null,"id":%d}`, ErrResponse)
	f(200, `{"result":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`,"id":%d}`, ErrResponse)
	f(500, `{"result":1,"error":null,"id":%d}`, ErrResponse)
	f(500, `{"result":null,"error":[1],"id":%d}`, ErrResponse)
	f(302, ``, ErrResponse)
	f(401, ``, ErrUnauthorized)
	f(403, ``, ErrUnauthorized)
	f(503, `Work queue depth exceeded`, ErrUnreachable)
}

func TestTooLarge(t *testing.T) {
	for _, declared := range []bool{true, false} {
		c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if declared {
				w.Header().Set("Content-Length", fmt.Sprint(MaxResponse+1))
			}
			chunk := bytes.Repeat([]byte(" "), 1<<20)
			for range MaxResponse>>20 + 1 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
		if err := c.Call(t.Context(), "getblocktemplate", nil); !errors.Is(err, ErrResponse) {
			t.Errorf("declared %v: %v", declared, err)
		}
	}
}

func TestBodyCutByNode(t *testing.T) {
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"result":`)
	})
	if err := c.Call(t.Context(), "uptime", nil); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	f := func(url string) {
		t.Helper()
		c := New(Options{URL: url})
		defer c.Close()
		err := c.Call(t.Context(), "uptime", nil)
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", url, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the message shows the password: %v", err)
		}
	}
	f("http://u:secret@" + l.Addr().String())
	f("")
	f("localhost:8332")
	f("ftp://u:secret@localhost")
	f("http://u:secret@localhost:x")
	f("http://u:secret\x7f@localhost")
}

func TestTimeout(t *testing.T) {
	hold := make(chan struct{})
	c := serve(t, Options{Timeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush() // the head in time, the body never
		<-hold
	})
	defer close(hold)
	err := c.Call(t.Context(), "getblocktemplate", nil)
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("own timeout: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Call(ctx, "uptime", nil); !errors.Is(err, ErrTimeout) {
		t.Errorf("caller's deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	err = c.Call(ctx, "uptime", nil)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnreachable) {
		t.Errorf("caller cancelled: %v", err)
	}
}

func TestCookie(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".cookie")
	write := func(password string) {
		if err := os.WriteFile(file, []byte("__cookie__:"+password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var want atomic.Value
	var calls atomic.Int32
	c := serve(t, Options{CookieFile: file}, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if _, password, _ := r.BasicAuth(); password != want.Load() {
			w.WriteHeader(401)
			return
		}
		var q request
		json.NewDecoder(r.Body).Decode(&q)
		fmt.Fprintf(w, `{"result":1,"error":null,"id":%d}`, q.ID)
	})
	want.Store("one")
	err := c.Call(t.Context(), "uptime", nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), file) {
		t.Errorf("no cookie file: %v", err)
	}
	write("one")
	if err := c.Call(t.Context(), "uptime", nil); err != nil {
		t.Errorf("cookie: %v", err)
	}
	want.Store("two") // the node restarts with a new cookie
	write("two")
	calls.Store(0)
	if err := c.Call(t.Context(), "uptime", nil); err != nil || calls.Load() != 2 {
		t.Errorf("new cookie: %v after %d calls", err, calls.Load())
	}
	want.Store("three")
	calls.Store(0)
	err = c.Call(t.Context(), "uptime", nil)
	if !errors.Is(err, ErrUnauthorized) || calls.Load() != 1 {
		t.Errorf("stale cookie file: %v after %d calls", err, calls.Load())
	}
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Call(t.Context(), "uptime", nil); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("cookie without colon: %v", err)
	}
}

func TestCredentialsInURL(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "secret" {
			t.Errorf("%q %q", user, password)
		}
		w.WriteHeader(401)
	}))
	defer s.Close()
	c := New(Options{URL: strings.Replace(s.URL, "http://", "http://u:secret@", 1)})
	defer c.Close()
	err := c.Call(t.Context(), "uptime", nil)
	if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestCallRawReusesBuffer(t *testing.T) {
	c := node(t, 200, `{"result":{"transactions":["`+strings.Repeat("ab", 50_000)+`"]},"error":null,"id":%d}`)
	var buf Buffer
	first, err := c.CallRaw(t.Context(), &buf, "getblocktemplate")
	if err != nil || len(first) < 100_000 || first[0] != '{' || first[len(first)-1] != '}' {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	at := &first[0]
	second, err := c.CallRaw(t.Context(), &buf, "getblocktemplate")
	if err != nil || &second[0] != at {
		t.Errorf("the second call did not use the same memory (%v)", err)
	}
}

func TestKeepAlive(t *testing.T) {
	var remotes sync.Map
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		remotes.Store(r.RemoteAddr, true)
		var q request
		json.NewDecoder(r.Body).Decode(&q)
		fmt.Fprintf(w, `{"result":1,"id":%d}`, q.ID)
	})
	for range 5 {
		if err := c.Call(t.Context(), "uptime", nil); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	remotes.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d connections for 5 calls", n)
	}
}

func TestParametersThatCannotBeSent(t *testing.T) {
	c := serve(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	if err := c.Call(t.Context(), "uptime", nil, func() {}); err == nil {
		t.Error("a function was sent")
	}
}
