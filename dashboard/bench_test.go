package dashboard

import (
	"fmt"
	"testing"
	"time"

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
)

// BenchmarkPage is the server's time for a page whose values it has read of late: the overview, and a user
// page of a hundred workers.
func BenchmarkPage(b *testing.B) {
	store := boardtest.Pool(60)
	id := accountOfToy("toy1alice")
	a := store.Accounts[id]
	w := a.View.Workers[0]
	for i := len(a.View.Workers); i < 100; i++ {
		w.Name = fmt.Sprintf("hall%d.rig%d", i/50, i)
		a.View.Workers = append(a.View.Workers, w)
	}
	store.Accounts[id] = a
	server, err := New(Options{Pools: []view.PoolInfo{boardtest.Info("toy", store)}, NoDoc: boardtest.ErrNoDoc, BadCursor: boardtest.ErrCursor,
		PerMinute: -1, Log: zerolog.Nop(), Now: func() time.Time { return boardtest.Start() }})
	if err != nil {
		b.Fatal(err)
	}
	defer server.board.Close()
	for name, path := range map[string]string{"overview": "/", "user": "/user/toy1alice"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var c fasthttp.RequestCtx
				c.Request.SetRequestURI(path)
				server.handle(web.Request{RequestCtx: &c})
				if c.Response.StatusCode() != 200 {
					b.Fatal(c.Response.StatusCode())
				}
			}
		})
	}
}
