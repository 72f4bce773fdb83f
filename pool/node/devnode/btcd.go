package devnode

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rs/zerolog"
)

// SimnetBurnAddress is the simnet P2PKH address of twenty zero bytes, whose key
// nobody has. Blocks that Prepare mines pay it.
const SimnetBurnAddress = "SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg"

// RegtestBurnAddress is the same on regtest, of Bitcoin and of Litecoin.
const RegtestBurnAddress = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8"

// SimnetSegwitHeight is a height at which segwit is active on btcd's simnet.
const SimnetSegwitHeight = 305

// BtcdOptions says how to run btcd on a private network.
type BtcdOptions struct {
	Binary     string // path or name; empty: FindBtcd
	Network    string // simnet, or regtest, which deletes its chain at every start; empty: simnet
	Dir        string // chain, logs, configuration and pid file; made when missing
	RPCListen  string // loopback host:port; empty: a free port
	P2PListen  string // host:port for peers; empty: none
	MiningAddr string // where Prepare's blocks pay; empty: SimnetBurnAddress
	Args       []string
	Log        zerolog.Logger
}

// FindBtcd returns the btcd to run: $ADIT_BTCD, else the one beside this
// program, else the one on PATH.
func FindBtcd() (string, error) {
	if path := os.Getenv("ADIT_BTCD"); path != "" {
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "btcd")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("btcd")
	if err != nil {
		return "", fmt.Errorf("find btcd beside this program or on PATH (build it with make bin/btcd, or set ADIT_BTCD): %w", err)
	}
	return path, nil
}

// StartBtcd starts btcd and returns when its RPC answers. ctx bounds the start
// only; the node runs until Stop or Kill.
func StartBtcd(ctx context.Context, o BtcdOptions) (*Node, error) {
	dir, err := prepareDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("prepare the directory of btcd: %w", err)
	}
	if o.Binary == "" {
		if o.Binary, err = FindBtcd(); err != nil {
			return nil, err
		}
	}
	return withPort(o.RPCListen, func(addr string) (*Node, error) {
		return startBtcd(ctx, o, dir, addr)
	})
}

func startBtcd(ctx context.Context, o BtcdOptions, dir, addr string) (*Node, error) {
	password := newPassword()
	config := filepath.Join(dir, "btcd.conf")
	if err := writePrivate(config, fmt.Sprintf("[Application Options]\nrpcuser=%s\nrpcpass=%s\n", rpcUser, password)); err != nil {
		return nil, fmt.Errorf("write configuration of btcd: %w", err)
	}
	network, mining := o.Network, o.MiningAddr
	if network == "" {
		network = "simnet"
	}
	switch {
	case mining != "":
	case network == "simnet":
		mining = SimnetBurnAddress
	default:
		mining = RegtestBurnAddress
	}
	args := []string{
		// btcd ignores $HOME: each place must be named.
		"--" + network, "--configfile=" + config, "--datadir=" + filepath.Join(dir, "data"), "--logdir=" + filepath.Join(dir, "logs"),
		"--notls", "--rpclisten=" + addr, "--rpcmaxclients=64", "--nodnsseed",
		"--txindex", "--utxocachemaxsize=8", "--miningaddr=" + mining,
	}
	if o.P2PListen == "" {
		args = append(args, "--nolisten")
	} else {
		args = append(args, "--listen="+o.P2PListen)
	}
	c, err := startChild(spec{name: "btcd", binary: o.Binary, dir: dir, args: append(args, o.Args...), log: o.Log})
	if err != nil {
		return nil, err
	}
	n := &Node{child: c}
	n.connect(addr, password)
	n.mine = func(ctx context.Context, _, blocks, _ int64) error {
		return n.rpc.Call(ctx, "generate", nil, blocks)
	}
	if err := n.answers(ctx); err != nil {
		return nil, err
	}
	return n, nil
}
