// Package node speaks with full nodes: [Client] is one node, whose dialect (btcd's or Bitcoin Core's) is
// turned into one vocabulary in dialect.go; [Ring] is several acting as one, with a watch for new
// blocks. It believes a node only what the answer itself can prove or a read-back confirms. It knows no
// jobs, no miners and no money beyond what a template says.
//
// A template is read by a scanner that leaves transactions as hex (scan.go), passes the cheap truth
// before it is handed on (truth.go) and the dear truth beside it (proof.go).
package node

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// Kinds of trouble with a node that callers branch on, beside those of package rpc.
var (
	// ErrWrongChain: the node's genesis block is not that of the configured coin and network.
	ErrWrongChain = errors.New("node is on another chain")
	// ErrNotReady: the node answers, but gives no work: no peers, or not synced.
	ErrNotReady = errors.New("node gives no work yet")
	// ErrTemplate: a template is malformed or contradicts itself, the chain or its node.
	ErrTemplate = errors.New("template refused")
	// ErrTxRejected: the node will not take a transaction.
	ErrTxRejected = errors.New("transaction rejected")
	// ErrNoTxIndex: the node can find transactions only with its -txindex.
	ErrNoTxIndex = errors.New("node keeps no transaction index: start it with txindex")
)

const (
	defaultTimeout = 10 * time.Second
	// submitTimeout is long: a slow node may still take the block, and another answer may come first.
	submitTimeout = 30 * time.Second
	// longpollTimeout is above the time after which nodes answer a long poll without a new block.
	longpollTimeout = 3 * time.Minute
)

// Options say where a node is and what is expected of it.
type Options struct {
	Name         string // in logs and reports; empty: host:port
	URL          string // http://host:port
	User         string
	Password     string
	PasswordFile string        // read once, when Password is empty
	CookieFile   string        // read when User is empty, and again after the node restarts
	Timeout      time.Duration // of one call but submitblock and long polls; 0 is 10 s
	Chain        pool.Chain
	Log          zerolog.Logger
}

// Client is one full node. It is safe for concurrent use and holds no goroutine.
type Client struct {
	// Static after Dial.
	name   string
	chain  pool.Chain
	params *pool.Params
	calls  *rpc.Client
	submit *rpc.Client // a connection of its own: a found block waits for nothing
	long   *rpc.Client // likewise: a long poll occupies its connection
	log    zerolog.Logger

	mu  sync.Mutex
	tip header // guarded by mu: the last header asked for as a tip
}

var _ pool.Node = (*Client)(nil)

// Dial prepares a client. It reads the password file and talks to nobody: the node may be down.
func Dial(o Options) (*Client, error) {
	if o.Chain == nil {
		return nil, fmt.Errorf("dial node %s: no chain is given", o.Name)
	}
	if o.Password == "" && o.PasswordFile != "" {
		raw, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read password file of node %s: %w", o.Name, err)
		}
		o.Password = strings.TrimRight(string(raw), "\r\n")
	}
	dial := func(timeout time.Duration) *rpc.Client {
		return rpc.New(rpc.Options{URL: o.URL, User: o.User, Password: o.Password, CookieFile: o.CookieFile, Timeout: timeout})
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	c := &Client{
		name: o.Name, chain: o.Chain, params: o.Chain.Params(),
		calls: dial(o.Timeout), submit: dial(max(submitTimeout, o.Timeout)), long: dial(longpollTimeout),
	}
	if c.name == "" {
		c.name = c.calls.Host()
	}
	c.log = o.Log.With().Str("node", c.name).Logger()
	return c, nil
}

// Name is the node's name in logs and reports.
func (c *Client) Name() string { return c.name }

// Close closes idle connections. Calls under way go on.
func (c *Client) Close() {
	c.calls.Close()
	c.submit.Close()
	c.long.Close()
}

// CheckChain compares the node's genesis block with the configured one. A mismatch is [ErrWrongChain].
func (c *Client) CheckChain(ctx context.Context) error {
	got, err := c.BlockHash(ctx, 0)
	if err != nil {
		return fmt.Errorf("ask for the genesis block: %w", err)
	}
	if got != c.params.Genesis {
		return fmt.Errorf("%w: its genesis block is %s, that of %s %s is %s", ErrWrongChain, got, c.params.Coin, c.params.Network, c.params.Genesis)
	}
	return nil
}

// Synced says whether the node believes to be at the end of the chain, and if not, in words how far it is.
func (c *Client) Synced(ctx context.Context) (synced bool, state string, err error) {
	var info struct {
		Blocks  int64 `json:"blocks"`
		Headers int64 `json:"headers"`
		Initial bool  `json:"initialblockdownload"` // absent in btcd
	}
	if err := c.calls.Call(ctx, "getblockchaininfo", &info); err != nil {
		return false, "", err
	}
	switch {
	case info.Headers > info.Blocks+1:
		return false, fmt.Sprintf("it has %d of %d blocks", info.Blocks, info.Headers), nil
	case info.Initial:
		return false, fmt.Sprintf("it is in initial block download at block %d", info.Blocks), nil
	}
	return true, fmt.Sprintf("at block %d", info.Blocks), nil
}

// Template asks for work. With the longpollID of an earlier template the call stays open until the node
// has something new, at most three minutes. Nothing but the form of the answer is checked.
func (c *Client) Template(ctx context.Context, longpollID string) (*pool.Template, error) {
	request := map[string]any{
		"mode": "template", "rules": c.params.TemplateRules,
		"capabilities": []string{"coinbasevalue", "longpoll", "proposal"},
	}
	calls := c.calls
	if longpollID != "" {
		request["longpollid"] = longpollID
		calls = c.long
	}
	raw, err := calls.CallRaw(ctx, nil, "getblocktemplate", request)
	if err != nil {
		return nil, explainTemplate(err)
	}
	var a answer
	if err := a.scan(raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	t, err := a.template(c.name, c.params)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return t, nil
}

// HasWallets reports whether the node obeys wallet calls of these credentials. A node that serves an edge should
// not: without a wallet, or with an rpcwhitelist for the edge's user.
func (c *Client) HasWallets(ctx context.Context) (bool, error) {
	var loaded []string
	err := c.calls.Call(ctx, "listwallets", &loaded)
	if refused := (*rpc.Error)(nil); errors.As(err, &refused) || errors.Is(err, rpc.ErrUnauthorized) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask %s for wallets: %w", c.name, err)
	}
	return true, nil
}

// Wallet is the RPC of one of the node's wallets, by its name.
func (c *Client) Wallet(name string) *rpc.Client {
	return c.calls.At("/wallet/" + url.PathEscape(name))
}
