package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// ErrBadURL reports an address that is not in one of the forms of ParseURL. Its text never holds the
// password.
var ErrBadURL = errors.New("bad redis url")

// ParseURL checks an address without connecting. The forms, each also as rediss for TLS:
//
//	redis://[user:password@]host[:6379][/db]
//	redis+sentinel://[user:password@]host[:26379],…/master-name[?db=0&sentinel_user=u&sentinel_password=p]
//	redis+cluster://[user:password@]host[:6379],…
func ParseURL(s string) error {
	_, err := parseURL(s)
	return err
}

func parseURL(s string) (*goredis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return nil, fmt.Errorf("%w: no scheme, want redis://host:port", ErrBadURL)
	}
	o := &goredis.UniversalOptions{}
	secure, kind, _ := strings.Cut(scheme, "+")
	switch secure {
	case "redis":
	case "rediss":
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, fmt.Errorf("%w: scheme %q, want redis, rediss, redis+sentinel or redis+cluster", ErrBadURL, scheme)
	}
	port := "6379"
	switch kind {
	case "":
	case "sentinel":
		port = "26379"
	case "cluster":
		o.IsClusterMode = true
	default:
		return nil, fmt.Errorf("%w: scheme %q, want redis, rediss, redis+sentinel or redis+cluster", ErrBadURL, scheme)
	}

	// net/url knows no list of hosts: the authority is cut out by hand.
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, tail := rest[:end], rest[end:]
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		user, password, _ := strings.Cut(hosts[:i], ":")
		hosts = hosts[i+1:]
		var err1, err2 error
		o.Username, err1 = url.PathUnescape(user)
		o.Password, err2 = url.PathUnescape(password)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%w: user or password holds a %% that is not an escape; write it as %%25", ErrBadURL)
		}
	}
	for _, h := range strings.Split(hosts, ",") {
		addr, err := hostPort(h, port)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, addr)
	}
	if kind == "" && len(o.Addrs) > 1 {
		return nil, fmt.Errorf("%w: several hosts need redis+sentinel or redis+cluster", ErrBadURL)
	}

	u, err := url.Parse(tail)
	if err != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: cannot read what follows the host", ErrBadURL)
	}
	path := strings.Trim(u.Path, "/")
	switch {
	case kind == "sentinel" && path == "":
		return nil, fmt.Errorf("%w: sentinel needs the master's name, redis+sentinel://host:26379/NAME", ErrBadURL)
	case kind == "sentinel":
		o.MasterName = path
	case kind == "cluster" && path != "":
		return nil, fmt.Errorf("%w: a cluster has no numbered databases", ErrBadURL)
	case path != "":
		if o.DB, err = parseDB(path); err != nil {
			return nil, err
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot read what follows the '?'", ErrBadURL)
	}
	for name, v := range query {
		if kind != "sentinel" {
			return nil, fmt.Errorf("%w: unknown option %q", ErrBadURL, name)
		}
		switch name {
		case "db":
			if o.DB, err = parseDB(v[0]); err != nil {
				return nil, err
			}
		case "sentinel_user":
			o.SentinelUsername = v[0]
		case "sentinel_password":
			o.SentinelPassword = v[0]
		default:
			return nil, fmt.Errorf("%w: unknown option %q, want db, sentinel_user or sentinel_password", ErrBadURL, name)
		}
	}
	return o, nil
}

func parseDB(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 15)
	if err != nil {
		return 0, fmt.Errorf("%w: database %q is not a small number", ErrBadURL, s)
	}
	return int(n), nil
}

// hostPort completes host, host:port, [v6] or [v6]:port.
func hostPort(s, port string) (string, error) {
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	} else if strings.ContainsAny(s, ":[]") {
		return "", fmt.Errorf("%w: host %q, want host or host:port", ErrBadURL, s)
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n") {
		return "", fmt.Errorf("%w: no host", ErrBadURL)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%w: port %q", ErrBadURL, port)
	}
	return net.JoinHostPort(host, port), nil
}
