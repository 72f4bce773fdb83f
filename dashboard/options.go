package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/rs/zerolog"
)

// Store is where a pool's values are read. Every call observes ctx's deadline; amounts are base units.
type Store interface {
	// View is the pool's statistics.
	View(ctx context.Context) (pool.PoolView, error)
	// AccountView is one account's statistics, empty for an account that never mined.
	AccountView(ctx context.Context, id pool.AccountID) (pool.AccountView, error)
	// Docs lists the ledger documents of a set, highest rank first, and says how many there are in all.
	Docs(ctx context.Context, set string, offset, limit int) (docs []json.RawMessage, total int, err error)
	// Doc is one ledger document, or [Options].NoDoc.
	Doc(ctx context.Context, set, id string) (json.RawMessage, error)
	// Balances are what an account has, by the ledger head that the store shows.
	Balances(ctx context.Context, id pool.AccountID) (immature, available, inPayout, paid pool.Amount, err error)
	// WindowShare is an account's score in the present window, and the score of all.
	WindowShare(ctx context.Context, id pool.AccountID) (score, total pool.Work, err error)
	// Head is the ledger head that the store shows.
	Head(ctx context.Context) (ledger.Head, error)
	// Health fails when the store does not answer or is not the one it was.
	Health(ctx context.Context) error
}

// Chain checks addresses of one coin on one network.
type Chain interface {
	// Script is the canonical output script; the error tells the address's owner what is wrong.
	Script(address string) ([]byte, error)
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
	Stratum       []string // URLs to show, such as "stratum+tcp://pool.example:3333"
	Maturity      int64    // confirmations before a reward can be spent
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

// Options configure a [Server].
type Options struct {
	Pools    []PoolInfo
	Version  string
	Embedded bool  // the store is in this process and its statistics began with it: pages say so
	NoDoc    error // what Store.Doc returns, by errors.Is, for a document that is not there
	// Live is nil when no edge runs in this process; ok is false for a pool that has none here.
	Live func(poolID string) (live Live, ok bool)
	// MaxJobAge is the age from which a job counts as stale in readyz; 0 is five minutes.
	MaxJobAge time.Duration
	// Metrics writes what other parts of the process measure, in the Prometheus text format; nil: nothing.
	Metrics func(io.Writer)
	Log     zerolog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// GoodPoolID reports whether a pool can have an id: [a-z0-9-]{1,32} and no page of the site.
func GoodPoolID(id string) bool { return poolID.MatchString(id) && !siteParts[id] }

var poolID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// siteParts are the site's own first path parts: no pool can have such an id.
var siteParts = map[string]bool{
	"api": true, "app": true, "assets": true, "livez": true, "metrics": true, "readyz": true, "start": true,
	"stats": true, "status": true, "user": true, "users": true, "admin": true,
}

func (o *Options) check() error {
	if len(o.Pools) == 0 {
		return errors.New("dashboard has no pool to show")
	}
	seen := make(map[string]bool)
	for i := range o.Pools {
		p := &o.Pools[i]
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
