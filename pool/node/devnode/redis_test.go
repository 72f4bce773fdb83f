package devnode

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool/node/devnode/devnodetest"
)

// ask sends commands after signing in and returns the last answer's first line,
// and for a bulk string its text.
func ask(t *testing.T, r *Redis, commands ...string) string {
	t.Helper()
	conn, err := net.Dial(r.network, r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	answer := ""
	for _, command := range append([]string{"AUTH " + r.password}, commands...) {
		fmt.Fprintf(conn, "%s\r\n", command)
		if answer, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if answer[0] == '$' && answer != "$-1\r\n" {
			answer, _ = lines.ReadString('\n')
		}
	}
	return strings.TrimSpace(answer)
}

func TestRedisKeepsWhatItAcknowledged(t *testing.T) {
	// A short path: socket names are bounded.
	sockets, err := os.MkdirTemp("", "adit")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	f := func(o RedisOptions) {
		t.Helper()
		o.Binary = devnodetest.Redis(t)
		o.Dir = filepath.Join(t.TempDir(), `with "quote" and space`)
		r, err := StartRedis(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Kill)
		u, err := url.Parse(r.URL())
		if password, _ := u.User.Password(); err != nil || password != r.password {
			t.Errorf("%s: %v", r.URL(), err)
		}
		if got := ask(t, r, "SET k one"); got != "+OK" {
			t.Errorf("SET: %s", got)
		}
		if o.AppendFsync == "everysec" {
			if err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else {
			r.Kill()
		}
		if r, err = StartRedis(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Kill)
		if got := ask(t, r, "GET k"); got != "one" {
			t.Errorf("GET after restart: %s", got)
		}
	}
	f(RedisOptions{})
	f(RedisOptions{AppendFsync: "everysec", UnixSocket: filepath.Join(sockets, "redis.sock")})
}

func TestRedisNeedsThePassword(t *testing.T) {
	r, err := StartRedis(t.Context(), RedisOptions{Binary: devnodetest.Redis(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "PING\r\n")
	if line, _ := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "-NOAUTH") {
		t.Errorf("without a password: %q", line)
	}
}

func TestRedisOptionsAreChecked(t *testing.T) {
	f := func(o RedisOptions) {
		t.Helper()
		o.Dir = t.TempDir()
		if r, err := StartRedis(t.Context(), o); err == nil {
			r.Kill()
			t.Errorf("%+v starts", o)
		}
	}
	f(RedisOptions{AppendFsync: "no"})
	f(RedisOptions{UnixSocket: "/" + strings.Repeat("x", maxSocketPath)})
	f(RedisOptions{Listen: "0.0.0.0:0"})
	f(RedisOptions{Binary: "no-such-redis"})
	if _, err := StartRedis(t.Context(), RedisOptions{}); err == nil {
		t.Error("starts without a directory")
	}
}
