package devnode

import (
	"context"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool/node/rpc"
)

const (
	// generateBatch blocks are asked for in one call, so that progress can be
	// shown and a call stays within generateTimeout as difficulty rises.
	generateBatch   = 25
	generateTimeout = 2 * time.Minute
	// staleAfter is well below the 24 hours after which nodes refuse templates.
	staleAfter = time.Hour
)

// Node is a running full node of a development network.
type Node struct {
	*child

	// Static after start.
	url      string
	password string
	rpc      *rpc.Client
	clients  []*rpc.Client // rpc and others of ours, closed before Stop
	// mine makes up to n blocks on top of height have on the way to height
	// target; it may make fewer, but at least one.
	mine func(ctx context.Context, have, n, target int64) error
}

// URL returns the RPC address, http://127.0.0.1:port.
func (n *Node) URL() string { return n.url }

// User returns the RPC user.
func (n *Node) User() string { return rpcUser }

// Password returns the RPC password, new at every start.
func (n *Node) Password() string { return n.password }

// connect makes the node's RPC client.
func (n *Node) connect(addr, password string) {
	n.url, n.password = "http://"+addr, password
	n.rpc = n.client(n.url)
}

// client makes a client that Stop closes.
func (n *Node) client(url string) *rpc.Client {
	c := rpc.New(rpc.Options{URL: url, User: rpcUser, Password: n.password, Timeout: generateTimeout})
	n.clients = append(n.clients, c)
	return c
}

// Stop asks the node to end (SIGTERM) and waits. When ctx ends, or after ten
// seconds, it is killed, and the returned error says so. Close other RPC clients
// first: the Core family waits for idle connections.
func (n *Node) Stop(ctx context.Context) error {
	for _, c := range n.clients {
		c.Close()
	}
	return n.child.Stop(ctx)
}

// answers waits until RPC works.
func (n *Node) answers(ctx context.Context) error {
	return n.ready(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var height int64
		return n.rpc.Call(ctx, "getblockcount", &height)
	})
}

// Prepare sees to it that the chain has at least the given height and a tip
// younger than an hour, by mining blocks to the burn address: nodes refuse
// getblocktemplate (-10) on a tip over 24 hours old, for ever. progress, which
// may be nil, is told the height reached and the height wanted, at least once.
func (n *Node) Prepare(ctx context.Context, height int64, progress func(have, want int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	have, err := n.height(ctx)
	if err != nil {
		return err
	}
	for {
		progress(have, height)
		if have >= height {
			break
		}
		if have, err = n.grow(ctx, have, min(generateBatch, height-have), height); err != nil {
			return err
		}
	}
	age, err := n.tipAge(ctx)
	if err != nil || age < staleAfter {
		return err
	}
	if _, err := n.grow(ctx, have, 1, have+1); err != nil {
		return err
	}
	if age, err = n.tipAge(ctx); err != nil {
		return err
	}
	if age >= staleAfter {
		return fmt.Errorf("prepare the chain of %s: its tip is still %v old", n.name, age.Round(time.Minute))
	}
	return nil
}

// grow mines and returns the new height.
func (n *Node) grow(ctx context.Context, have, blocks, target int64) (int64, error) {
	if err := n.mine(ctx, have, blocks, target); err != nil {
		return have, fmt.Errorf("mine block %d on %s: %w", have+1, n.name, err)
	}
	now, err := n.height(ctx)
	if err == nil && now <= have {
		err = fmt.Errorf("mine block %d on %s: the chain did not grow", have+1, n.name)
	}
	return now, err
}

func (n *Node) height(ctx context.Context) (int64, error) {
	var height int64
	if err := n.rpc.Call(ctx, "getblockcount", &height); err != nil {
		return 0, fmt.Errorf("ask %s for its height: %w", n.name, err)
	}
	return height, nil
}

// tipAge returns how far the newest block's time lies back; simnet's run ahead.
func (n *Node) tipAge(ctx context.Context) (time.Duration, error) {
	var hash string
	var header struct {
		Time int64 `json:"time"` // seconds
	}
	if err := n.rpc.Call(ctx, "getbestblockhash", &hash); err != nil {
		return 0, fmt.Errorf("ask %s for its tip: %w", n.name, err)
	}
	if err := n.rpc.Call(ctx, "getblockheader", &header, hash, true); err != nil {
		return 0, fmt.Errorf("ask %s for its tip: %w", n.name, err)
	}
	return time.Since(time.Unix(header.Time, 0)), nil
}
