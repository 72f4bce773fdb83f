package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
)

//go:embed openapi.json
var document []byte

// Document is the OpenAPI description, without white space.
func Document() []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, document); err != nil {
		return document
	}
	return b.Bytes()
}

// API answers for the pools of a board. It is safe for concurrent use.
type API struct {
	board   *view.Board // static
	version string      // static
	started time.Time   // static
	openapi []byte      // static
	Events  *Events     // static
}

// New makes the API; events carries the live streams.
func New(board *view.Board, version string, events *Events) *API {
	return &API{board: board, version: version, started: board.Now(), openapi: Document(), Events: events}
}

// handlers by the path behind the pool; "*" stands for one part of the path.
type handler func(a *API, r web.Request, p *view.Pool, part []string) error

var poolPaths = map[string]handler{
	"":                           (*API).pool,
	"history":                    (*API).poolHistory,
	"luck":                       (*API).luck,
	"leaders":                    (*API).leaders,
	"blocks":                     (*API).blocks,
	"blocks/*":                   (*API).block,
	"blocks/*/allocation":        (*API).allocation,
	"heads":                      (*API).heads,
	"heads/*":                    (*API).head,
	"payouts":                    (*API).payouts,
	"payouts/*":                  (*API).payout,
	"miners/*":                   (*API).miner,
	"miners/*/history":           (*API).minerHistory,
	"miners/*/credits":           (*API).credits,
	"miners/*/payouts":           (*API).paid,
	"miners/*/days":              (*API).days,
	"miners/*/workers":           (*API).workers,
	"miners/*/workers/*":         (*API).worker,
	"miners/*/workers/*/history": (*API).workerHistory,
}

// Handle answers a path, given in parts behind /api.
func (a *API) Handle(r web.Request, path []string) error {
	if len(path) < 2 || path[0] != "v1" {
		return web.NotFound("no such path; /api/v1/openapi.json describes the API")
	}
	switch strings.Join(path[1:], "/") {
	case "pools":
		return a.pools(r)
	case "rejects":
		return a.rejects(r)
	case "status":
		return a.status(r)
	case "events":
		return a.Events.Serve(r)
	case "openapi.json":
		if _, err := r.Query(); err != nil {
			return err
		}
		return r.Body(web.TypeJSON, a.openapi)
	}
	if path[1] != "pools" || len(path) < 3 {
		return web.NotFound("no such path; /api/v1/openapi.json describes the API")
	}
	p := a.board.Pool(path[2])
	if p == nil {
		return web.NotFound(fmt.Sprintf("no pool %.40q", path[2]))
	}
	shape, part := append([]string(nil), path[3:]...), []string(nil)
	for i := range shape {
		if i == 1 || i == 3 && shape[0] == "miners" && shape[2] == "workers" { // a name stands behind what it names
			part = append(part, shape[i])
			shape[i] = "*"
		}
	}
	h := poolPaths[strings.Join(shape, "/")]
	if h == nil {
		return web.NotFound("no such path below the pool; /api/v1/openapi.json describes the API")
	}
	return h(a, r, p, part)
}

// amountText is money in JSON: base units as a decimal string.
type amountText pool.Amount

// MarshalText writes base units.
func (a amountText) MarshalText() ([]byte, error) { return fmt.Append(nil, int64(a)), nil }

// timeText is an instant in the API, nil for the zero time.
func timeText(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return &s
}

// milliText is an instant given in Unix milliseconds, nil for 0.
func milliText(ms int64) *string {
	if ms <= 0 {
		return nil
	}
	return timeText(time.UnixMilli(ms))
}

func secondText(s int64) string { return time.Unix(s, 0).UTC().Format(time.RFC3339) }

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func orNone(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}
