package worker

import (
	"bytes"
	"encoding/json"
)

const maxTicket = 128 // characters of a session id

// ticket is what a pool needs to go on with a session whose connection broke: the
// id beside mining.notify in its answer to mining.subscribe.
type ticket struct {
	id          string
	extranonce1 []byte
}

// takeTicket gives the id of the last session with pool, once: a pool that does not
// like it is asked without it the next time.
func (r *rig) takeTicket(pool choice) string {
	t, there := r.tickets[pool.index]
	if there {
		r.tickets[pool.index] = ticket{extranonce1: t.extranonce1}
	}
	return t.id
}

// keepTicket notes the id of a session that has begun. same is that its extranonce1
// is that of the session before.
func (r *rig) keepTicket(pool choice, id string, x extranonce) (same bool) {
	same = bytes.Equal(r.tickets[pool.index].extranonce1, x.one)
	if r.tickets == nil {
		r.tickets = map[int]ticket{}
	}
	r.tickets[pool.index] = ticket{id, x.one}
	return same
}

// sessionID is the id beside mining.notify in the subscriptions that a pool gives:
// [["mining.notify", id], …], or ["mining.notify", id] of a single one. Empty when
// there is none that can be sent back.
func sessionID(subscriptions json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(subscriptions, &list) != nil {
		return ""
	}
	for _, each := range append(list, subscriptions) {
		var pair []json.RawMessage
		if json.Unmarshal(each, &pair) != nil || len(pair) < 2 {
			continue
		}
		if method, err := text(pair[0]); err != nil || method != "mining.notify" {
			continue
		}
		if id, err := text(pair[1]); err == nil && len(id) <= maxTicket {
			return id
		}
	}
	return ""
}
