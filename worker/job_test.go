package worker

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/all"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// vectors is testdata/vectors.json: real blocks and recorded sessions.
type vectors struct {
	Shares []struct {
		Name      string
		Algo      string
		Subscribe struct {
			Extranonce1     string
			Extranonce2Size int `json:"extranonce2_size"`
		}
		NotifyParams []json.RawMessage `json:"notify_params"`
		Submit       struct {
			Extranonce2 string
			NTime       string
			Nonce       string
			VersionBits *string `json:"version_bits"`
		}
		VersionMask *string `json:"version_mask"`
		Expect      struct {
			MerkleRoot string  `json:"merkle_root_internal"`
			Header     string  `json:"header_hex"`
			PowHash    string  `json:"pow_hash_display"`
			Difficulty float64 `json:"share_difficulty_stratum"`
		}
	}
	DifficultyToTarget []struct {
		Difficulty string
		Sha256d    string `json:"sha256d_target"`
		Scrypt     string `json:"scrypt_target"`
	} `json:"difficulty_to_target"`
	PrevhashWordSwap []struct {
		Stratum string `json:"stratum_prevhash"`
		Header  string `json:"header_bytes"`
	} `json:"prevhash_word_swap"`
}

func loadVectors(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Shares) < 5 || len(v.DifficultyToTarget) < 9 || len(v.PrevhashWordSwap) < 2 {
		t.Fatalf("vectors are missing: %d shares", len(v.Shares))
	}
	return v
}

func kernel(t *testing.T, name string) kernels.Kernel {
	t.Helper()
	k, err := all.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestHeaderVectors(t *testing.T) {
	for _, v := range loadVectors(t).Shares {
		j, err := parseJob(v.NotifyParams)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		root := j.merkleRoot(unhex(t, v.Subscribe.Extranonce1), unhex(t, v.Submit.Extranonce2))
		if got := hex.EncodeToString(root[:]); got != v.Expect.MerkleRoot {
			t.Errorf("%s: merkle root %s, want %s", v.Name, got, v.Expect.MerkleRoot)
		}
		version := j.version
		if v.VersionMask != nil {
			version = rolled(version, number32(t, *v.VersionMask), number32(t, *v.Submit.VersionBits))
		}
		h := j.header(version, root, number32(t, v.Submit.NTime), number32(t, v.Submit.Nonce))
		if got := hex.EncodeToString(h[:]); got != v.Expect.Header {
			t.Errorf("%s: header %s, want %s", v.Name, got, v.Expect.Header)
		}
		hash := kernel(t, v.Algo).Hash(&h)
		slices.Reverse(hash[:])
		if got := hex.EncodeToString(hash[:]); got != v.Expect.PowHash {
			t.Errorf("%s: hash %s, want %s", v.Name, got, v.Expect.PowHash)
		}
	}
}

func TestSwapWords(t *testing.T) {
	for _, v := range loadVectors(t).PrevhashWordSwap {
		got := swapWords([32]byte(unhex(t, v.Stratum)))
		if hex.EncodeToString(got[:]) != v.Header {
			t.Errorf("%s: got %x, want %s", v.Stratum, got, v.Header)
		}
	}
}

func TestTargetVectors(t *testing.T) {
	f := func(algo, difficulty, want string) {
		t.Helper()
		got, err := parseTarget(json.RawMessage(difficulty), kernel(t, algo).Diff1())
		if err != nil || hex.EncodeToString(got[:]) != want {
			t.Errorf("%s difficulty %s: target %x, %v; want %s", algo, difficulty, got, err, want)
		}
	}
	for _, v := range loadVectors(t).DifficultyToTarget {
		f("sha256d", v.Difficulty, v.Sha256d)
		f("scrypt", v.Difficulty, v.Scrypt)
	}
	f("sha256d", "1e6", "00000000000010c6e6d9be4cd74927913e81450efdc9c4da9003eea209aaa3ad")
	f("sha256d", "1.000000", "00000000ffff"+strings.Repeat("0", 52))
	f("sha256d", "1e-30", strings.Repeat("f", 64)) // more than every hash
	f("sha256d", "1e90", strings.Repeat("0", 64))  // less than any
}

func TestTargetRefuses(t *testing.T) {
	for _, s := range []string{"0", "-1", "0.000", "-0", `"1"`, "null", "true", "[1]", "{}", "1e999999999", "1e-999999999",
		"1e101", "1" + strings.Repeat("0", 60), ""} {
		if target, err := parseTarget(json.RawMessage(s), (sha256d.Kernel{}).Diff1()); err == nil {
			t.Errorf("difficulty %s gave %x", s, target)
		}
	}
}

func TestJobRefuses(t *testing.T) {
	good := []string{`"1f"`, `"` + strings.Repeat("00", 32) + `"`, `"01"`, `"02"`, `[]`, `"20000000"`, `"170331db"`, `"65f0a1b2"`, `true`}
	f := func(at int, text string) {
		t.Helper()
		var params []json.RawMessage
		for i, s := range good {
			if i == at {
				s = text
			}
			params = append(params, json.RawMessage(s))
		}
		if j, err := parseJob(params); err == nil {
			t.Errorf("param %d = %s was taken: %+v", at, text, j)
		}
	}
	if _, err := parseJob(raws(good)); err != nil {
		t.Fatal(err)
	}
	if _, err := parseJob(raws(append(slices.Clone(good), `"more"`))); err != nil {
		t.Errorf("a tenth param: %v", err)
	}
	if _, err := parseJob(raws(good[:8])); err == nil {
		t.Error("eight params were taken")
	}
	f(0, `7`)
	f(0, `"`+strings.Repeat("x", 300)+`"`)
	f(1, `"00"`)
	f(1, `"`+strings.Repeat("0g", 32)+`"`)
	f(2, `"0"`)
	f(2, `null`)
	f(3, `["00"]`)
	f(4, `"00"`)
	f(4, `["00"]`)
	f(4, `[`+strings.Repeat(`"`+strings.Repeat("00", 32)+`",`, 64)+`"`+strings.Repeat("00", 32)+`"]`)
	f(5, `"2000000"`)
	f(5, `536870912`)
	f(6, `"0x170331"`)
	f(7, `"65f0a1b2c3"`)
	f(8, `1`)
	f(8, `null`)
}

func raws(list []string) (out []json.RawMessage) {
	for _, s := range list {
		out = append(out, json.RawMessage(s))
	}
	return out
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number32(t *testing.T, s string) uint32 {
	t.Helper()
	b := unhex(t, s)
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
