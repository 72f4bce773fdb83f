package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
)

// formatVersion is the format of everything below one pool's prefix. It goes up with every change of
// meaning; a server with a higher one is refused. A mirror of a lower one is made anew from the book: version 1
// had no lists of accounts.
var formatVersion = strconv.Itoa(2 + format.Raise)

// keys names every key of one pool. All begin with "adit:{id}:", whose braces make them share a Redis
// Cluster slot, so that scripts may touch several. No name that a miner chose is ever part of a key.
type keys string

// validPoolID reports whether id is [a-z0-9-]{1,32}.
func validPoolID(id string) bool {
	if len(id) == 0 || len(id) > 32 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

func poolKeys(id string) keys { return keys("adit:{" + id + "}:") }

// meta is a hash: format, identity of the server.
func (k keys) meta() string { return string(k) + "meta" }

// streams is a hash: streamField → last id appended.
func (k keys) streams() string { return string(k) + "streams" }

// shares is a stream of the journal blocks of one epoch; the id of an entry is <last sequence>-0.
func (k keys) shares(epoch uint64) string { return string(k) + "shares:" + epochText(epoch) }

// candidates is a stream of found blocks.
func (k keys) candidates() string { return string(k) + "candidates" }

// candidateIDs is a hash: block id → stream id, for the candidates that are still in the stream.
func (k keys) candidateIDs() string { return string(k) + "candidates:ids" }

// head is a hash: at (the ledger head that is mirrored), layout (format and head), step and done (a step being
// mirrored).
func (k keys) head() string { return string(k) + "ledger:head" }

// balances is a hash: ledger account → balance, including what is pending.
func (k keys) balances() string { return string(k) + "ledger:balances" }

// pending is a hash: ledger account → what the step being mirrored has added so far.
func (k keys) pending() string { return string(k) + "ledger:pending" }

// docSets is a set: the names of the sets of documents that are mirrored.
func (k keys) docSets() string { return string(k) + "ledger:sets" }

// docs is a hash: document id → JSON, for one set of ledger subjects.
func (k keys) docs(set string) string { return string(k) + "docs:" + set }

// ranks is a sorted set: document ids by rank.
func (k keys) ranks(set string) string { return string(k) + "ranks:" + set }

// entries is a hash: document id → ledger entry that moved miners' amounts for it, for one set.
func (k keys) entries(set string) string { return string(k) + "entries:" + set }

// credits is a sorted set: an account's newest credits, see index.go, by height.
func (k keys) credits(id pool.AccountID) string { return string(k) + "credits:" + id.String() }

// payouts is a sorted set: an account's newest payouts, see index.go, by rank.
func (k keys) payouts(id pool.AccountID) string { return string(k) + "payouts:" + id.String() }

// released is a hash: streamField → sequence up to which the ledger's disks have the shares.
func (k keys) released() string { return string(k) + "released" }

// ledgers is a hash: name of a ledger role → its last report.
func (k keys) ledgers() string { return string(k) + "ledgers" }

// edgeHolds is a hash: edge name → process that serves under it, and until when.
func (k keys) edgeHolds() string { return string(k) + "edges:holds" }

// lease is a hash: owner and token.
func (k keys) lease() string { return string(k) + "lease" }

// leaseToken is the last fencing token given out.
func (k keys) leaseToken() string { return string(k) + "lease:token" }

// window is a hash: account → score in the window, and "total".
func (k keys) window() string { return string(k) + "window" }

// nextWindow is a window that is still being written.
func (k keys) nextWindow(name string) string { return string(k) + "window:" + name }

// notes is a hash: kind and hash of a worker's name → what the worker asked for its account.
func (k keys) notes(id pool.AccountID) string { return string(k) + "notes:" + id.String() }

// limited is a sorted set: accounts whose logins asked for a payout limit, by the time of the last share that they
// did then.
func (k keys) limited() string { return string(k) + "limits" }

// limits is a hash of one account: day and payout limit → work of the logins that asked for it.
func (k keys) limits(id pool.AccountID) string { return string(k) + "limits:" + id.String() }

// edges is a hash: edge → its last report without the workers.
func (k keys) edges() string { return string(k) + "stats:edges" }

// activeAccounts is a sorted set: accounts by the time of their last share.
func (k keys) activeAccounts() string { return string(k) + "stats:active:accounts" }

// activeWorkers is a sorted set: workerMembers by the time of their last share.
func (k keys) activeWorkers() string { return string(k) + "stats:active:workers" }

// account is a hash of one account's statistics.
func (k keys) account(id pool.AccountID) string { return string(k) + "stats:account:" + id.String() }

// workers is a sorted set: the account's worker names by the time of their last report.
func (k keys) workers(id pool.AccountID) string { return string(k) + "stats:workers:" + id.String() }

// worker is a hash of one worker's statistics. The name goes through a hash.
func (k keys) worker(id pool.AccountID, name string) string {
	return string(k) + "stats:worker:" + id.String() + ":" + nameHash(name)
}

// historyPool is a hash: chunks of the pool's history.
func (k keys) historyPool() string { return string(k) + "history:pool" }

// historyAccount is a hash: chunks of one account's history.
func (k keys) historyAccount(id pool.AccountID) string {
	return string(k) + "history:account:" + id.String()
}

// historyWorker is a hash: chunks of one worker's history.
func (k keys) historyWorker(id pool.AccountID, name string) string {
	return string(k) + "history:worker:" + id.String() + ":" + nameHash(name)
}

// leaders is a sorted set: accounts by "rates" or "shares".
func (k keys) leaders(what string) string { return string(k) + "stats:leaders:" + what }

func nameHash(name string) string {
	h := sha256.Sum256([]byte(name))
	return hex.EncodeToString(h[:12])
}

// workerMember names a worker as a value: its account and the hash of its name.
func workerMember(id pool.AccountID, name string) string { return id.String() + nameHash(name) }

// epochText writes 16 hex digits.
func epochText(epoch uint64) string { return fmt.Sprintf("%016x", epoch) }

// streamField names a stream in the hash of streams: the epoch, then the edge's name.
func streamField(edge string, epoch uint64) string { return epochText(epoch) + edge }

// parseStreamField is the inverse of streamField.
func parseStreamField(s string) (edge string, epoch uint64, err error) {
	if len(s) < 16 {
		return "", 0, fmt.Errorf("stream name %q is shorter than an epoch", s)
	}
	epoch, err = strconv.ParseUint(s[:16], 16, 64)
	if err != nil {
		return "", 0, fmt.Errorf("stream name %q does not begin with an epoch", s)
	}
	return s[16:], epoch, nil
}
