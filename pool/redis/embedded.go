package redis

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// Embedded is a Redis inside this process, for --dev without a redis-server. It forgets everything when
// it is closed. Its goroutines end before Close returns.
type Embedded struct {
	server *miniredis.Miniredis
}

// StartEmbedded starts one on a free loopback port.
func StartEmbedded() (*Embedded, error) {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true) // else nothing would ever expire
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start in-process redis: %w", err)
	}
	return &Embedded{m}, nil
}

// URL is the address for [Options].
func (e *Embedded) URL() string { return "redis://" + e.server.Addr() }

// Close ends all connections and the server.
func (e *Embedded) Close() { e.server.Close() }
