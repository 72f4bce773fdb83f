package edge

import (
	"errors"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

const (
	maxUser       = 256     // bytes of a user name
	maxNames      = 10_000  // worker names an account may have
	maxNamesTotal = 200_000 // that an edge remembers
	namesKept     = 24 * time.Hour
	otherWorker   = "other" // stands for all names beyond them
)

var errLongUser = errors.New("user name is longer than 256 bytes")

// Authorize reads ADDRESS, ADDRESS.worker or ADDRESS_worker, and what the password says for the account: a code is
// noted, see Notes, and a payout limit counts by the work that this login does, see [pool.LimitReport]. A password
// refuses nobody. The error says what is wrong with the address in words for the
// miner.
func (e *Edge) Authorize(user, password string) (pool.Worker, error) {
	if len(user) > maxUser {
		return pool.Worker{}, errLongUser
	}
	address, name := pool.SplitUser(user)
	script, err := e.opts.Chain.Script(address)
	if err != nil {
		return pool.Worker{}, err
	}
	account, now := pool.AccountOf(e.opts.Pool, script), time.Now()
	w := pool.Worker{User: user, Account: account, Script: script, Name: e.names.admit(account, name, now)}
	asked := pool.ParsePassword(password).Asked
	if limit, err := pool.ParseAmount(asked.PayoutLimit, e.Params().Decimals); err == nil {
		w.Limit = &limit
	}
	e.notes.put(&w, asked, now)
	return w, nil
}

// names bounds how many worker names there can be.
type names struct {
	mu       sync.Mutex // guards all below
	accounts map[pool.AccountID]*accountNames
	total    int
	purged   time.Time
}

type accountNames struct {
	names map[string]struct{}
	used  time.Time
}

func newNames() *names { return &names{accounts: make(map[pool.AccountID]*accountNames)} }

// admit returns name, or "other" when the account or the edge has too many names.
func (n *names) admit(account pool.AccountID, name string, now time.Time) string {
	if name == "" || name == otherWorker {
		return name
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.purge(now)
	a := n.accounts[account]
	if a != nil {
		a.used = now
		if _, ok := a.names[name]; ok {
			return name
		}
		if len(a.names) >= maxNames {
			return otherWorker
		}
	}
	if n.total >= maxNamesTotal {
		return otherWorker
	}
	if a == nil {
		a = &accountNames{make(map[string]struct{}), now}
		n.accounts[account] = a
	}
	a.names[name] = struct{}{}
	n.total++
	return name
}

// purge forgets accounts that nobody has logged in to for a day.
func (n *names) purge(now time.Time) {
	if now.Sub(n.purged) < time.Hour {
		return
	}
	n.purged = now
	for id, a := range n.accounts {
		if now.Sub(a.used) > namesKept {
			n.total -= len(a.names)
			delete(n.accounts, id)
		}
	}
}
