package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/all"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	chains "github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/node/devnode"
	"github.com/adit-pool/adit/worker"
)

// devOptions are the flags of `adit serve --dev`.
type devOptions struct {
	DataDir    string
	Fresh      bool
	Coin       string
	Redis      string // auto, server or embedded
	Stratum    string
	Dashboard  string
	Difficulty float64 // least, for other rigs than the three; 0: devDifficulty
	Rigs       bool
}

// devSite is what --dev adds around a pool: a full node and Redis as children, a key, three rigs.
type devSite struct {
	options devOptions
	node    *devnode.Node
	redis   *devnode.Redis // nil: in process
	state   devState
	began   time.Time // of the start
	out     io.Writer // for the person at the terminal
}

// devBlocksPerSecond is what the rigs are held to: faster blocks than 6 a second would make the chain's
// clock run ahead, and 2 016 of them multiply simnet's difficulty by 4.
const devBlocksPerSecond = 2.5

// devReportEvery keeps the pages' figures fresh on a chain with blocks every second.
const devReportEvery = 2 * time.Second

// devMarker is a file that says a data directory belongs to --dev and may be removed by --fresh.
const devMarker = "dev.json"

// devState is the marker's content: where everything is, for programs that work with a --dev site. The
// node's password in it is new at every start.
type devState struct {
	Coin          string `json:"coin"`
	RewardAddress string `json:"reward_address,omitempty"`
	Dashboard     string `json:"dashboard,omitempty"`
	Stratum       string `json:"stratum,omitempty"`
	NodeURL       string `json:"node_url,omitempty"`
	NodeUser      string `json:"node_user,omitempty"`
	NodePassword  string `json:"node_password,omitempty"`
}

// prepareDevDir makes the data directory, and refuses one that is not --dev's own.
func prepareDevDir(o devOptions) error {
	marker := filepath.Join(o.DataDir, devMarker)
	entries, err := os.ReadDir(o.DataDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the data directory: %w", err)
	}
	if _, err := os.Stat(marker); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty and not a directory of --dev: give another --data-dir", o.DataDir)
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	return writeDevState(o.DataDir, devState{Coin: o.Coin})
}

// emptyDevDir does what --fresh asks for. The caller holds the directory's lock.
func emptyDevDir(o devOptions) error {
	if !o.Fresh {
		b, err := os.ReadFile(filepath.Join(o.DataDir, devMarker))
		var s devState
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w (--fresh starts anew)", devMarker, err)
		}
		if s.Coin != o.Coin {
			return fmt.Errorf("%s holds a %s site: give another --data-dir, or --fresh to start anew", o.DataDir, s.Coin)
		}
		return nil
	}
	entries, err := os.ReadDir(o.DataDir)
	if err != nil {
		return fmt.Errorf("start anew: %w", err)
	}
	for _, e := range entries {
		if e.Name() == "lock" || e.Name() == devMarker {
			continue
		}
		if err := os.RemoveAll(filepath.Join(o.DataDir, e.Name())); err != nil {
			return fmt.Errorf("start anew: %w", err)
		}
	}
	return writeDevState(o.DataDir, devState{Coin: o.Coin})
}

func writeDevState(dir string, s devState) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, devMarker), append(b, '\n'), 0o600)
}

// startDev starts the children and returns the configuration that uses them. On an error nothing runs.
func startDev(ctx context.Context, o devOptions, out io.Writer, log zerolog.Logger) (_ *devSite, _ *Config, err error) {
	if o.Difficulty == 0 {
		o.Difficulty = devDifficulty(o.Coin)
	}
	site := &devSite{options: o}
	defer func() {
		if err != nil {
			site.stop(log)
		}
	}()

	redisURL, err := site.startRedis(ctx, o, log)
	if err != nil {
		return nil, nil, err
	}
	network, err := site.startNode(ctx, o, out, log)
	if err != nil {
		return nil, nil, err
	}
	chain, err := chains.Find(o.Coin, network)
	if err != nil {
		return nil, nil, err
	}
	if chain.Params().Mainnet {
		return nil, nil, fmt.Errorf("--dev refuses %s mainnet", o.Coin)
	}
	keyFile := filepath.Join(o.DataDir, "payout.key")
	reward, err := devKey(keyFile, chain)
	if err != nil {
		return nil, nil, err
	}
	site.state = devState{
		Coin: o.Coin, RewardAddress: reward, NodeURL: site.node.URL(), NodeUser: site.node.User(), NodePassword: site.node.Password(),
	}

	cfg := &Config{
		DataDir:   o.DataDir,
		Redis:     RedisConfig{URL: redisURL},
		Edge:      EdgeConfig{Name: defaultEdge},
		Ledger:    LedgerConfig{Name: defaultLedger, Copies: 1},
		Dashboard: DashboardConfig{Listen: o.Dashboard},
		Payout:    devPayout(keyFile),
		Log:       LogConfig{Level: "info", Format: "json"},
		Pool: []PoolConfig{{
			ID: o.Coin, Coin: o.Coin, Network: network, RewardAddress: reward,
			FeePPM: 10_000, Tag: "/adit dev/",
			Node: []NodeConfig{{URL: site.node.URL(), User: site.node.User(), Password: Secret(site.node.Password())}},
			Stratum: []StratumConfig{{
				Listen: o.Stratum, StartDifficulty: o.Difficulty, MinDifficulty: o.Difficulty,
				MaxDifficulty: 1e9, SharesPerMinute: 60,
			}, {
				Listen: "127.0.0.1:0", StartDifficulty: devRigDifficulty, MinDifficulty: devRigDifficulty,
				MaxDifficulty: 1e9, SharesPerMinute: 60, private: true,
			}},
		}},
	}
	if redisURL == "" {
		cfg.Redis.URL = embeddedRedis
	}
	cfg.Pool[0].complete()
	return site, cfg, cfg.check()
}

// devRigDifficulty lets every hash of --dev's own, slow rigs be a share on a chain whose blocks take two.
const devRigDifficulty = 1e-10

// devDifficulty is the least difficulty of anybody else's rig, in expected hashes: at full speed one
// processor core should find a block in seconds, not thousands in each.
func devDifficulty(coin string) float64 {
	if coin == "litecoin" {
		return 0.5 // 2^15 hashes of scrypt
	}
	return 0.01 // 43 million of SHA-256d
}

// embeddedRedis in place of a URL stands for the Redis in this process. It is not accepted in a file.
const embeddedRedis = "embedded:"

func (d *devSite) startRedis(ctx context.Context, o devOptions, log zerolog.Logger) (string, error) {
	_, err := exec.LookPath("redis-server")
	switch {
	case o.Redis == "embedded", o.Redis == "auto" && err != nil:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("redis-server is not on PATH: install it (make deps) or use --redis embedded: %w", err)
	}
	// Rewards are on the ledger's own disk first, so an fsync a second is enough for Redis.
	d.redis, err = devnode.StartRedis(ctx, devnode.RedisOptions{
		Dir: filepath.Join(o.DataDir, "redis"), AppendFsync: "everysec", Log: log,
	})
	if err != nil {
		return "", fmt.Errorf("start redis-server: %w", err)
	}
	return d.redis.URL(), nil
}

// startNode starts the node and prepares its chain once. What it then mined is in the node's memory alone: it is
// started again, for a kill would take the beginning of the chain, and with it every block of the pool.
func (d *devSite) startNode(ctx context.Context, o devOptions, out io.Writer, log zerolog.Logger) (network string, err error) {
	dir := filepath.Join(o.DataDir, "node")
	var height int64
	var start func() (*devnode.Node, error)
	switch o.Coin {
	case "bitcoin":
		network, height = "simnet", devnode.SimnetSegwitHeight
		start = func() (*devnode.Node, error) {
			return devnode.StartBtcd(ctx, devnode.BtcdOptions{Dir: dir, Log: log})
		}
	case "litecoin":
		network, height = "regtest", devnode.LitecoinMWEBHeight
		start = func() (*devnode.Node, error) {
			return devnode.StartLitecoind(ctx, devnode.LitecoindOptions{Dir: dir, Log: log})
		}
	default:
		return "", fmt.Errorf("--coin %s: --dev has a node for bitcoin and litecoin", o.Coin)
	}
	if d.node, err = start(); err != nil {
		return "", fmt.Errorf("start the %s node: %w", o.Coin, err)
	}
	began, said, grew := time.Now(), false, false
	err = d.node.Prepare(ctx, height, func(have, want int64) {
		grew = grew || have < want
		if time.Since(began) > 2*time.Second && have < want || said {
			said = true
			fmt.Fprintf(out, "preparing the chain: block %d of %d\n", have, want)
		}
	})
	if err != nil {
		return "", fmt.Errorf("prepare the chain: %w", err)
	}
	if !grew {
		return network, nil
	}
	if err := d.node.Stop(ctx); err != nil {
		return "", fmt.Errorf("write the prepared chain to disk: %w", err)
	}
	if d.node, err = start(); err != nil {
		return "", fmt.Errorf("start the %s node again: %w", o.Coin, err)
	}
	return network, nil
}

// devKey makes the development key once and returns the address that it spends from.
func devKey(path string, chain pool.Chain) (string, error) {
	identity := path + ".identity"
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if _, err := sign.CreateKey(path, chain.Params(), sign.WPKH, sign.Lock{IdentityFile: identity}); err != nil {
			return "", fmt.Errorf("make the development key: %w", err)
		}
	}
	key, err := openKeyFile(path, chain.Params())
	if err != nil {
		return "", err
	}
	return chain.Address(key.Script())
}

// stop ends the children, the node last: nothing is to be submitted any more.
func (d *devSite) stop(log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if d.redis != nil {
		if err := d.redis.Stop(ctx); err != nil {
			log.Warn().Err(err).Msg("stop redis-server")
		}
	}
	if d.node != nil {
		if err := d.node.Stop(ctx); err != nil {
			log.Warn().Err(err).Msg("stop the node")
		}
	}
}

// accompany says where everything is, runs the rigs, and fails when a child ends by itself.
func (d *devSite) accompany(ctx context.Context, r *room, web net.Addr, log zerolog.Logger) error {
	stratumURL := "stratum+tcp://" + r.listeners[0].Addr().String()
	d.state.Dashboard, d.state.Stratum = "http://"+web.String(), stratumURL
	if err := writeDevState(d.options.DataDir, d.state); err != nil {
		return err
	}
	rigs, err := devRigs(r.chain)
	if err != nil {
		return err
	}
	p := r.chain.Params()
	fmt.Fprintf(d.out, `the pool is up after %.1f s
  dashboard  %s/
  miners     %s
  node       %s %s at %s
  Redis      %s
  data       %s (log: adit.log; --fresh starts anew)
connect your own miner, with any %s %s address and any name behind it:
  adit mine --algorithm %s --pool %s --user %s.me
what happens:
`,
		time.Since(d.began).Seconds(), d.state.Dashboard, stratumURL, p.Coin, p.Network, d.node.URL(), d.redisText(),
		d.options.DataDir, p.Coin, p.Network, p.Algorithm, stratumURL, d.state.RewardAddress)

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if d.options.Rigs {
		wg.Go(func() { runDevRigs(ctx, rigs, r.listeners[1].Addr(), r.chain, r.engine, log) })
	}
	var redisDone <-chan struct{} // nil blocks for ever
	if d.redis != nil {
		redisDone = d.redis.Done()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-d.node.Done():
		return fmt.Errorf("the node ended: %w", d.node.Err())
	case <-redisDone:
		return fmt.Errorf("redis-server ended: %w", d.redis.Err())
	}
}

func (d *devSite) redisText() string {
	if d.redis == nil {
		return "in this process: statistics and charts start empty at each start, money does not"
	}
	return "redis-server, append-only, in the data directory"
}

// devRig is one of the three CPU rigs of --dev.
type devRig struct {
	user  string
	part  float64 // of the rigs' common speed
	limit *worker.Limit
}

// devRigs are three miners of different speed. Their addresses are made from labels: nobody has the
// keys, and the coins of a development chain are worth nothing.
func devRigs(chain pool.Chain) ([]devRig, error) {
	var rigs []devRig
	for _, r := range []struct {
		name string
		part float64
	}{{"fast", 4. / 7}, {"middle", 2. / 7}, {"slow", 1. / 7}} {
		h := pool.DoubleSHA256([]byte("adit dev rig " + r.name))
		address, err := chain.Address(append([]byte{0x00, 0x14}, h[:20]...)) // P2WPKH
		if err != nil {
			return nil, fmt.Errorf("address of rig %s: %w", r.name, err)
		}
		rigs = append(rigs, devRig{user: address + "." + r.name, part: r.part, limit: worker.NewLimit(1)})
	}
	return rigs, nil
}

// runDevRigs mines over TCP until ctx ends, at a speed that keeps the chain's blocks coming evenly.
func runDevRigs(ctx context.Context, rigs []devRig, addr net.Addr, chain pool.Chain, engine *pool.Engine, log zerolog.Logger) {
	var wg sync.WaitGroup
	defer wg.Wait()
	kernel, err := all.Named(chain.Params().Algorithm)
	if err != nil {
		log.Error().Str(pool.EventField, pool.EventRigEnded).Err(err).Msg("rigs not started")
		return
	}
	for _, r := range rigs {
		wg.Go(func() {
			err := worker.Run(ctx, worker.Options{
				Pool: (&url.URL{Scheme: "stratum+tcp", Host: addr.String()}).String(), User: r.user, Agent: "adit-dev/" + version,
				Kernel: kernel, Threads: 1, Limit: r.limit, Log: log.With().Str("rig", r.user).Logger(),
			})
			if err != nil && ctx.Err() == nil {
				log.Error().Str(pool.EventField, pool.EventRigEnded).Err(err).Str("rig", r.user).Msg("rig ended")
			}
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if j := engine.Current(); j != nil {
			for _, r := range rigs {
				r.limit.Set(r.part * devBlocksPerSecond * j.NetworkWork.Float64())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
