package pool

import (
	"encoding/json"
	"os"
	"testing"
)

// vectors are the published worked examples of Stratum V1: messages of real blocks and what must come
// out of them, recomputed by other programs.
type vectors struct {
	Diff1  map[string]string
	Shares []struct {
		Name, Algo string
		Subscribe  struct {
			Extranonce1 string
		}
		NotifyParams []json.RawMessage `json:"notify_params"`
		Submit       struct {
			Extranonce2, NTime, Nonce string
			VersionBits               *string `json:"version_bits"`
		}
		VersionMask *string `json:"version_mask"`
		Expect      struct {
			CoinbaseHex   string  `json:"coinbase_hex"`
			CoinbaseTxID  Hash    `json:"coinbase_txid"`
			RootInternal  string  `json:"merkle_root_internal"`
			RootDisplay   Hash    `json:"merkle_root_display"`
			HeaderVersion string  `json:"header_version"`
			HeaderHex     string  `json:"header_hex"`
			BlockHash     Hash    `json:"block_hash_display"`
			PowHash       Hash    `json:"pow_hash_display"`
			NetworkTarget string  `json:"network_target"`
			IsBlock       bool    `json:"is_block"`
			Difficulty    float64 `json:"share_difficulty_stratum"`
		}
	}
	DifficultyToTarget []struct {
		Difficulty    string
		Sha256dTarget string `json:"sha256d_target"`
		ScryptTarget  string `json:"scrypt_target"`
	} `json:"difficulty_to_target"`
	NbitsToTarget []struct {
		Nbits      string
		Target     string
		Difficulty float64
	} `json:"nbits_to_target"`
	PrevhashWordSwap []struct {
		Display     Hash   `json:"prevhash_display"`
		HeaderBytes string `json:"header_bytes"`
	} `json:"prevhash_word_swap"`
	MerkleBranch struct {
		TxIDs    []Hash   `json:"txids_display_excluding_coinbase"`
		Coinbase Hash     `json:"coinbase_txid_display"`
		Branch   []string `json:"stratum_merkle_branch"`
		Root     Hash     `json:"merkle_root_display"`
	} `json:"merkle_branch"`
}

func loadVectors(t *testing.T) (v vectors) {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Shares) < 5 || len(v.DifficultyToTarget) == 0 || len(v.NbitsToTarget) == 0 || len(v.MerkleBranch.Branch) == 0 {
		t.Fatal("the vectors are not complete")
	}
	return v
}
