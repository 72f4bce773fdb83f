package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/adit-pool/adit/dashboard"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/payout/scheme/prop"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/redis"
)

func serveCommand() *cobra.Command {
	var (
		config string
		dev    bool
		check  bool
		as     string
		o      devOptions
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run pools: Stratum, ledger, payouts and dashboard",
		Example: `  adit serve --dev                     a whole pool on this machine, node and rigs included
  adit serve --dev --fresh             the same, starting anew
  adit serve --config adit.toml        pools on your own nodes and Redis
  adit serve --config adit.toml --role edge,dashboard
  adit serve --config adit.toml --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case dev && as != "":
				return errors.New("--dev runs every role: give --role with --config")
			case dev && config != "":
				return errors.New("give --dev or --config, not both")
			case dev:
				return serveDev(cmd.Context(), o, cmd.OutOrStdout())
			case config == "":
				return errors.New("give --config FILE, or --dev to try it (adit.example.toml is a start)")
			}
			w, err := parseRoles(as)
			if err != nil {
				return err
			}
			cfg, err := loadConfig(config, os.Environ())
			if err != nil {
				return err
			}
			if err := w.check(cfg); err != nil {
				return fmt.Errorf("%s: %w", config, err)
			}
			if check {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is in order: %d pools\n", config, len(cfg.Pool))
				for i := range cfg.Pool {
					if cfg.Pool[i].Scheme == pool.SchemePROP.String() {
						fmt.Fprintf(cmd.OutOrStdout(), "pool %s: %s\n", cfg.Pool[i].ID, prop.Warning)
					}
				}
				return nil
			}
			log := newLog(os.Stderr, cfg.Log.Level, cfg.Log.Format)
			return serve(cmd.Context(), cfg, w, nil, nil, log)
		},
	}
	f := cmd.Flags()
	f.StringVar(&config, "config", "", "configuration file")
	f.StringVar(&as, "role", "", "what this process does: edge, ledger, dashboard, or several with commas (default all)")
	f.BoolVar(&check, "check", false, "check the configuration file and exit")
	f.BoolVar(&dev, "dev", false, "start a node, Redis and three rigs, all in the data directory")
	f.StringVar(&o.DataDir, "data-dir", "adit-data", "with --dev: where everything is kept")
	f.BoolVar(&o.Fresh, "fresh", false, "with --dev: empty the data directory first")
	f.StringVar(&o.Coin, "coin", "bitcoin", "with --dev: bitcoin (btcd simnet) or litecoin (litecoind regtest)")
	f.StringVar(&o.Redis, "redis", "auto", "with --dev: server, embedded, or auto: a server if redis-server is on PATH")
	f.StringVar(&o.Stratum, "stratum-listen", "127.0.0.1:3333", "with --dev: address for miners")
	f.StringVar(&o.Dashboard, "dashboard-listen", "127.0.0.1:8080", "with --dev: address of the dashboard")
	f.Float64Var(&o.Difficulty, "difficulty", 0, "with --dev: least difficulty of rigs that you connect (default 0.01, with litecoin 0.5)")
	f.BoolVar(&o.Rigs, "rigs", true, "with --dev: run the three rigs")
	return cmd
}

// serveDev runs a whole site on this machine.
func serveDev(ctx context.Context, o devOptions, out io.Writer) (err error) {
	began := time.Now()
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return err
	}
	o.DataDir = dir
	logPath := filepath.Join(dir, "adit.log")
	if err := prepareDevDir(o); err != nil {
		return err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := emptyDevDir(o); err != nil {
		return err
	}
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer logFile.Close()
	log := newLog(logFile, "info", "json")

	site, cfg, err := startDev(ctx, o, out, log)
	if err != nil {
		return err
	}
	defer site.stop(log)
	site.began, site.out = began, out
	return serve(ctx, cfg, allRoles, site, out, log)
}

// serve opens everything, runs until ctx ends, and closes in reverse. dev is nil for a configured site;
// out, when not nil, gets a line for each event that matters.
func serve(ctx context.Context, cfg *Config, w roles, dev *devSite, out io.Writer, log zerolog.Logger) (err error) {
	if dev == nil { // --dev holds the lock already
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
		unlock, err := lockDir(cfg.DataDir)
		if err != nil {
			return err
		}
		defer unlock()
	}
	var web net.Listener
	if w.dashboard {
		if web, err = net.Listen("tcp", cfg.Dashboard.Listen); err != nil {
			return fmt.Errorf("dashboard.listen: %w (is another server on that port? choose another)", err)
		}
		defer web.Close()
	}

	var admin net.Listener
	if cfg.Admin.Listen != "" {
		if admin, err = net.Listen("tcp", cfg.Admin.Listen); err != nil {
			return fmt.Errorf("admin.listen: %w", err)
		}
		defer admin.Close()
	}

	redisURL := cfg.Redis.URL
	if redisURL == embeddedRedis {
		embedded, err := redis.StartEmbedded()
		if err != nil {
			return fmt.Errorf("start Redis in process: %w", err)
		}
		defer embedded.Close()
		redisURL = embedded.URL()
	}
	store, err := redis.Open(ctx, redis.Options{URL: redisURL, AllowVolatile: dev != nil, Log: log})
	if err != nil {
		return fmt.Errorf("redis.url: %w", err)
	}
	defer store.Close()

	limitMemory(cfg, dev != nil)
	var rooms []*room
	defer func() {
		for i := len(rooms) - 1; i >= 0; i-- {
			err = errors.Join(err, rooms[i].close())
		}
	}()
	for i := range cfg.Pool {
		r, err := openRoom(ctx, cfg, &cfg.Pool[i], w, store, dev, out, log)
		if err != nil {
			return err
		}
		rooms = append(rooms, r)
	}
	var board *dashboard.Server
	if w.dashboard {
		if board, err = newDashboard(cfg, rooms, log); err != nil {
			return err
		}
	}
	stopCopies, err := serveCopies(&cfg.Ledger, rooms, log)
	if err != nil {
		return err
	}
	if stopCopies != nil {
		defer func() { err = errors.Join(err, stopCopies()) }()
	}
	control, err := startControl(cfg.DataDir, rooms)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, control.stop(ctx))
	}()
	return runSite(ctx, rooms, board, web, admin, dev, out, log)
}

// runSite runs the opened parts until ctx ends or one of them fails for good.
func runSite(ctx context.Context, rooms []*room, board *dashboard.Server, web, admin net.Listener, dev *devSite, out io.Writer, log zerolog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	part := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
				cancel(err)
			}
		})
	}
	for _, r := range rooms {
		part(r.run)
	}
	if board != nil {
		part(func(ctx context.Context) error { return board.Serve(ctx, web) })
	}
	if admin != nil {
		part(func(ctx context.Context) error { return serveAdmin(ctx, admin) })
	}
	if dev != nil {
		part(func(ctx context.Context) error { return dev.accompany(ctx, rooms[0], web.Addr(), log) })
	}
	log.Info().Str(pool.EventField, pool.EventUp).Str("version", version).Int("pools", len(rooms)).Msg("the pool is up")
	<-ctx.Done()
	if out != nil {
		fmt.Fprintln(out, "stopping")
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// newDashboard hands the dashboard what it shows of each pool.
func newDashboard(cfg *Config, rooms []*room, log zerolog.Logger) (*dashboard.Server, error) {
	byID := make(map[string]*room)
	o := dashboard.Options{
		Version: version, Embedded: cfg.Redis.URL == embeddedRedis, NoDoc: redis.ErrNoDoc, BadCursor: redis.ErrCursor, Log: log,
		Live: func(id string) (view.Live, bool) {
			r := byID[id]
			if r == nil || r.edge == nil {
				return view.Live{}, false
			}
			return r.live(), true
		},
		Metrics: func(w io.Writer) {
			for _, r := range rooms {
				r.metrics(w)
			}
		},
	}
	for _, r := range rooms {
		byID[r.cfg.ID] = r
		p := r.chain.Params()
		info := view.PoolInfo{
			ID: r.cfg.ID, Coin: p.Coin, Network: p.Network, Algorithm: p.Algorithm, Symbol: p.Symbol, Decimals: p.Decimals,
			Scheme: r.cfg.Scheme, PPLNSN: strconv.FormatFloat(r.cfg.PPLNSN, 'f', -1, 64), FeePPM: r.cfg.FeePPM,
			Threshold: r.threshold, RewardAddress: r.cfg.RewardAddress, Maturity: p.Maturity,
			Chain: r.chain, Store: r.store, Files: r,
		}
		for i := range r.cfg.Stratum {
			c, addr := &r.cfg.Stratum[i], r.cfg.Stratum[i].Listen
			if i < len(r.listeners) { // an edge runs here: its port may have been chosen by the system
				addr = r.listeners[i].Addr().String()
			}
			if !c.private {
				info.Stratum = append(info.Stratum, c.shown(addr))
			}
		}
		o.Pools = append(o.Pools, info)
	}
	return dashboard.New(o)
}

// lockDir keeps a second server out of a data directory.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0)
		f.Close()
		return nil, fmt.Errorf("data directory %s is in use by adit with pid %s: stop it, or give another directory", dir, strings.TrimSpace(string(pid[:n])))
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0) // only for the message above
	}
	return func() { f.Close() }, nil
}
