package devnode

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool/node/devnode/devnodetest"
	"github.com/adit-pool/adit/pool/node/rpc"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

func btcdBinary(t *testing.T) string { return devnodetest.Btcd(t) }

func startBtcdIn(t *testing.T, dir string) *Node {
	t.Helper()
	begin := time.Now()
	n, err := StartBtcd(t.Context(), BtcdOptions{Binary: btcdBinary(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	t.Logf("btcd answers after %v", time.Since(begin).Round(time.Millisecond))
	return n
}

func call(t *testing.T, n *Node, result any, method string, params ...any) {
	t.Helper()
	c := rpc.New(rpc.Options{URL: n.URL(), User: n.User(), Password: n.Password()})
	defer c.Close()
	if err := c.Call(t.Context(), method, result, params...); err != nil {
		t.Fatal(err)
	}
}

func TestBurnAddress(t *testing.T) {
	want, err := btcutil.NewAddressPubKeyHash(make([]byte, 20), &chaincfg.SimNetParams)
	if err != nil || want.EncodeAddress() != SimnetBurnAddress {
		t.Errorf("simnet: want %v, %v", want, err)
	}
	want, err = btcutil.NewAddressPubKeyHash(make([]byte, 20), &chaincfg.RegressionNetParams)
	if err != nil || want.EncodeAddress() != RegtestBurnAddress {
		t.Errorf("litecoin regtest (same version byte as bitcoin's): want %v, %v", want, err)
	}
}

func TestBtcdKeepsItsChain(t *testing.T) {
	dir := t.TempDir()
	n := startBtcdIn(t, dir)
	var told []int64
	begin := time.Now()
	err := n.Prepare(t.Context(), SimnetSegwitHeight, func(have, want int64) {
		if want != SimnetSegwitHeight {
			t.Errorf("wants %d", want)
		}
		told = append(told, have)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("height %d after %v", SimnetSegwitHeight, time.Since(begin).Round(time.Millisecond))
	if len(told) < 3 || told[0] != 0 || told[len(told)-1] != SimnetSegwitHeight {
		t.Errorf("progress told: %v", told)
	}
	var chain struct {
		SoftForks struct {
			Segwit struct{ Status string }
		} `json:"bip9_softforks"`
		Bip9 map[string]struct{ Status string } `json:"softforks"`
	}
	call(t, n, &chain, "getblockchaininfo")
	if chain.SoftForks.Segwit.Status != "active" && chain.Bip9["segwit"].Status != "active" {
		t.Errorf("segwit is %+v", chain)
	}
	var template struct{ Height int64 }
	call(t, n, &template, "getblocktemplate", map[string]any{"rules": []string{"segwit"}})
	if template.Height != SimnetSegwitHeight+1 {
		t.Errorf("template of height %d", template.Height)
	}

	var hash string
	call(t, n, &hash, "getbestblockhash")
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, n.PID())
	again := startBtcdIn(t, dir)
	if again.Password() == n.Password() {
		t.Error("the password is the same at every start")
	}
	again.Kill()
	if err := again.Err(); err != nil {
		t.Errorf("after Kill: %v", err)
	}
	last := startBtcdIn(t, dir)
	var now string
	call(t, last, &now, "getbestblockhash")
	if now != hash {
		t.Errorf("tip %s after stop and kill, was %s", now, hash)
	}
	if err := last.Prepare(t.Context(), SimnetSegwitHeight, nil); err != nil {
		t.Error(err)
	}
	call(t, last, &now, "getbestblockhash")
	if now != hash {
		t.Error("Prepare mined on a chain that was ready")
	}
}

func TestBtcdSecretsStayPrivate(t *testing.T) {
	dir := t.TempDir()
	n := startBtcdIn(t, dir)
	info, err := os.Stat(dir + "/btcd.conf")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("configuration: %v %v", info, err)
	}
	for _, arg := range n.cmd.Args {
		if strings.Contains(arg, n.Password()) {
			t.Error("the password stands on the command line")
		}
	}
}

func TestBtcdKilledByOthers(t *testing.T) {
	n := startBtcdIn(t, t.TempDir())
	if err := syscall.Kill(n.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-n.Done()
	if err := n.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Err: %v", err)
	}
}

func TestBtcdRefusesToStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = StartBtcd(t.Context(), BtcdOptions{Binary: btcdBinary(t), Dir: t.TempDir(), RPCListen: l.Addr().String()})
	if !errors.Is(err, errPortTaken) {
		t.Errorf("taken port: %v", err)
	}
	_, err = StartBtcd(t.Context(), BtcdOptions{Binary: btcdBinary(t), Dir: t.TempDir(), MiningAddr: "nonsense"})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("wrong mining address: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = StartBtcd(ctx, BtcdOptions{Binary: btcdBinary(t), Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestBtcdStaleTip gives the chain a tip of 2014, as after a long pause.
func TestBtcdStaleTip(t *testing.T) {
	n := startBtcdIn(t, t.TempDir())
	call(t, n, nil, "submitblock", oldBlock(t))
	template := func() error {
		c := rpc.New(rpc.Options{URL: n.URL(), User: n.User(), Password: n.Password()})
		defer c.Close()
		return c.Call(t.Context(), "getblocktemplate", nil, map[string]any{"rules": []string{"segwit"}})
	}
	var refused *rpc.Error
	if err := template(); !errors.As(err, &refused) || refused.Code != rpc.CodeInitialSync {
		t.Fatalf("a stale tip gives %v: the test does not test", err)
	}
	if err := n.Prepare(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := template(); err != nil {
		t.Error(err)
	}
}

// oldBlock is block 1 of simnet, an hour after genesis.
func oldBlock(t *testing.T) string {
	t.Helper()
	genesis := chaincfg.SimNetParams.GenesisBlock
	coinbase := wire.NewMsgTx(1)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, 0xffffffff), []byte{0x51, 0x00}, nil))
	coinbase.AddTxOut(wire.NewTxOut(50*1e8, []byte{0x51}))
	prev, root := genesis.BlockHash(), coinbase.TxHash()
	block := wire.NewMsgBlock(wire.NewBlockHeader(0x20000000, &prev, &root, genesis.Header.Bits, 0))
	block.Header.Timestamp = genesis.Header.Timestamp.Add(time.Hour)
	block.AddTransaction(coinbase)
	for { // target 7fffff…: every second hash will do
		if hash := block.BlockHash(); hash[chainhash.HashSize-1] < 0x7f {
			break
		}
		block.Header.Nonce++
	}
	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(raw.Bytes())
}
