package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/node/devnode"
)

// server is the redis-server of a run, append-only as docs/redis.md wants it, and a plain connection that
// watches it.
type server struct {
	process *devnode.Redis
	raw     *goredis.Client
}

func startServer(ctx context.Context, dir string, log zerolog.Logger) (*server, error) {
	p, err := devnode.StartRedis(ctx, devnode.RedisOptions{Dir: filepath.Join(dir, "redis"), AppendFsync: "everysec", Log: log})
	if err != nil {
		return nil, fmt.Errorf("%w (is redis-server on PATH? apt-get install redis-server)", err)
	}
	o, err := goredis.ParseURL(p.URL())
	if err != nil {
		p.Kill()
		return nil, err
	}
	s := &server{p, goredis.NewClient(o)}
	// Rewrites of the append-only file fork the server: they are its own affair, not a stall of ours.
	for _, c := range [][2]string{{"slowlog-log-slower-than", "2000"}, {"slowlog-max-len", "10000"}, {"auto-aof-rewrite-percentage", "0"}} {
		if err := s.raw.ConfigSet(ctx, c[0], c[1]).Err(); err != nil {
			return nil, errors.Join(fmt.Errorf("configure redis: %w", err), s.close())
		}
	}
	return s, nil
}

func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(s.raw.Close(), s.process.Stop(ctx))
}

// watch asks Redis for a sign of life every millisecond until the result is called, which returns the
// longest command by the server's own clock and the longest that an answer took, in which the machine's
// other work is contained.
func (s *server) watch(ctx context.Context) (stop func() (command, answer time.Duration, err error), err error) {
	if err := s.raw.Do(ctx, "SLOWLOG", "RESET").Err(); err != nil {
		return nil, fmt.Errorf("reset the slow log: %w", err)
	}
	inner, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var longest time.Duration
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for inner.Err() == nil {
			began := time.Now()
			if s.raw.Ping(inner).Err() == nil {
				longest = max(longest, time.Since(began))
			}
			select {
			case <-inner.Done():
			case <-tick.C:
			}
		}
	}()
	return func() (time.Duration, time.Duration, error) {
		cancel()
		<-done
		slow, err := s.raw.SlowLogGet(ctx, -1).Result()
		if err != nil {
			return 0, 0, fmt.Errorf("read the slow log: %w", err)
		}
		var command time.Duration
		for i := range slow {
			command = max(command, slow[i].Duration)
		}
		return command, longest, nil
	}, nil
}
