package main

import (
	"errors"
	"fmt"
	"strings"
)

// roles say what this process does of a pool.
type roles struct {
	edge      bool // serves miners: needs nodes, Redis and a journal
	ledger    bool // settles and pays: needs a node, Redis, the ledger's disk and the signing key
	dashboard bool // shows: needs Redis
}

// allRoles is the whole pool in one process.
var allRoles = roles{edge: true, ledger: true, dashboard: true}

// parseRoles reads a list such as "edge,dashboard"; "" is all.
func parseRoles(text string) (roles, error) {
	if text == "" {
		return allRoles, nil
	}
	var r roles
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case "edge":
			r.edge = true
		case "ledger":
			r.ledger = true
		case "dashboard":
			r.dashboard = true
		default:
			return roles{}, fmt.Errorf("--role %q: give edge, ledger, dashboard or several of them with commas between", name)
		}
	}
	return r, nil
}

// check refuses a configuration that lacks what a role needs.
func (r roles) check(c *Config) error {
	for i := range c.Pool {
		p := &c.Pool[i]
		switch at := fmt.Sprintf("pool[%d] %q: ", i, p.ID); {
		case len(p.Node) == 0 && (r.edge || r.ledger):
			return errors.New(at + "no [[pool.node]] table: at least one full node is needed")
		case len(p.Stratum) == 0 && r.edge:
			return errors.New(at + "no [[pool.stratum]] table: at least one listener is needed")
		}
	}
	if c.Redis.URL == embeddedRedis && r != allRoles {
		return errors.New("redis.url: roles of several processes need a Redis of their own to meet in")
	}
	return nil
}
