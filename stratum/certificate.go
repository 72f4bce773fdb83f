package stratum

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// certificateLook is how often the files of a certificate are looked at, at most.
const certificateLook = 5 * time.Second

// Certificate is a TLS certificate and key in two PEM files, read again when either changes. One that
// cannot be read leaves the one before in use.
type Certificate struct {
	// Static after construction.
	certFile, keyFile string
	log               zerolog.Logger

	mu      sync.Mutex // guards all below
	pair    *tls.Certificate
	stamp   [2]stamp
	looked  time.Time
	failing bool
}

// stamp tells one content of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

// OpenCertificate reads both files.
func OpenCertificate(certFile, keyFile string, log zerolog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	now, err := c.stamps()
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with key %s: %w", certFile, keyFile, err)
	}
	c.pair, c.stamp, c.looked = &pair, now, time.Now()
	return c, nil
}

// Config is for Options.TLS.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return c.current(time.Now()), nil
	}}
}

func (c *Certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < certificateLook {
		return c.pair
	}
	c.looked = now
	stamps, err := c.stamps()
	if err == nil && stamps == c.stamp {
		return c.pair
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	if err != nil {
		if !c.failing { // once until it works again; the two files may be replaced one after the other
			c.log.Warn().Err(err).Str("certificate", c.certFile).Msg("the changed certificate cannot be used yet; the one before stays in use")
		}
		c.failing = true
		return c.pair
	}
	c.pair, c.stamp, c.failing = &pair, stamps, false
	c.log.Info().Str("certificate", c.certFile).Msg("certificate read again")
	return c.pair
}

func (c *Certificate) stamps() (s [2]stamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		st, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = stamp{st.ModTime(), st.Size()}
	}
	return s, nil
}
