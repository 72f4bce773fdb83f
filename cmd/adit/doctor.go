package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/adit-pool/adit/pool"
	chains "github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/node"
	"github.com/adit-pool/adit/pool/redis"
)

// finding is what the doctor says of one thing.
type finding struct {
	state findingState
	what  string
	fix   string // for warnings and failures
}

type findingState string

const (
	findingOK   findingState = "ok"
	findingWarn findingState = "warn"
	findingFail findingState = "FAIL"
)

func doctorCommand() *cobra.Command {
	var config, role string
	cmd := &cobra.Command{
		Use: "doctor --config adit.toml", Short: "Check nodes, Redis, addresses, ports and the machine before serving", Args: cobra.NoArgs,
		Long: `doctor checks what adit serve with the same --role needs and prints a line for each thing, with the fix where there is one to
make. It changes nothing. It ends with code 1 when something would keep the pool from working.
Run it while adit serve is stopped: a running one holds the ports and the data directory.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(config, os.Environ())
			if err != nil {
				return err
			}
			w, err := parseRoles(role)
			if err != nil {
				return err
			}
			failed := false
			report := func(f finding) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-4s  %s\n", f.state, f.what)
				if f.fix != "" && f.state != findingOK {
					fmt.Fprintf(cmd.OutOrStdout(), "      fix: %s\n", f.fix)
				}
				failed = failed || f.state == findingFail
			}
			examine(cmd.Context(), cfg, w, report)
			if failed {
				return errors.New("the pool would not work: see FAIL above")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	cmd.Flags().StringVar(&role, "role", "", "what this process will do: edge, ledger, dashboard, or several with commas; all when not given")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}

// examine reports on everything in cfg that the roles need.
func examine(ctx context.Context, cfg *Config, w roles, report func(finding)) {
	if err := w.check(cfg); err != nil {
		report(finding{findingFail, err.Error(), "add it, or leave the role to another process"})
	}
	examineMachine(cfg, report)
	examineRedis(ctx, cfg, report)
	if w.dashboard {
		examinePort("dashboard", cfg.Dashboard.Listen, "dashboard.listen", report)
	}
	if w.ledger && cfg.Ledger.Copies == 2 {
		examinePort("the other ledger's copy", cfg.Ledger.Listen, "ledger.listen", report)
	}
	for i := range cfg.Pool {
		p := &cfg.Pool[i]
		chain, err := chains.Find(p.Coin, p.Network)
		if err != nil { // loadConfig has checked it
			report(finding{findingFail, err.Error(), "correct coin and network"})
			continue
		}
		script, ok := examineReward(p, chain, report)
		if ok && w.ledger {
			examineSigner(ctx, cfg, p, chain, script, report)
		}
		if ok && w.edge && !w.ledger {
			examineEdge(ctx, cfg, p, chain, script, report)
		}
		if w.ledger && cfg.Ledger.Copies == 2 {
			examinePeer(ctx, &cfg.Ledger, p.ID, report)
		}
		for j := 0; w.edge && j < len(p.Stratum); j++ {
			examinePort("pool "+p.ID, p.Stratum[j].Listen, fmt.Sprintf("pool[%d].stratum[%d].listen", i, j), report)
		}
		for j := 0; (w.edge || w.ledger) && j < len(p.Node); j++ {
			examineNode(ctx, p, &p.Node[j], chain, report)
		}
	}
}

// examineMachine looks at the data directory, the open file limit and the clock.
func examineMachine(cfg *Config, report func(finding)) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		report(finding{findingFail, fmt.Sprintf("data directory: %v", err), "make it, owned by the user that runs adit"})
	} else if unlock, err := lockDir(cfg.DataDir); err != nil {
		report(finding{findingFail, err.Error(), "run the doctor while adit serve is stopped"})
	} else {
		unlock()
		var fs unix.Statfs_t
		free := uint64(0)
		if err := unix.Statfs(cfg.DataDir, &fs); err == nil {
			free = fs.Bavail * uint64(fs.Bsize)
		}
		f := finding{findingOK, fmt.Sprintf("data directory %s is writable, %d MiB free", cfg.DataDir, free>>20), "free at least 1 GiB: with a full disk no share can be acknowledged"}
		if free < 1<<30 {
			f.state = findingWarn
		}
		report(f)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		f := finding{findingOK, fmt.Sprintf("%d files may be open: room for some %d miners", files.Cur, max(int64(files.Cur)-200, 0)), "raise it: LimitNOFILE= in the systemd unit, or ulimit -n"}
		if files.Cur < 4096 {
			f.state = findingWarn
		}
		report(f)
	}
	if now := time.Now(); now.Year() < 2025 {
		report(finding{findingFail, "the clock says " + now.Format(time.RFC3339), "set the clock and keep it by NTP: blocks carry its time"})
	}
}

func examineRedis(ctx context.Context, cfg *Config, report func(finding)) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	store, err := redis.Open(ctx, redis.Options{URL: cfg.Redis.URL, Log: zerolog.Nop()})
	switch {
	case errors.Is(err, redis.ErrVolatile):
		report(finding{findingFail, err.Error(), "set appendonly yes and maxmemory-policy noeviction in redis.conf"})
		return
	case err != nil:
		report(finding{findingFail, err.Error(), "start Redis, or correct redis.url"})
		return
	}
	report(finding{findingOK, "Redis is reachable and persistent", ""})
	if err := store.Close(); err != nil {
		report(finding{findingWarn, fmt.Sprintf("close Redis: %v", err), ""})
	}
}

func examinePort(who, addr, key string, report func(finding)) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		report(finding{findingFail, fmt.Sprintf("%s: %v", who, err), "end what listens there (ss -ltnp), or change " + key})
		return
	}
	l.Close()
	report(finding{findingOK, fmt.Sprintf("%s can listen on %s", who, addr), ""})
}

// examineNode asks one node for its chain, its state and a template, and compares clocks.
func examineNode(ctx context.Context, p *PoolConfig, n *NodeConfig, chain pool.Chain, report func(finding)) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	who := fmt.Sprintf("pool %s: node %s", p.ID, n.URL)
	c, err := n.dial(chain, zerolog.Nop())
	if err != nil {
		report(finding{findingFail, fmt.Sprintf("%s: %v", who, err), "correct the node's table"})
		return
	}
	defer c.Close()
	if err := c.CheckChain(ctx); err != nil {
		fix := "start the node, check url, user and password or cookie_file"
		if errors.Is(err, node.ErrWrongChain) {
			fix = fmt.Sprintf("use a node of %s %s", p.Coin, p.Network)
		}
		report(finding{findingFail, fmt.Sprintf("%s: %v", who, err), fix})
		return
	}
	report(finding{findingOK, fmt.Sprintf("%s is on %s %s", who, p.Coin, p.Network), ""})
	if synced, state, err := c.Synced(ctx); err != nil || !synced {
		if err != nil {
			state = err.Error()
		}
		report(finding{findingFail, fmt.Sprintf("%s is not synced: %s", who, state), "wait until it has the whole chain"})
		return
	}
	t, err := c.Template(ctx, "")
	if err != nil {
		report(finding{findingFail, fmt.Sprintf("%s gives no work: %v", who, err), "it needs peers and the whole chain"})
		return
	}
	report(finding{findingOK, fmt.Sprintf("%s gives work for height %d with %d transactions", who, t.Height, len(t.Txs)), ""})
	examineClock(ctx, n, report)
}

// examineClock compares with the Date header of the node's HTTP server; nodes that send none say nothing.
func examineClock(ctx context.Context, n *NodeConfig, report func(finding)) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, strings.NewReader("{}"))
	if err != nil {
		return
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return // the calls before have said what is wrong
	}
	resp.Body.Close()
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	off := time.Since(there).Abs().Round(time.Second)
	f := finding{findingOK, fmt.Sprintf("clocks of this machine and of %s differ by %v", n.URL, off), "keep both by NTP: blocks too far in the future are refused"}
	if off > 30*time.Second {
		f.state = findingWarn
	}
	report(f)
}
