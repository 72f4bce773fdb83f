package devnode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// maxSocketPath is what the kernel takes, less its closing zero.
const maxSocketPath = 103

// RedisOptions says how to run redis-server.
type RedisOptions struct {
	Binary      string // path or name; empty: redis-server on PATH
	Dir         string // append-only file, log, configuration and pid file; made when missing
	Listen      string // loopback host:port; empty: a free port
	UnixSocket  string // path: listen there and on no port
	AppendFsync string // "always" or "everysec"; empty: "always"
	Args        []string
	Log         zerolog.Logger
}

// Redis is a running redis-server.
type Redis struct {
	*child

	// Static after start.
	url      string
	network  string
	addr     string
	password string
}

// URL returns redis://:password@host:port/0, or unix://:password@/path?db=0.
// The password is new at every start.
func (r *Redis) URL() string { return r.url }

// StartRedis starts an append-only redis-server and returns when it answers and
// has loaded its data. ctx bounds the start only; it runs until Stop or Kill.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	dir, err := prepareDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("prepare the directory of redis-server: %w", err)
	}
	if o.Binary == "" {
		o.Binary = "redis-server"
	}
	switch o.AppendFsync {
	case "":
		o.AppendFsync = "always"
	case "always", "everysec":
	default:
		return nil, fmt.Errorf("appendfsync %q: want always or everysec", o.AppendFsync)
	}
	if o.UnixSocket == "" {
		return withPort(o.Listen, func(addr string) (*Redis, error) {
			return startRedis(ctx, o, dir, "tcp", addr)
		})
	}
	socket, err := filepath.Abs(o.UnixSocket)
	if err != nil {
		return nil, fmt.Errorf("socket of redis-server: %w", err)
	}
	if len(socket) > maxSocketPath {
		return nil, fmt.Errorf("socket path %s: longer than %d bytes", socket, maxSocketPath)
	}
	return startRedis(ctx, o, dir, "unix", socket)
}

func startRedis(ctx context.Context, o RedisOptions, dir, network, addr string) (*Redis, error) {
	password := newPassword()
	r := &Redis{network: network, addr: addr, password: password}
	var listen string
	if network == "unix" {
		listen = fmt.Sprintf("port 0\nunixsocket %s\nunixsocketperm 700\n", strconv.Quote(addr))
		r.url = (&url.URL{Scheme: "unix", User: url.UserPassword("", password), Path: addr, RawQuery: "db=0"}).String()
	} else {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("listen address: %w", err)
		}
		listen = fmt.Sprintf("bind %s\nport %s\n", host, port)
		r.url = (&url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: addr, Path: "/0"}).String()
	}
	config := filepath.Join(dir, "redis.conf")
	text := listen + fmt.Sprintf("requirepass %s\ndir %s\nappendonly yes\nappendfsync %s\nsave \"\"\nmaxmemory-policy noeviction\ndaemonize no\n",
		password, strconv.Quote(dir), o.AppendFsync)
	if err := writePrivate(config, text); err != nil {
		return nil, fmt.Errorf("write configuration of redis-server: %w", err)
	}
	c, err := startChild(spec{
		name: "redis-server", binary: o.Binary, dir: dir, args: append([]string{config}, o.Args...), log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	r.child = c
	if err := c.ready(ctx, r.ping); err != nil {
		return nil, err
	}
	return r, nil
}

// ping signs in and asks for a sign of life; -LOADING is not one.
func (r *Redis) ping(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, r.network, r.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", r.password); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(conn, 512)
	for _, want := range []string{"+OK", "+PONG"} {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(string(line)); got != want {
			return errors.New("redis-server answers " + strconv.Quote(got))
		}
	}
	return nil
}
