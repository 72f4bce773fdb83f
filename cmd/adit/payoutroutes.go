package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/adit-pool/adit/payout/desk"
)

// maxRequest bounds one command; a signed transaction of the largest size is well below it.
const maxRequest = 16 << 20

// payoutRoutes answers the commands of `adit payout`.
func payoutRoutes(mux *http.ServeMux, rooms []*room) {
	find := func(w http.ResponseWriter, r *http.Request) *payer {
		room, err := roomOf(rooms, r)
		var p *payer
		if err == nil {
			p, err = room.activePayer()
		}
		if err != nil {
			reply(w, nil, err, nil)
			return nil
		}
		return p
	}
	mux.HandleFunc("POST /payout/{pool}", func(w http.ResponseWriter, r *http.Request) {
		p := find(w, r)
		if p == nil {
			return
		}
		var req desk.Request
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&req); err != nil {
			reply(w, nil, fmt.Errorf("read the command: %w", err), nil)
			return
		}
		if req.Yes { // a step
			if err := p.ready(); err != nil {
				reply(w, nil, err, nil)
				return
			}
		}
		a, err := desk.Handle(r.Context(), p.payouts, p.params, req)
		if a == nil {
			reply(w, nil, err, nil)
			return
		}
		reply(w, a.Result, err, func(out io.Writer) error { _, err := io.WriteString(out, a.Text); return err })
	})
	mux.HandleFunc("GET /payout/{pool}/progress", func(w http.ResponseWriter, r *http.Request) {
		if p := find(w, r); p != nil {
			reply(w, p.payouts.Progress(), nil, nil)
		}
	})
}
