package stratum_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

// nuisances are peers that others must not feel: each starts some on addr, until stop.
var nuisances = []struct {
	name  string
	begin func(t *testing.T, addr string, n int, stop <-chan struct{}) *sync.WaitGroup
}{
	{"slow-readers", func(t *testing.T, addr string, n int, stop <-chan struct{}) *sync.WaitGroup {
		return each(t, addr, n, stop, func(nc net.Conn) { // has work, asks on, reads nothing
			io.WriteString(nc, `{"id":1,"method":"mining.subscribe","params":["x"]}`+"\n"+`{"id":2,"method":"mining.authorize","params":["testslow"]}`+"\n")
			for {
				nc.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(nc, strings.Repeat(`{"id":3,"method":"mining.ping"}`+"\n", 50)); err != nil {
					return
				}
			}
		})
	}},
	{"strangers", func(t *testing.T, addr string, n int, stop <-chan struct{}) *sync.WaitGroup {
		return each(t, addr, 25*n, stop, func(nc net.Conn) { // never authorizes
			io.WriteString(nc, `{"id":1,"method":"mining.subscribe","params":["x"]}`+"\n{")
		})
	}},
	{"floods", func(t *testing.T, addr string, n int, stop <-chan struct{}) *sync.WaitGroup {
		return each(t, addr, n/10, stop, func(nc net.Conn) { // as many requests as it can, read and thrown away
			go io.Copy(io.Discard, nc)
			line := strings.Repeat(`{"id":4,"method":"mining.submit","params":["testa","00000000","0000000000000000","00000000","00000000"]}`+"\n", 100)
			for {
				if _, err := io.WriteString(nc, line); err != nil {
					return
				}
			}
		})
	}},
}

// each dials n connections, runs f on each, and holds them open until stop.
func each(t *testing.T, addr string, n int, stop <-chan struct{}, f func(net.Conn)) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { f(nc) })
		wg.Go(func() { <-stop; nc.Close() })
	}
	return &wg
}

// shareTimes submits shares one after the other and returns how long the slowest of a hundred took: the 99th
// of n.
func shareTimes(t *testing.T, c *stratumtest.Client, n int) time.Duration {
	t.Helper()
	times := make([]time.Duration, n)
	for i := range times {
		line, id := c.SubmitLine(c.Find(&c.Rig.Job))
		from := time.Now()
		c.Ask(line, fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
		times[i] = time.Since(from)
		time.Sleep(500 * time.Microsecond) // a rig, not a loop
	}
	slices.Sort(times)
	return times[n*99/100]
}

// P2, P3, P4: beside peers that misbehave another miner's shares take little longer than without them. With
// ADIT_LONG set it is measured with many: five alternated pairs, whose medians may differ by a factor of
// two. The short form only shows that the miner is served at all, in a time that does not depend on the
// machine's mood.
func TestNeighbours(t *testing.T) {
	long := os.Getenv("ADIT_LONG") != ""
	n, shares, pairs := 50, 200, 1
	if long {
		n, shares, pairs = 300, 2000, 5
	}
	for _, nuisance := range nuisances {
		t.Run(nuisance.name, func(t *testing.T) {
			s, _ := serve(t, func(o *stratum.Options) { o.Write = 2 * time.Second })
			c := stratumtest.Dial(t, s.Addr)
			c.Open("testgood")
			var alone, beside []time.Duration
			for range pairs {
				alone = append(alone, shareTimes(t, c, shares))
				stop := make(chan struct{})
				wg := nuisance.begin(t, s.Addr, n, stop)
				beside = append(beside, shareTimes(t, c, shares))
				close(stop)
				wg.Wait()
				await(t, func() bool { return s.Stats().Connections == 1 }, func() string { return "nuisances not ended" })
			}
			slices.Sort(alone)
			slices.Sort(beside)
			a, b := alone[pairs/2], beside[pairs/2]
			t.Logf("p99 of a share: alone %v, beside %v (%.2f times)", a, b, float64(b)/float64(a))
			if limit := 2 * a; long && b > limit || b > time.Second {
				t.Errorf("p99 %v beside them, %v alone", b, a)
			}
		})
	}
}
