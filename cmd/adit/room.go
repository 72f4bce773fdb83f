package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/payout/scheme/prop"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	chains "github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/edge"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/keeper"
	"github.com/adit-pool/adit/pool/node"
	"github.com/adit-pool/adit/pool/redis"
	"github.com/adit-pool/adit/stratum"
)

// room is one pool's parts, wired. They are opened in order by openRoom, run by run, and closed in
// reverse by close.
type room struct {
	cfg    *PoolConfig
	roles  roles
	chain  pool.Chain
	reward []byte
	dir    string // of this pool, in the data directory
	log    zerolog.Logger

	store     *redis.Pool
	keeper    *keeper.Keeper // nil without the ledger role
	threshold pool.Amount

	clients []*node.Client // none for a dashboard
	ring    *node.Ring

	journal *journal.Journal // these are nil without the edge role
	engine  *pool.Engine
	edge    *edge.Edge
	fees    *feeWatch

	edgeName, edgeID string

	mu    sync.Mutex
	payer *payer // guarded by mu; nil while this role does not settle

	told  *tally // static
	books bookSums

	listeners []net.Listener
	servers   []*stratum.Server
	bans      *stratum.Bans
	memory    *stratum.Memory

	closers []func() error // in the order of opening
}

// openRoom opens everything that the roles need of one pool and starts nothing. On an error what was opened
// is closed.
func openRoom(ctx context.Context, cfg *Config, p *PoolConfig, w roles, store *redis.Redis, dev *devSite, out io.Writer, log zerolog.Logger) (_ *room, err error) {
	r := &room{
		cfg: p, roles: w, dir: filepath.Join(cfg.DataDir, p.ID), log: log.With().Str("pool", p.ID).Logger(),
		threshold: pool.Amount(cfg.Payout.Threshold), told: newTally(),
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("pool %s: %w", p.ID, err), r.close())
		}
	}()
	if r.chain, err = chains.Find(p.Coin, p.Network); err != nil {
		return nil, err
	}
	if r.reward, err = r.chain.Script(p.RewardAddress); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the pool's directory: %w", err)
	}
	if w.edge {
		if err := r.listen(); err != nil {
			return nil, err
		}
	}
	if w.edge || w.ledger {
		if err := r.openNodes(ctx); err != nil {
			return nil, err
		}
	}
	if r.store, err = openStore(ctx, store, p.ID, r.dir); err != nil {
		return nil, err
	}
	if w.edge {
		if err := r.openEdge(ctx, cfg, dev != nil); err != nil {
			return nil, err
		}
	}
	if w.ledger {
		if err := r.openLedger(cfg, dev != nil, out); err != nil {
			return nil, err
		}
	}
	if w.edge {
		return r, r.openServers()
	}
	return r, nil
}

// listen takes the addresses for miners.
func (r *room) listen() error {
	for i := range r.cfg.Stratum {
		l, err := net.Listen("tcp", r.cfg.Stratum[i].Listen)
		if err != nil {
			return fmt.Errorf("stratum[%d].listen: %w (is another server on that port? choose another)", i, err)
		}
		r.listeners = append(r.listeners, l)
		r.onClose(ignoreClosed(l.Close))
	}
	return nil
}

func (r *room) onClose(f func() error) { r.closers = append(r.closers, f) }

// close closes what openRoom opened, last first.
func (r *room) close() error {
	var all error
	for i := len(r.closers) - 1; i >= 0; i-- {
		all = errors.Join(all, r.closers[i]())
	}
	r.closers = nil
	return all
}

func ignoreClosed(f func() error) func() error {
	return func() error {
		if err := f(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// openStore opens a pool's part of Redis, and keeps the server's identity in the pool's directory so that another
// server is noticed.
func openStore(ctx context.Context, server *redis.Redis, pool, dir string) (*redis.Pool, error) {
	path := filepath.Join(dir, "redis.identity")
	known, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the identity of Redis: %w", err)
	}
	store, err := server.Pool(ctx, pool, strings.TrimSpace(string(known)))
	if err != nil {
		return nil, fmt.Errorf("%w (stored in %s)", err, path)
	}
	if err := os.WriteFile(path, []byte(store.Identity()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("keep the identity of Redis: %w", err)
	}
	return store, nil
}

// openNodes makes the ring and checks that at least one node answers and is on the right chain.
func (r *room) openNodes(ctx context.Context) error {
	for i := range r.cfg.Node {
		c, err := r.cfg.Node[i].dial(r.chain, r.log)
		if err != nil {
			return fmt.Errorf("node[%d]: %w", i, err)
		}
		r.clients = append(r.clients, c)
	}
	ring, err := node.NewRing(node.RingOptions{Clients: r.clients, Log: r.log, Retired: func(t *pool.Template, err error) {
		r.log.Error().Err(err).Str(pool.EventField, pool.EventTemplateRefused).Str("node", t.Node).Int64("height", t.Height).Msg("a template failed a fuller check")
	}})
	if err != nil {
		return err
	}
	r.ring = ring
	r.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return ring.Close(ctx)
	})
	var failed error
	for _, c := range r.clients {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := c.CheckChain(ctx)
		cancel()
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("node %s: %w", c.Name(), err))
		if errors.Is(err, node.ErrWrongChain) {
			return failed // never serve work for a pool one of whose nodes is elsewhere
		}
	}
	return fmt.Errorf("no node can be used: %w", failed)
}

// dial makes the client of one configured node.
func (n *NodeConfig) dial(chain pool.Chain, log zerolog.Logger) (*node.Client, error) {
	return node.Dial(node.Options{
		URL: n.URL, User: n.User, Password: string(n.Password), PasswordFile: n.PasswordFile, CookieFile: n.CookieFile,
		Chain: chain, Log: log,
	})
}

func (r *room) openEdge(ctx context.Context, cfg *Config, dev bool) error {
	if err := r.holdName(ctx, cfg.Edge.Name); err != nil {
		return err
	}
	var every time.Duration // the edge's own default
	if dev {
		every = devReportEvery
	}
	var err error
	r.journal, err = journal.Open(journal.Options{Dir: filepath.Join(r.dir, "journal"), Pool: r.cfg.ID, Log: r.log})
	if err != nil {
		return err
	}
	r.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return r.journal.Close(ctx)
	})
	scheme := pool.SchemePPLNS
	switch r.cfg.Scheme {
	case pool.SchemeSOLO.String():
		scheme = pool.SchemeSOLO
	case pool.SchemePROP.String():
		scheme = pool.SchemePROP
		r.log.Warn().Str(pool.EventField, pool.EventSchemeHoppable).Msg(prop.Warning)
	}
	r.fees = newFeeWatch(r.store, r.cfg.FeePPM, r.log)
	if err := r.fees.read(ctx); err != nil { // before the first job, if it can be had
		r.log.Warn().Err(err).Msg("the fee schedule cannot be read yet")
	}
	r.engine, err = pool.NewEngine(pool.EngineConfig{
		PoolID: r.cfg.ID, Chain: r.chain, Scheme: scheme, Tag: r.cfg.Tag, Epoch: r.journal.Epoch(),
		RewardScript: r.reward, SoloFee: r.fees.solo, VersionMask: r.cfg.rollable(),
	})
	if err != nil {
		return err
	}
	r.edge, err = edge.New(edge.Options{
		Pool: r.cfg.ID, Name: cfg.Edge.Name, Version: version, Chain: r.chain, Engine: r.engine, Journal: r.journal, Nodes: []pool.Node{r.ring},
		Stream: r.store, Candidates: r.store, Reports: r.store, Ledger: r.store, Notes: r.store, NodeReports: r.ring.Report,
		Dir: filepath.Join(r.dir, "candidates"), ReportEvery: every, Log: r.log,
	})
	return err
}

// Allocation is a block's published allocation file, for the dashboard.
func (r *room) Allocation(block pool.Hash) ([]byte, error) {
	return allocation.Read(filepath.Join(r.dir, allocationsDir), block)
}

// Row is the id of an account's row in a block's allocation file, for the dashboard.
func (r *room) Row(block pool.Hash, account pool.AccountID) (string, error) {
	secret, err := allocation.ReadSecret(filepath.Join(r.dir, keeper.SecretFile))
	if err != nil {
		return "", err
	}
	id := secret.Row(block, account)
	return hex.EncodeToString(id[:]), nil
}

// live is what this process knows of its pool, fresher than Redis.
func (r *room) live() view.Live {
	l := view.Live{Nodes: r.ring.Report(), Backlog: r.edge.Backlog()}
	if j := r.engine.Current(); j != nil {
		l.Job = j.Created
	}
	if err := r.journal.Err(); err != nil {
		l.JournalError = err.Error()
	}
	for _, s := range r.servers {
		l.Sessions += s.Stats().Connections
	}
	return l
}

// template gives the edge new work; a ledger without an edge only watches the nodes.
func (r *room) template(t *pool.Template) {
	if r.edge == nil {
		return
	}
	if err := r.edge.SetTemplate(t); err != nil {
		r.log.Error().Str(pool.EventField, pool.EventTemplateRefused).Err(err).Int64("height", t.Height).Msg("a template gives no job")
	}
}

// run serves until ctx ends or a part fails for good, and stops in reverse: miners first, then the edge, then
// the ledger. The ledger never fails for good: an edge beside it goes on.
func (r *room) run(ctx context.Context) error {
	// Each layer has a context of its own, ended when all above it have stopped.
	var first error
	var mu sync.Mutex
	fail := make(chan struct{})
	layer := func(name string, parts ...func(context.Context) error) (stop func()) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		for _, part := range parts {
			wg.Go(func() {
				err := part(ctx)
				if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = fmt.Errorf("pool %s: %s: %w", r.cfg.ID, name, err)
					close(fail)
				}
			})
		}
		return func() { cancel(); wg.Wait() }
	}
	var stops []func()
	if r.keeper != nil {
		stops = append(stops, layer("ledger", r.keeper.Run))
	}
	if r.edge != nil {
		parts := []func(context.Context) error{r.edge.Run, r.keepName, r.fees.run}
		if r.cfg.CoinbasePayees > 0 {
			parts = append(parts, (&payeeWatch{docs: r.store, set: r.edge.SetPayees, log: r.log}).run)
		}
		stops = append(stops, layer("edge", parts...))
	}
	if r.ring != nil {
		stops = append(stops, layer("node watch", func(ctx context.Context) error { return r.ring.Watch(ctx, r.template) }))
	}
	var serve []func(context.Context) error
	for i, s := range r.servers {
		serve = append(serve, func(ctx context.Context) error { return s.Serve(ctx, r.listeners[i]) })
	}
	stops = append(stops, layer("stratum", serve...))
	select {
	case <-ctx.Done():
	case <-fail:
	}
	for _, stop := range slices.Backward(stops) {
		stop()
	}
	return first
}
