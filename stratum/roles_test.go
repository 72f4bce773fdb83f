package stratum_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	chains "github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/edge"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/v1"
	"go.uber.org/goleak"
)

// roleVar makes the test binary play another process of TestNeighbours.
const roleVar = "ADIT_NEIGHBOUR_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := playRole(strings.Fields(role)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func playRole(f []string) error {
	if f[0] == "server" {
		return playServer(f[1], f[2])
	}
	n, err := strconv.Atoi(f[2])
	if err != nil {
		return err
	}
	return playNuisance(f[0], f[1], n)
}

// neighbour is the address that all of them mine for.
const neighbour = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"

// nowhere is Redis, which is away, and nodes, of which there are none.
type nowhere struct{ pool.Node }

func (nowhere) Register(context.Context, string, uint64) error { return nil }
func (nowhere) Append(_ context.Context, _ string, _, _ uint64, b []journal.Block) (uint64, error) {
	return b[len(b)-1].Last(), nil
}
func (nowhere) Released(_ context.Context, _ string, epochs []uint64) ([]uint64, error) {
	return make([]uint64, len(epochs)), nil
}
func (nowhere) Settled(_ context.Context, blocks []pool.Hash) ([]bool, error) {
	return make([]bool, len(blocks)), nil
}
func (nowhere) PublishCandidate(context.Context, pool.Candidate) error { return nil }
func (nowhere) Report(context.Context, pool.Report) error              { return nil }

// playServer is the real server on the real edge: engine, journal with fsync, Bitcoin's rules, a new job every
// two seconds. It writes its address and ends with its standard input.
func playServer(dir, memory string) error {
	signal.Ignore(syscall.SIGTERM)
	mib, err := strconv.ParseInt(memory, 10, 64)
	if err != nil {
		return err
	}
	chain, err := chains.Find("bitcoin", "mainnet")
	if err != nil {
		return err
	}
	j, err := journal.Open(journal.Options{Dir: dir + "/journal", Pool: "p"})
	if err != nil {
		return err
	}
	defer j.Close(context.Background())
	script, err := chain.Script(neighbour)
	if err != nil {
		return err
	}
	engine, err := pool.NewEngine(pool.EngineConfig{PoolID: "p", Chain: chain, Scheme: pool.SchemePPLNS, Tag: "/t/", Epoch: j.Epoch(), RewardScript: script})
	if err != nil {
		return err
	}
	e, err := edge.New(edge.Options{Pool: "p", Name: "e", Chain: chain, Engine: engine, Journal: j, Stream: nowhere{}, Candidates: nowhere{}, Reports: nowhere{}, Ledger: nowhere{}, Dir: dir + "/candidates"})
	if err != nil {
		return err
	}
	s, err := stratum.New(stratum.Options{
		Pool: e, Dialect: v1.New(), Limits: pool.Limits{Start: 2e-9, Min: 1e-9, Max: 1e6},
		Memory: stratum.NewMemory(stratum.MemoryOptions{Cap: mib << 20}),
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	wg.Go(func() { _ = s.Serve(ctx, ln) })
	wg.Go(func() {
		for tick := time.NewTicker(2 * time.Second); ; {
			now := uint32(time.Now().Unix())
			txs := make([]pool.TemplateTx, 3000)
			for i := range txs {
				txs[i].ID = pool.Hash{byte(i), byte(i >> 8), 1}
			}
			_ = e.SetTemplate(&pool.Template{Node: "n", Height: 100, PrevHash: pool.Hash{1}, Version: 0x20000000, Bits: 0x1d00ffff,
				CurTime: now, MinTime: now - 3600, CoinbaseValue: 5_000_000_000, Txs: txs})
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	fmt.Println(ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	wg.Wait()
	return nil
}

// playNuisance misbehaves in one way towards addr with n connections until it is told to end. It writes a line
// when it is under way.
func playNuisance(name, addr string, n int) error {
	// Others' machines are not this one: what they compute must not count.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	login := `{"id":1,"method":"mining.subscribe","params":["x"]}` + "\n" + `{"id":2,"method":"mining.authorize","params":["` + neighbour + `.%d"]}` + "\n"
	behave := map[string]func(nc net.Conn, i int) (again bool){
		// has work and asks on, but reads nothing
		"slow-readers": func(nc net.Conn, i int) bool {
			fmt.Fprintf(nc, login, i)
			for pings := strings.Repeat(`{"id":3,"method":"mining.ping"}`+"\n", 50); ; {
				nc.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(nc, pings); err != nil {
					return false
				}
			}
		},
		// has work and listens
		"idle": func(nc net.Conn, i int) bool {
			fmt.Fprintf(nc, login, i)
			io.Copy(io.Discard, nc)
			return false
		},
		// has work, and is never heard of again while jobs pile up
		"half-open": func(nc net.Conn, i int) bool {
			fmt.Fprintf(nc, login, i)
			<-ctx.Done()
			return false
		},
		// never authorizes, and comes again as often as it is sent away
		"strangers": func(nc net.Conn, _ int) bool {
			io.WriteString(nc, `{"id":1,"method":"mining.subscribe","params":["x"]}`+"\n{")
			io.Copy(io.Discard, nc)
			return true
		},
		// as many requests as it can, whose answers it throws away
		"floods": func(nc net.Conn, _ int) bool {
			go io.Copy(io.Discard, nc)
			line := strings.Repeat(`{"id":4,"method":"mining.submit","params":["x","00000000","0000000000000000","00000000","00000000"]}`+"\n", 100)
			for {
				if _, err := io.WriteString(nc, line); err != nil {
					return true
				}
			}
		},
		// logs in with names that nobody had, two thousand a connection
		"names": func(nc net.Conn, i int) bool {
			go io.Copy(io.Discard, nc)
			for k := range 2000 {
				if _, err := fmt.Fprintf(nc, login, i*2000+k); err != nil {
					break
				}
			}
			<-ctx.Done()
			return false
		},
	}[name]
	var wg sync.WaitGroup
	for i := range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		wg.Go(func() {
			for {
				end := context.AfterFunc(ctx, func() { nc.Close() })
				again := behave(nc, i)
				nc.Close()
				end()
				if !again || ctx.Err() != nil {
					return
				}
				if nc, err = net.Dial("tcp", addr); err != nil {
					return
				}
			}
		})
	}
	fmt.Println("under way")
	<-ctx.Done()
	wg.Wait()
	return nil
}
