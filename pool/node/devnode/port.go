package devnode

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
)

const (
	rpcUser      = "adit"
	portAttempts = 5
)

var errPortTaken = errors.New("port is taken")

// freePort returns a loopback address that was free a moment ago. Another
// process may take it first, so whoever uses it tries again on errPortTaken.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// withPort calls start with listen, or with a free port when listen is empty,
// then again with another one when the port was lost in between.
func withPort[T any](listen string, start func(addr string) (T, error)) (T, error) {
	var none T
	if listen != "" {
		host, _, err := net.SplitHostPort(listen)
		if err != nil {
			return none, fmt.Errorf("listen address: %w", err)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return none, fmt.Errorf("listen address %s: a development node listens on loopback only", listen)
		}
		return start(listen)
	}
	var last error
	for range portAttempts {
		addr, err := freePort()
		if err != nil {
			return none, err
		}
		t, err := start(addr)
		if !errors.Is(err, errPortTaken) {
			return t, err
		}
		last = err
	}
	return none, last
}

// portTaken reports whether output says that a listener could not be opened.
func portTaken(output string) bool {
	output = strings.ToLower(output)
	for _, words := range []string{"address already in use", "unable to bind any endpoint for rpc server"} {
		if strings.Contains(output, words) {
			return true
		}
	}
	return false
}

// newPassword returns 128 random bits in hex.
func newPassword() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
