package pool

import "time"

// Report is an edge's statistics over one interval. It is lossy and never touches money.
type Report struct {
	Edge              string         `json:"edge"`
	Version           string         `json:"version,omitempty"`
	Time              int64          `json:"time"`     // Unix milliseconds, end of the interval
	Interval          int64          `json:"interval"` // milliseconds covered
	Sessions          int            `json:"sessions"`
	Height            int64          `json:"height"`   // of the job in hand, 0 when there is none
	JobTime           int64          `json:"job_time"` // Unix milliseconds when the job in hand was made
	NetworkDifficulty float64        `json:"network_difficulty"`
	NetworkWork       string         `json:"network_work"` // decimal
	Backlog           uint64         `json:"backlog"`      // journalled shares that Redis does not have yet
	JournalOK         bool           `json:"journal_ok"`
	JournalError      string         `json:"journal_error,omitempty"`
	Workers           []WorkerReport `json:"workers"`
	Nodes             []NodeReport   `json:"nodes"`
	Limits            []LimitReport  `json:"limits,omitempty"`
}

// LimitReport is the work of those of an account's logins that asked for one payout limit by the password option
// pl=. Anybody can name an address and its workers; what nobody can do without hashing is to have done most of
// the account's work.
type LimitReport struct {
	Account AccountID `json:"account"`
	Limit   Amount    `json:"limit"`
	Work    float64   `json:"work"` // issued work of accepted shares, expected hashes
}

// LimitDays is how many days of UTC a payout limit is weighed over: the last ones that the account worked on, so
// that nobody decides for an account whose owner is away.
const LimitDays = 7

// PayoutLimit is a payout limit that was asked for by the logins that did most of an account's work in [LimitDays].
type PayoutLimit struct {
	Account AccountID
	Limit   Amount
}

// WorkerReport is one worker's part of a Report.
type WorkerReport struct {
	Account    AccountID         `json:"account"`
	Address    string            `json:"address"`
	Worker     string            `json:"worker"`
	Agent      string            `json:"agent"`
	Accepted   uint64            `json:"accepted"`
	Rejected   map[string]uint64 `json:"rejected,omitempty"` // by Reject's name
	Work       float64           `json:"work"`               // issued work of accepted shares, expected hashes
	Difficulty float64           `json:"difficulty"`         // assigned last
	LastShare  int64             `json:"last_share"`         // Unix milliseconds, 0 when none
	BestShare  float64           `json:"best_share"`         // highest difficulty of a share
	Sessions   int               `json:"sessions"`
}

// NodeReport is the state of one full node.
type NodeReport struct {
	Name   string    `json:"name"`
	Up     bool      `json:"up"`
	Height int64     `json:"height"`
	Error  string    `json:"error,omitempty"`
	Since  time.Time `json:"since"`            // of the present state
	InUse  bool      `json:"in_use,omitempty"` // templates come from it
	// Lag is how long after the newest tip was first seen, by whatever way, this node had it, and LongPoll how
	// long until its long poll told of it; milliseconds, below 0 while it has not.
	Lag      int64 `json:"lag"`
	LongPoll int64 `json:"long_poll"`
}

// The states of a ledger role.
const (
	LedgerActive  = "active"  // settles
	LedgerStandby = "standby" // holds a copy and waits
	LedgerStopped = "stopped" // cannot settle, see Error; it goes on trying
	LedgerSilent  = "silent"  // has not reported for a minute
)

// LedgerStates and LedgerDisks are every value of [LedgerReport]'s State, and of its Disks but none.
var (
	LedgerStates = []string{LedgerActive, LedgerStandby, LedgerStopped, LedgerSilent}
	LedgerDisks  = []string{"both", "alone", "degraded"}
)

// LedgerReport is what a ledger role says of itself.
type LedgerReport struct {
	Name  string `json:"name"`
	Time  int64  `json:"time"` // Unix milliseconds
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	Seq   uint64 `json:"seq"`  // last entry of its disk
	Term  uint64 `json:"term"` // of that entry
	// Reward is the output script of the coinbases that it takes for the pool's, in hexadecimal.
	Reward string `json:"reward,omitempty"`
	Disks  string `json:"disks,omitempty"` // of an active one that has a peer: "both", "alone" or "degraded"

	Version string `json:"version,omitempty"`
}

// EdgeView is what an edge said last.
type EdgeView struct {
	Name         string
	Version      string
	Reported     int64 // Unix milliseconds
	Silent       bool  // it has not reported for a minute
	Sessions     int
	Height       int64 // of the job in hand, 0 when there is none
	JobTime      int64 // Unix milliseconds
	Backlog      uint64
	JournalError string // "" when shares can be made durable
}

// PoolView is what pages and the API show of one pool.
type PoolView struct {
	Hashrate          float64 // hashes per second over the last ten minutes
	Miners            int     // accounts with a share in the last ten minutes
	Workers           int     // workers likewise
	Sessions          int     // connections now
	Height            int64   // of the job in hand
	NetworkDifficulty float64
	NetworkWork       string // expected hashes per block, decimal
	JobTime           int64  // Unix milliseconds
	Backlog           uint64
	JournalError      string
	Accepted          uint64 // shares in the last 24 h
	Rejected          map[string]uint64
	History           []HistoryPoint // a day, one point a minute, oldest first
	Nodes             []NodeReport
	Edges             []EdgeView // that reported within an hour, by name
	Ledgers           []LedgerReport
	Reported          int64 // Unix milliseconds of the newest edge report, 0 when none
}

// HistoryPoint is one bucket of a chart.
type HistoryPoint struct {
	Time     int64   `json:"time"`     // Unix seconds, start of the bucket
	Hashrate float64 `json:"hashrate"` // hashes per second
	Workers  int     `json:"workers"`  // with a connection, on average
	Accepted uint64  `json:"accepted"` // shares

	Rejected map[string]uint64 `json:"rejected,omitempty"` // by Reject's name
}

// AccountView is what pages and the API show of one account.
type AccountView struct {
	Account     AccountID
	Address     string
	Hashrate    float64      // hashes per second over the last ten minutes
	FiveMinutes float64      // and over the last five
	Workers     []WorkerView // by name
}

// WorkerView is one worker of an account.
type WorkerView struct {
	Name       string
	Agent      string
	Hashrate   float64 // hashes per second over the last ten minutes
	Usual      float64 // over the last hours, 0 when it is not known yet
	Difficulty float64
	LastShare  int64 // Unix milliseconds
	BestShare  float64
	Accepted   uint64 // in the last 24 h
	Rejected   map[string]uint64
}

// Leader is an account that stands out.
type Leader struct {
	Account AccountID
	Address string
	Value   float64 // hashes per second over the last hour, or the difficulty of its best share
	Time    int64   // Unix milliseconds of that share, 0 for a hashrate
}
