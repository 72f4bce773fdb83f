package dashboard

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	site "github.com/adit-pool/adit/dashboard"
	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/redis"
)

// TestRun loads a dashboard of this process a little.
func TestRun(t *testing.T) {
	server, err := site.New(site.Options{
		Pools: []view.PoolInfo{boardtest.Info("toy", boardtest.Pool(20))}, NoDoc: boardtest.ErrNoDoc, BadCursor: boardtest.ErrCursor,
		Tick: 20 * time.Millisecond, Log: zerolog.Nop(), Now: boardtest.Start,
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	o := Options{
		Address: ln.Addr().String(), PIDs: []int{os.Getpid()}, Streams: 20, Slow: 2, For: 200 * time.Millisecond,
		Users: []string{"toy1alice", "toy1bob"}, Clients: 2, Requests: 10, Pairs: 1, Progress: t.Logf,
	}
	for mode, want := range map[string]int{"streams": 6, "pages": 8} {
		rows, err := Run(ctx, mode, o)
		if err != nil || len(rows) != want {
			t.Fatalf("%s: %v, %v", mode, rows, err)
		}
		for _, r := range rows {
			switch {
			case strings.Contains(r.What, "ended by") && r.Value != 0, strings.Contains(r.What, "bytes a stream") && r.Value < 100,
				strings.Contains(r.What, "size") && r.Value < 1000, strings.Contains(r.What, "p50") && r.Value <= 0:
				t.Errorf("%s: %+v", mode, r)
			}
		}
		var table strings.Builder
		if err := WriteTable(&table, rows); err != nil || strings.Count(table.String(), "\n") != want+1 {
			t.Errorf("%v\n%s", err, table.String())
		}
	}
	c := new(crowd)
	if err := c.slow(ctx, o.Address, o.Slow); err != nil {
		t.Error(err)
	}
	c.close()
	if _, err := Run(ctx, "submit", o); err == nil {
		t.Error("submit runs without a pool")
	}
	if _, err := Run(ctx, "none", o); err == nil {
		t.Error("a mode that is not there runs")
	}
	o.Users = []string{"stranger"}
	if _, err := Run(ctx, "pages", o); err == nil {
		t.Error("a page that is not there counts")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestFill(t *testing.T) {
	server, err := redis.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), AllowVolatile: true, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	chain, err := all.Find("bitcoin", "simnet")
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := Fill(t.Context(), FillOptions{Chain: chain, Pool: "b", Accounts: 3, Workers: 4, Redis: r, Progress: t.Logf})
	if err != nil || len(addresses) != 3 {
		t.Fatalf("%v, %v", addresses, err)
	}
	store, err := r.Pool(t.Context(), "b", "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := store.View(t.Context())
	if err != nil || v.Miners != 3 || v.Workers != 12 || len(v.Edges) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	main, err := all.Find("bitcoin", "mainnet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Fill(t.Context(), FillOptions{Chain: main, Pool: "b", Accounts: 1, Workers: 1, Redis: r, Progress: t.Logf}); err == nil {
		t.Error("a main network is filled")
	}
}
