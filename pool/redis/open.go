package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"

	goredis "github.com/redis/go-redis/v9"
)

var (
	// ErrVolatile reports a server that would forget: no persistence, or a policy that evicts keys.
	ErrVolatile = errors.New("redis is not safe for a ledger")
	// ErrWrongServer reports that the server is another one than the pool was started on before.
	ErrWrongServer = errors.New("redis is not the server this pool was started on")
	// ErrFormat reports data of a newer version.
	ErrFormat = errors.New("redis holds data of a newer adit")
)

// Deadlines of single steps; a shorter one of the caller's context counts too.
const (
	dialTimeout = 3 * time.Second
	ioTimeout   = 5 * time.Second
)

// Options say which server to use.
type Options struct {
	URL           string           // see ParseURL
	AllowVolatile bool             // accept a server without persistence (--dev)
	Now           func() time.Time // clock of the statistics, nil for time.Now
	Log           zerolog.Logger
}

// Redis is a connection to one server, Sentinel set or Cluster. It is safe for concurrent use.
type Redis struct {
	client goredis.UniversalClient // static
	now    func() time.Time        // static
	log    zerolog.Logger          // static
	count  counter
}

// Open connects, and checks that the server keeps what it is given.
func Open(ctx context.Context, o Options) (*Redis, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	u.ClientName = "adit"
	u.Protocol = 2
	u.DisableIdentity = true
	u.DialTimeout, u.ReadTimeout, u.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	u.DialerRetries = 1
	u.ContextTimeoutEnabled = true
	u.MaxRetries = 1 // every write is a compare-and-set or idempotent: the callers' loops do the rest
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	goredis.SetLogger(silent{}) // failures reach the callers as errors; the library would print them again

	r := &Redis{
		client: goredis.NewUniversalClient(u),
		now:    o.Now,
		log:    o.Log,
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.client.AddHook(&r.count)
	if err := r.client.Ping(ctx).Err(); err != nil {
		r.client.Close()
		return nil, fmt.Errorf("connect to redis at %s: %w", u.Addrs[0], err)
	}
	if !o.AllowVolatile {
		if err := r.checkDurable(ctx); err != nil {
			r.client.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close ends all connections.
func (r *Redis) Close() error { return r.client.Close() }

// checkDurable asks every master how it keeps its data.
func (r *Redis) checkDurable(ctx context.Context) error {
	switch c := r.client.(type) {
	case *goredis.ClusterClient:
		return c.ForEachMaster(ctx, func(ctx context.Context, m *goredis.Client) error {
			return r.checkServer(ctx, m)
		})
	case *goredis.Client:
		return r.checkServer(ctx, c)
	}
	return fmt.Errorf("check redis: unexpected client %T", r.client)
}

func (r *Redis) checkServer(ctx context.Context, c *goredis.Client) error {
	config := make(map[string]string)
	for _, name := range []string{"appendonly", "save", "maxmemory-policy"} {
		v, err := c.ConfigGet(ctx, name).Result()
		var refused goredis.Error
		switch {
		case errors.As(err, &refused):
			r.log.Warn().Err(err).Msg("redis does not let adit read its configuration; " +
				"make sure that it has appendonly yes and maxmemory-policy noeviction")
			return nil
		case err != nil:
			return fmt.Errorf("read redis configuration: %w", err)
		}
		config[name] = v[name]
	}
	if config["appendonly"] != "yes" && config["save"] == "" {
		return fmt.Errorf("%w: it has no persistence; run redis-cli CONFIG SET appendonly yes "+
			"and put \"appendonly yes\" into redis.conf", ErrVolatile)
	}
	if p := config["maxmemory-policy"]; p != "noeviction" && p != "" {
		return fmt.Errorf("%w: its maxmemory-policy is %s; run redis-cli CONFIG SET maxmemory-policy noeviction "+
			"and put \"maxmemory-policy noeviction\" into redis.conf", ErrVolatile, p)
	}
	if config["appendonly"] != "yes" {
		r.log.Warn().Msg("redis keeps snapshots only; appendonly yes loses less and restarts with less to send again")
	}
	return nil
}

// randomText returns 2n random hex digits.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// silent drops the client library's own messages.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
