//go:build itest

package itest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool/node/devnode"
)

// histories is one pool whose ledger goes on in two ways from a copy.
type histories struct {
	t      *testing.T
	s      *site
	dir    string // of the configuration
	config string
	person string // key file of one who approves
	redis  *topology
	node   *devnode.Node
}

// TestTwoHistories copies a ledger's disk and has both copies build and sign a payout before either is sent. Both
// spend the baton of the payout before, so the node's chain takes one of them and never the other; the other
// history says that it is in conflict, and pays nothing.
func TestTwoHistories(t *testing.T) {
	if os.Getenv("CHAOS_PAYOUT_FAULTS") == "" {
		t.Skip("make chaos-payout runs this")
	}
	h := newHistories(t)
	pay := func(args ...string) (string, int) { return h.payout(args...) }
	h.s.await("the first payout in the chain", 2*time.Minute, func() error {
		said, _ := pay("run", "--yes")
		for _, d := range h.batches() {
			if d.State == payout.StateFrozen {
				pay("approve", d.ID, "--key", h.person)
			}
			if d.State == payout.StateConfirmed {
				return nil
			}
		}
		h.mine(2)
		return errors.New(tail(said, 500))
	})
	h.mine(80) // more rewards are mature
	h.s.await("a second payout that is due", time.Minute, func() error {
		if said, code := pay("run"); code != 0 {
			return errors.New(tail(said, 500))
		}
		return nil
	})
	h.s.kill()
	data := h.s.dir
	h.copy(data, data+".b")

	first := h.signed(payout.FeeFromPool)
	h.s.kill()
	h.swap(data, data+".a", data+".b")
	second := h.signed(payout.FeeFromPayees) // so that it is another transaction
	if *first.TxID == *second.TxID || first.Inputs[0].Outpoint != second.Inputs[0].Outpoint || first.Inputs[0].Kind != "baton" {
		t.Fatalf("two payouts that do not share a baton: %v and %v", first.Inputs[0], second.Inputs[0])
	}

	// The second history pays, then the first one tries to.
	if said, code := pay("broadcast", second.ID); code != 0 {
		t.Fatalf("broadcast: exit code %d: %s", code, said)
	}
	h.s.await("its transaction in the chain", time.Minute, func() error {
		h.mine(1)
		if !slices.Contains(h.chain(), second.TxID.String()) {
			return errors.New("it is not there")
		}
		return nil
	})
	h.s.kill()
	h.swap(data, data+".b", data+".a")
	h.up(payout.FeeFromPool)
	h.s.await("a conflict", time.Minute, func() error {
		if d := h.batches()[1]; d.State != payout.StateConflicted {
			return fmt.Errorf("the payout that cannot be is %s", d.State)
		}
		return nil
	})
	if said, code := pay("broadcast", first.ID); code == 0 {
		t.Errorf("it is sent: %s", said)
	}
	if said, code := pay("run", "--yes"); code != 6 {
		t.Errorf("the history in conflict goes on: exit code %d: %s", code, said)
	}
	h.mine(2)
	h.s.kill()
	h.swap(data, data+".a", data+".b")
	h.up(payout.FeeFromPayees)
	h.s.await("the payout that was made to be booked", time.Minute, func() error {
		pay("broadcast", second.ID)
		if d := h.batches()[1]; d.State != payout.StateConfirmed {
			return fmt.Errorf("it is %s", d.State)
		}
		return nil
	})
	once, never := 0, 0
	for _, txid := range h.chain() {
		if txid == second.TxID.String() {
			once++
		}
		if txid == first.TxID.String() {
			never++
		}
	}
	if once != 1 || never != 0 {
		t.Errorf("the chain has one payout %d times, the other %d times", once, never)
	}
	h.s.stop()
}

// newHistories has a pool with some rewards, of which those of the first block are mature.
func newHistories(t *testing.T) *histories {
	t.Helper()
	h := &histories{t: t, redis: startTopology(t, "single", t.TempDir())}
	var err error
	h.node, err = devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Network: "regtest", Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.node.Kill)
	if err := h.node.Prepare(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	var states []devState
	h.s, states = startConfigured(t, h.redis.url(), configured{coin: "bitcoin", network: "regtest", node: h.node})
	h.dir = filepath.Dir(h.s.dir)
	h.config, h.person = filepath.Join(h.dir, "adit.toml"), filepath.Join(h.dir, "ann.key")
	table, err := exec.Command(aditBinary, "payout", "approver", h.person, "--name", "ann").Output()
	if err != nil {
		t.Fatal(err)
	}
	stop := runRig(t, states[0].Stratum, states[0].RewardAddress+".rig", sha256d.Kernel{}, 2, nil)
	found := func(n int) {
		t.Helper()
		h.s.await("blocks", time.Minute, func() error {
			var v struct{ Total int }
			if err := h.s.pool("/blocks?limit=1", &v); err != nil || v.Total < n {
				return fmt.Errorf("%d blocks, %v", v.Total, err)
			}
			return nil
		})
	}
	found(2)
	h.mine(30)
	found(5)
	stop()
	h.mine(75)
	h.s.stop()
	text, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	more := "[payout]\npolicy = \"one\"\nconfirm_depth = 2\nfee_from = \"pool\"\n" + string(table)
	if err := os.WriteFile(h.config, append(text, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	h.up(payout.FeeFromPool)
	return h
}

// up starts the server on the disk as it is, with a Redis that knows nothing; from says who bears
// network fees.
func (h *histories) up(from string) {
	h.t.Helper()
	text, err := os.ReadFile(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "fee_from = ") {
			lines[i] = fmt.Sprintf("fee_from = %q", from)
		}
	}
	if err := os.WriteFile(h.config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.redis.flush()
	state, dir := h.s.state, h.s.dir
	h.s = start(h.t, dir, "serve", "--config", h.config)
	h.s.state = state
	h.s.await("readiness", time.Minute, func() error { var text string; return h.s.get("/readyz", &text) })
}

// signed starts the server and leads the payout that is due as far as signed.
func (h *histories) signed(from string) *payout.BatchDoc {
	h.t.Helper()
	h.up(from)
	h.s.await("a draft", time.Minute, func() error {
		if said, code := h.payout("draft", "--yes", "--by", "bob"); code != 0 {
			return fmt.Errorf("exit code %d: %s", code, tail(said, 500))
		}
		return nil
	})
	id := h.batches()[1].ID
	for _, args := range [][]string{{"approve", id, "--key", h.person}, {"sign", id}} {
		if said, code := h.payout(args...); code != 0 {
			h.t.Fatalf("%v: exit code %d: %s", args, code, said)
		}
	}
	d := h.batches()[1]
	if d.State != payout.StateSigned || d.TxID == nil {
		h.t.Fatalf("the payout is %s", d.State)
	}
	return d
}

func (h *histories) payout(args ...string) (string, int) {
	h.t.Helper()
	out, err := exec.Command(aditBinary, append(append([]string{"payout"}, args...), "--data-dir", h.s.dir)...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return string(out), 0
}

func (h *histories) batches() []*payout.BatchDoc {
	h.t.Helper()
	var docs []*payout.BatchDoc
	h.s.await("the list of payouts", time.Minute, func() error {
		out, code := h.payout("list", "--json")
		if code != 0 {
			return errors.New(out)
		}
		return json.Unmarshal([]byte(out), &docs)
	})
	return docs
}

// mine has the node find blocks that pay nobody here.
func (h *histories) mine(n int64) {
	h.t.Helper()
	calls := nodeClient(h.node, "")
	defer calls.Close()
	var height int64
	if err := calls.Call(h.t.Context(), "getblockcount", &height); err != nil {
		h.t.Fatal(err)
	}
	h.s.await("more blocks", time.Minute, func() error { return h.node.Prepare(h.t.Context(), height+n, nil) })
}

func (h *histories) copy(from, to string) {
	h.t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		h.t.Fatalf("copy: %v: %s", err, out)
	}
}

// swap puts one history's disk aside and the other's in its place.
func (h *histories) swap(data, aside, place string) {
	h.t.Helper()
	if err := errors.Join(os.Rename(data, aside), os.Rename(place, data)); err != nil {
		h.t.Fatal(err)
	}
}

// chain lists the ids of all transactions in the node's chain but coinbases.
func (h *histories) chain() (ids []string) {
	h.t.Helper()
	calls := nodeClient(h.node, "")
	defer calls.Close()
	var height int64
	if err := calls.Call(h.t.Context(), "getblockcount", &height); err != nil {
		h.t.Fatal(err)
	}
	for at := int64(1); at <= height; at++ {
		var hash string
		var block struct{ Tx []string }
		if err := calls.Call(h.t.Context(), "getblockhash", &hash, at); err != nil {
			h.t.Fatal(err)
		}
		if err := calls.Call(h.t.Context(), "getblock", &block, hash, 1); err != nil {
			h.t.Fatal(err)
		}
		ids = append(ids, block.Tx[1:]...)
	}
	return ids
}
