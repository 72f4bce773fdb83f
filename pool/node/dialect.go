package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// This file is where btcd and Bitcoin Core (and its kin) differ; the rest of the package speaks one tongue.
//
//	                             btcd                            Core
//	default_witness_commitment   32 bytes; absent when no        whole output script, always
//	                             transaction has a witness
//	bits                         no leading zeros                8 digits
//	submitblock                  "rejected: sentence"; null      BIP22 words; null = connected;
//	                             also for orphans and side       "inconclusive" for side blocks
//	                             blocks; "already have block"
//	header of a side block       error -32603                    confirmations -1
//	error -10                    for ever while the tip is old   until synced
//	fees                         estimatefee, coins per kB       estimatesmartfee

// commitmentPrefix opens the output script of a witness commitment: OP_RETURN, push 36, BIP141's tag.
var commitmentPrefix = [6]byte{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed}

// commitmentScript makes the whole output script of either dialect's default_witness_commitment.
func commitmentScript(digits string) ([]byte, error) {
	if digits == "" {
		return nil, nil
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("witness commitment: %w", err)
	}
	if len(raw) == 32 {
		raw = append(commitmentPrefix[:], raw...)
	}
	if len(raw) != 38 || [6]byte(raw) != commitmentPrefix {
		return nil, fmt.Errorf("witness commitment %.80s has neither 32 bytes nor the form of BIP141", digits)
	}
	return raw, nil
}

// template turns an answer into the pool's form. It fails on what no block can have.
func (a *answer) template(node string, params *pool.Params) (*pool.Template, error) {
	for _, r := range a.rules {
		if name, must := strings.CutPrefix(r, "!"); must && !slices.Contains(params.TemplateRules, name) {
			return nil, fmt.Errorf("the node asks for rule %.40q, which is not known for %s %s", name, params.Coin, params.Network)
		}
	}
	switch {
	case a.version < math.MinInt32 || a.version > math.MaxUint32:
		return nil, fmt.Errorf("version %d", a.version)
	case a.height < 1 || a.height > math.MaxInt32:
		return nil, fmt.Errorf("height %d", a.height)
	case a.value < 0:
		return nil, fmt.Errorf("coinbasevalue %d", a.value)
	case a.minTime < 0 || a.curTime > math.MaxUint32 || a.minTime > a.curTime:
		return nil, fmt.Errorf("mintime %d and curtime %d", a.minTime, a.curTime)
	case len(a.aux) > 100:
		return nil, fmt.Errorf("coinbaseaux of %d bytes", len(a.aux))
	}
	bits, err := parseBits(a.bits)
	if err != nil {
		return nil, err
	}
	if a.target != "" {
		want, err := pool.TargetFromBits(bits)
		if err != nil {
			return nil, err
		}
		if got, err := pool.ParseTarget(a.target); err != nil || got != want {
			return nil, fmt.Errorf("target %.70s is not that of bits %08x", a.target, bits)
		}
	}
	t := &pool.Template{
		Node: node, Height: a.height, PrevHash: a.previous, Version: uint32(a.version), Bits: bits,
		CurTime: uint32(a.curTime), MinTime: uint32(a.minTime), CoinbaseValue: pool.Amount(a.value),
		CoinbaseAux: a.aux, Txs: a.txs, LongpollID: a.longpollID,
	}
	if t.WitnessCommitment, err = commitmentScript(a.commitment); err != nil {
		return nil, err
	}
	if a.extension != "" { // Litecoin: a byte that says "present", then the extension block
		if t.Extension, err = hex.AppendDecode([]byte{1}, []byte(a.extension)); err != nil {
			return nil, fmt.Errorf("extension block: %w", err)
		}
	}
	return t, nil
}

// explainTemplate says in words why a node gives no template and what to do.
func explainTemplate(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case rpc.CodeNotConnected:
		return fmt.Errorf("%w: it has no peers, so a found block could reach nobody: connect it to the network (%w)", ErrNotReady, err)
	case rpc.CodeInitialSync:
		if strings.Contains(e.Message, "downloading blocks") { // btcd
			return fmt.Errorf("%w: its newest block is not current: it is still syncing, or that block is over a day old; a private btcd then stays so until one block is mined (start it with --miningaddr, call generate 1) (%w)", ErrNotReady, err)
		}
		return fmt.Errorf("%w: it is in initial sync; on a private chain one mined block ends that (%w)", ErrNotReady, err)
	case rpc.CodeWarmup:
		return fmt.Errorf("%w: it is starting up (%w)", ErrNotReady, err)
	case rpc.CodeMethodNotFound:
		return fmt.Errorf("%w: it has no getblocktemplate (%w)", ErrNotReady, err)
	}
	return err
}

// submitWord is what an answer to submitblock claims, before the block is read back.
type submitWord int

const (
	wordNothing   submitWord = iota // no claim that helps: read back
	wordTaken                       // success, which btcd also says of orphans and side blocks
	wordDuplicate                   // the node had it already, and does not say whether it is valid
	wordInvalid                     // the node proved it invalid
)

// readSubmit reads submitblock's result, nil for JSON null.
func readSubmit(word *string) (submitWord, string) {
	if word == nil {
		return wordTaken, ""
	}
	w := *word
	switch w {
	case "":
		return wordTaken, ""
	case "duplicate":
		return wordDuplicate, w
	case "inconclusive", "duplicate-inconclusive", "prev-blk-not-found", "inconclusive-not-best-prevblk",
		"time-too-new", "stale-prevblk", "stale-work", "unknown-work":
		return wordNothing, w
	case "duplicate-invalid":
		return wordInvalid, w
	}
	if sentence, ok := strings.CutPrefix(w, "rejected: "); ok { // btcd
		switch {
		case strings.Contains(sentence, "already have block"):
			return wordDuplicate, w
		case strings.Contains(sentence, "too far in the future"), strings.Contains(sentence, "is unknown"):
			return wordNothing, w
		}
	}
	return wordInvalid, w
}
