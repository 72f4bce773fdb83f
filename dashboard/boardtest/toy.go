package boardtest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
)

// Chain takes addresses that begin with "toy1"; upper and lower case are one.
type Chain struct{}

// Script checks an address.
func (Chain) Script(address string) ([]byte, error) {
	if !strings.HasPrefix(strings.ToLower(address), "toy1") {
		return nil, fmt.Errorf("address refused: it does not begin with toy1: %q", address)
	}
	return Script(address), nil
}

// Script is the script of an address.
func Script(address string) []byte {
	h := sha256.Sum256([]byte(strings.ToLower(address)))
	return h[:20]
}

// Miners are the addresses of the pool's accounts.
func Miners() []string {
	return []string{"toy1alice", "toy1bob", "toy1carol", "toy1dave", "toy1erin"}
}

// Start is when the tests' clock starts.
func Start() time.Time { return time.Date(2026, 3, 4, 12, 30, 15, 0, time.UTC) }

// Info describes a pool on a store.
func Info(id string, store view.Store) view.PoolInfo {
	return view.PoolInfo{ID: id, Coin: "toycoin", Network: "toynet", Symbol: "TOY", Decimals: 8, Scheme: "pplns", PPLNSN: "2", FeePPM: 10_000,
		Threshold: 100_000_000, RewardAddress: "toy1reward", Stratum: []view.Listener{{URL: "stratum+tcp://127.0.0.1:3333", Start: 0.01, Minimum: 0.001}},
		Maturity: 100, Chain: Chain{}, Store: store}
}

// Pool is a store of a pool called "toy" with as many blocks, 21 minutes apart.
func Pool(blocks int) *Store {
	return NewStore("toy", Start(), blocks, 21*time.Minute, Miners(), Script)
}
