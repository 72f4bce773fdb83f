package rpc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// credentials makes the Authorization header.
type credentials struct {
	// Static after New.
	user, password, cookieFile string

	mu     sync.Mutex
	cookie string // guarded by mu: the header made from the cookie file, empty before the first read
}

// header returns the header to send; empty means none is configured.
func (c *credentials) header() (string, error) {
	if c.user != "" || c.cookieFile == "" {
		if c.user == "" && c.password == "" {
			return "", nil
		}
		return basic(c.user, c.password), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cookie != "" {
		return c.cookie, nil
	}
	return c.load()
}

// refresh returns the header to try after used was refused, which is used
// itself when there is nothing new. A node writes a new cookie at each start.
func (c *credentials) refresh(used string) (string, error) {
	if c.user != "" || c.cookieFile == "" {
		return used, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cookie != used && c.cookie != "" {
		return c.cookie, nil // another call has read it meanwhile
	}
	return c.load()
}

// load reads the cookie file; mu is held.
func (c *credentials) load() (string, error) {
	c.cookie = ""
	f, err := os.Open(c.cookieFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: cookie file %s does not exist: the node is not running, or has another data directory", ErrUnreachable, c.cookieFile)
		}
		return "", fmt.Errorf("%w: read cookie file: %w", ErrUnauthorized, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("%w: read cookie file: %w", ErrUnauthorized, err)
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
	if !ok || strings.ContainsAny(password, "\r\n") {
		return "", fmt.Errorf("%w: cookie file %s does not hold user:password", ErrUnauthorized, c.cookieFile)
	}
	c.cookie = basic(user, password)
	return c.cookie, nil
}

// rejected says what to look at after a 401.
func (c *credentials) rejected() error {
	switch {
	case c.user != "":
		return fmt.Errorf("%w: http status 401: check user %q and its password against the node's rpcuser and rpcpassword (rpcpass)", ErrUnauthorized, c.user)
	case c.cookieFile != "":
		return fmt.Errorf("%w: http status 401: cookie file %s belongs to another node or an earlier start", ErrUnauthorized, c.cookieFile)
	}
	return fmt.Errorf("%w: http status 401: no user, password or cookie file is configured", ErrUnauthorized)
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
