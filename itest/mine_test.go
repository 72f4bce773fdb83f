//go:build itest

package itest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/node/devnode"
	"github.com/adit-pool/adit/worker"
)

// TestMineCommand mines real blocks on btcd and on litecoind with `adit mine`, whose first pool is away, and
// reads what the rig tells over HTTP.
func TestMineCommand(t *testing.T) {
	ltc := litecoind(t)
	btcd, err := devnode.StartBtcd(t.Context(), devnode.BtcdOptions{Binary: btcdBinary, Network: "regtest", Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(btcd.Kill)
	if err := btcd.Prepare(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	s, states := startConfigured(t, redisServer(t).URL(),
		configured{coin: "bitcoin", network: "regtest", node: btcd},
		configured{coin: "litecoin", network: "regtest", node: ltc})
	for i, node := range []*devnode.Node{btcd, ltc} {
		algorithm := []string{"sha256d", "scrypt"}[i]
		listen := freePort(t)
		rig := exec.CommandContext(t.Context(), aditBinary, "mine", "--algorithm", algorithm, "--threads", "1", "--limit", "20", "--intensity", "50",
			"--devices", "cpu", "--pool", "stratum+tcp://"+freePort(t), "--pool", states[i].Stratum, "--user", devnode.RegtestBurnAddress+".command",
			"--suggest-difficulty", "1", "--listen", listen)
		var out bytes.Buffer
		rig.Stdout, rig.Stderr = &out, &out
		client := nodeClient(node, "")
		height := func() (h int64) {
			if err := client.Call(t.Context(), "getblockcount", &h); err != nil {
				t.Fatal(err)
			}
			return h
		}
		before := height()
		if err := rig.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- rig.Wait() }()
		var status worker.Status
		s.await(algorithm+" blocks and shares of the rig", 2*time.Minute, func() error {
			if h := height(); h < before+3 {
				return fmt.Errorf("height %d, at first %d", h, before)
			}
			res, err := http.Get("http://" + listen + "/status")
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
				return err
			}
			if status.Counts.Accepted < 3 {
				return errors.New("too few shares")
			}
			return nil
		})
		if status.Kernel != algorithm || status.Pool.Index != 1 || !status.Pool.LoggedIn || len(status.Devices) != 1 ||
			status.Devices[0].Accepted == 0 || status.Devices[0].Errors != 0 {
			t.Errorf("%+v", status)
		}
		if err := rig.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("adit mine ended: %v", err)
		}
		if text := out.String(); !strings.Contains(text, "accepted, difficulty") || !strings.Contains(text, "disconnected: connect to pool") {
			t.Errorf("it printed\n%s", tail(text, 4000))
		}
		client.Close()
	}
	s.stop()
}
