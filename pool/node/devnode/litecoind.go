package devnode

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/adit-pool/adit/pool/node/rpc"
	"github.com/rs/zerolog"
)

// LitecoinMWEBHeight is where MWEB becomes active on regtest. The template of
// this very block fails unless the mempool holds a peg-in, so a chain that will
// pass it must be taken there by Prepare.
const LitecoinMWEBHeight = 432

// pegInWallet holds one coinbase for the peg-in.
const pegInWallet = "devnode"

// codeWalletNotFound is the Core family's answer to loadwallet of none.
const codeWalletNotFound = -18

// LitecoindOptions says how to run litecoind on regtest.
type LitecoindOptions struct {
	Binary     string // path or name; empty: litecoind on PATH
	Dir        string // chain, wallets, log, configuration and pid file; made when missing
	RPCListen  string // loopback host:port; empty: a free port
	MiningAddr string // where Prepare's blocks pay; empty: RegtestBurnAddress
	Args       []string
	Log        zerolog.Logger
}

// StartLitecoind starts litecoind with the peer it needs and returns when its
// RPC answers. ctx bounds the start only; the node runs until Stop or Kill.
func StartLitecoind(ctx context.Context, o LitecoindOptions) (*Node, error) {
	dir, err := prepareDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("prepare the directory of litecoind: %w", err)
	}
	if o.Binary == "" {
		o.Binary = "litecoind"
	}
	if o.MiningAddr == "" {
		o.MiningAddr = RegtestBurnAddress
	}
	return withPort(o.RPCListen, func(addr string) (*Node, error) {
		return startLitecoind(ctx, o, dir, addr)
	})
}

func startLitecoind(ctx context.Context, o LitecoindOptions, dir, addr string) (*Node, error) {
	password := newPassword()
	config := filepath.Join(dir, "litecoin.conf")
	if err := writePrivate(config, fmt.Sprintf("rpcuser=%s\nrpcpassword=%s\n", rpcUser, password)); err != nil {
		return nil, fmt.Errorf("write configuration of litecoind: %w", err)
	}
	peer, err := startPeerStub()
	if err != nil {
		return nil, err
	}
	args := []string{
		"-regtest", "-conf=" + config, "-datadir=" + dir, "-server", "-rpcbind=" + addr, "-rpcallowip=127.0.0.0/8", "-rpcallowip=::1",
		"-listen=0", "-connect=" + peer.addr(), "-dnsseed=0", "-discover=0", "-listenonion=0",
		"-txindex=1", "-fallbackfee=0.0002", "-dbcache=16", "-par=1",
		"-rpcthreads=16", // a client that was killed while it waited for a template keeps one for a minute
		"-printtoconsole=1", "-nodebuglogfile",
	}
	c, err := startChild(spec{
		name: "litecoind", binary: o.Binary, dir: dir, args: append(args, o.Args...), log: o.Log, onExit: peer.close,
	})
	if err != nil {
		peer.close()
		return nil, err
	}
	n := &Node{child: c}
	n.connect(addr, password)
	l := litecoin{node: n.rpc, wallet: n.client(n.url + "/wallet/" + pegInWallet), burn: o.MiningAddr}
	n.mine = l.mine
	if err := n.answers(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// litecoin mines blocks past the activation of MWEB.
type litecoin struct {
	node, wallet *rpc.Client
	burn         string
}

func (l litecoin) mine(ctx context.Context, have, n, target int64) error {
	if have >= LitecoinMWEBHeight || target < LitecoinMWEBHeight {
		return l.generate(ctx, n, l.burn)
	}
	if err := l.openWallet(ctx); err != nil {
		return err
	}
	var balances struct {
		Mine struct{ Trusted, Immature float64 } // only compared with zero
	}
	if err := l.wallet.Call(ctx, "getbalances", &balances); err != nil {
		return err
	}
	switch last := int64(LitecoinMWEBHeight - 1); {
	case balances.Mine.Trusted == 0 && balances.Mine.Immature == 0:
		var own string
		if err := l.wallet.Call(ctx, "getnewaddress", &own); err != nil {
			return err
		}
		return l.generate(ctx, 1, own)
	case have < last:
		return l.generate(ctx, min(n, last-have), l.burn)
	case balances.Mine.Trusted == 0:
		return fmt.Errorf("no mature coin for the peg-in that block %d needs: start anew in an empty directory", LitecoinMWEBHeight)
	}
	if err := l.pegIn(ctx); err != nil {
		return fmt.Errorf("send the peg-in that block %d needs: %w", LitecoinMWEBHeight, err)
	}
	return l.generate(ctx, 1, l.burn)
}

func (l litecoin) generate(ctx context.Context, n int64, to string) error {
	return l.node.Call(ctx, "generatetoaddress", nil, n, to)
}

// pegIn puts one peg-in into the mempool.
func (l litecoin) pegIn(ctx context.Context) error {
	var address, txid string
	if err := l.wallet.Call(ctx, "getnewaddress", &address, "", "mweb"); err != nil {
		return err
	}
	return l.wallet.Call(ctx, "sendtoaddress", &txid, address, 5)
}

// openWallet loads the wallet of the peg-in, or makes it.
func (l litecoin) openWallet(ctx context.Context) error {
	var loaded []string
	if err := l.node.Call(ctx, "listwallets", &loaded); err != nil {
		return err
	}
	for _, name := range loaded {
		if name == pegInWallet {
			return nil
		}
	}
	err := l.node.Call(ctx, "loadwallet", nil, pegInWallet)
	var refused *rpc.Error
	if errors.As(err, &refused) && refused.Code == codeWalletNotFound {
		return l.node.Call(ctx, "createwallet", nil, pegInWallet)
	}
	return err
}
