package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Store is where a pool's values are read. Every call observes ctx's deadline; amounts are base units.
type Store interface {
	// View is the pool's statistics.
	View(ctx context.Context) (pool.PoolView, error)
	// AccountView is one account's statistics, empty for an account that never mined.
	AccountView(ctx context.Context, id pool.AccountID) (pool.AccountView, error)
	// Docs lists up to limit ledger documents of a set, highest rank first, from behind the place that a
	// former call gave as next; "" is the beginning, and as next the end. total is how many there are.
	Docs(ctx context.Context, set, after string, limit int) (docs []json.RawMessage, next string, total int, err error)
	// Doc is one ledger document, or [Options].NoDoc.
	Doc(ctx context.Context, set, id string) (json.RawMessage, error)
	// Balances are what an account has, by the ledger head that the store shows.
	Balances(ctx context.Context, id pool.AccountID) (immature, available, inPayout, paid pool.Amount, err error)
	// WindowShare is an account's score in the present window, and the score of all.
	WindowShare(ctx context.Context, id pool.AccountID) (score, total pool.Work, err error)
	// Credits lists up to limit, at most 100, of an account's newest credits, highest block first, by places as
	// Docs has them; total is how many the store keeps.
	Credits(ctx context.Context, id pool.AccountID, after string, limit int) (rows []ledger.CreditRow, next string, total int, err error)
	// Payouts lists an account's newest payouts likewise.
	Payouts(ctx context.Context, id pool.AccountID, after string, limit int) (rows []ledger.PayoutRow, next string, total int, err error)
	// Head is the ledger head that the store shows.
	Head(ctx context.Context) (ledger.Head, error)
	// Health fails when the store does not answer or is not the one it was.
	Health(ctx context.Context) error
	Histories
}

// Histories are kept series, oldest point first, in the steps that [Steps] names. A stretch without a
// share has no point.
type Histories interface {
	PoolHistory(ctx context.Context, step time.Duration) ([]pool.HistoryPoint, error)
	AccountHistory(ctx context.Context, id pool.AccountID, step time.Duration) ([]pool.HistoryPoint, error)
	WorkerHistory(ctx context.Context, id pool.AccountID, worker string) ([]pool.HistoryPoint, error)
	// Leaders are the accounts with the highest hashrate, and those with the best shares.
	Leaders(ctx context.Context, limit int) (rates, shares []pool.Leader, err error)
}

// Step is a resolution of a history and how far it reaches back.
type Step struct {
	Name  string
	Every time.Duration
	Span  time.Duration
}

const day = 24 * time.Hour

// Steps of the histories of a pool, an account and a worker; the first is the finest.
var (
	PoolSteps    = []Step{{"1m", time.Minute, day}, {"10m", 10 * time.Minute, 31 * day}, {"1h", time.Hour, 730 * day}}
	AccountSteps = []Step{{"10m", 10 * time.Minute, 7 * day}, {"1d", day, 730 * day}}
	WorkerSteps  = []Step{{"10m", 10 * time.Minute, 2 * day}}
)

// Chain checks addresses of one coin on one network.
type Chain interface {
	// Script is the canonical output script; the error tells the address's owner what is wrong.
	Script(address string) ([]byte, error)
}

// Listener is one way in for miners.
type Listener struct {
	URL     string // such as "stratum+tcp://pool.example:3333"
	TLS     bool
	Start   float64 // difficulty of the first job
	Minimum float64 // least difficulty
}

// PoolInfo is one pool as the dashboard shows it.
type PoolInfo struct {
	ID            string // [a-z0-9-]{1,32}, none of the site's own first path parts
	Coin, Network string
	Algorithm     string // proof of work as `adit mine --algorithm` takes it, "" for its default
	Symbol        string
	Decimals      int
	Scheme        string      // "pplns", "solo"
	PPLNSN        string      // length of the window in expected blocks, "" when the scheme has none
	FeePPM        uint32      // shown until the ledger has a schedule
	Threshold     pool.Amount // least amount that is paid out
	RewardAddress string
	Stratum       []Listener
	Maturity      int64 // confirmations before a reward can be spent
	Chain         Chain
	Store         Store
	Files         Files // nil when the ledger's disk is another host's
}

// Live is what a process that runs an edge knows of its own pool, fresher than the store.
type Live struct {
	Job          time.Time // when the job in hand was made, zero when there is none
	Nodes        []pool.NodeReport
	JournalError string // "" when shares can be made durable
	Sessions     int    // connections now
	Backlog      uint64 // durable shares that Redis is not known to have
}

// GoodPoolID reports whether a pool can have an id: [a-z0-9-]{1,32} and no page of the site.
func GoodPoolID(id string) bool { return poolID.MatchString(id) && !SiteParts[id] }

var poolID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// SiteParts are the site's own first path parts: no pool can have such an id.
var SiteParts = map[string]bool{
	"api": true, "app": true, "assets": true, "livez": true, "metrics": true, "readyz": true, "start": true,
	"stats": true, "status": true, "user": true, "users": true, "admin": true, "rejects": true, "language": true,
	"privacy": true,
}

func checkPools(pools []PoolInfo) error {
	if len(pools) == 0 {
		return errors.New("dashboard has no pool to show")
	}
	seen := make(map[string]bool)
	for i := range pools {
		p := &pools[i]
		switch {
		case !GoodPoolID(p.ID):
			return fmt.Errorf("dashboard: pool id %q cannot be part of an address of the site", p.ID)
		case seen[p.ID]:
			return fmt.Errorf("dashboard: pool id %q is there twice", p.ID)
		case p.Chain == nil || p.Store == nil:
			return fmt.Errorf("dashboard: pool %s has no chain or no store", p.ID)
		case p.Decimals < 0 || p.Decimals > 18:
			return fmt.Errorf("dashboard: pool %s has %d decimals", p.ID, p.Decimals)
		}
		seen[p.ID] = true
	}
	return nil
}
