package pool

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"testing"

	"golang.org/x/crypto/scrypt"
	"pgregory.net/rapid"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func hex32(t *testing.T, s string) uint32 {
	t.Helper()
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(v)
}

// The published shares are rebuilt: coinbase, root, header, hashes and targets.
func TestShares(t *testing.T) {
	all := loadVectors(t)
	for _, v := range all.Shares {
		t.Run(v.Name, func(t *testing.T) {
			var text [9]string
			for _, i := range []int{1, 2, 3, 5, 6} {
				if err := json.Unmarshal(v.NotifyParams[i], &text[i]); err != nil {
					t.Fatal(err)
				}
			}
			var steps []string
			if err := json.Unmarshal(v.NotifyParams[4], &steps); err != nil {
				t.Fatal(err)
			}
			coinbase := unhex(t, text[2]+v.Subscribe.Extranonce1+v.Submit.Extranonce2+text[3])
			if !bytes.Equal(coinbase, unhex(t, v.Expect.CoinbaseHex)) {
				t.Errorf("coinbase %x", coinbase)
			}
			txid := DoubleSHA256(coinbase)
			if txid != v.Expect.CoinbaseTxID {
				t.Errorf("txid %s", txid)
			}
			var branch []Hash
			for _, s := range steps {
				branch = append(branch, Hash(unhex(t, s)))
			}
			root := MerkleRoot(txid, branch)
			if root != v.Expect.RootDisplay || hex.EncodeToString(root[:]) != v.Expect.RootInternal {
				t.Errorf("root %s", root)
			}
			prev := Hash(unhex(t, text[1]))
			for i := 0; i < 32; i += 4 {
				prev[i], prev[i+1], prev[i+2], prev[i+3] = prev[i+3], prev[i+2], prev[i+1], prev[i]
			}
			version := hex32(t, text[5])
			if v.Submit.VersionBits != nil {
				mask := hex32(t, *v.VersionMask)
				version = version&^mask | hex32(t, *v.Submit.VersionBits)&mask
			}
			if version != hex32(t, v.Expect.HeaderVersion) {
				t.Errorf("version %08x", version)
			}
			bits := hex32(t, text[6])
			var header [80]byte
			PutHeader(&header, version, prev, root, hex32(t, v.Submit.NTime), bits, hex32(t, v.Submit.Nonce))
			if got := hex.EncodeToString(header[:]); got != v.Expect.HeaderHex {
				t.Errorf("header %s\n  want %s", got, v.Expect.HeaderHex)
			}
			id := DoubleSHA256(header[:])
			pow := id
			if v.Algo == "scrypt" {
				key, err := scrypt.Key(header[:], header[:], 1024, 1, 1, 32)
				if err != nil {
					t.Fatal(err)
				}
				pow = Hash(key)
			}
			if id != v.Expect.BlockHash || pow != v.Expect.PowHash {
				t.Errorf("id %s, proof of work %s", id, pow)
			}
			target, err := TargetFromBits(bits)
			if err != nil || target.String() != v.Expect.NetworkTarget {
				t.Errorf("network target %s, %v", target, err)
			}
			if target.Meets(&pow) != v.Expect.IsBlock {
				t.Errorf("is a block: %v", target.Meets(&pow))
			}
			diff1, err := ParseTarget(all.Diff1[v.Algo])
			if err != nil {
				t.Fatal(err)
			}
			as, err := ParseTarget(pow.String())
			if err != nil {
				t.Fatal(err)
			}
			if d := float64(DifficultyOf(diff1, as)); !near(d, v.Expect.Difficulty) {
				t.Errorf("difficulty %v, want %v", d, v.Expect.Difficulty)
			}
		})
	}
}

func near(a, b float64) bool { return a > b*(1-1e-12) && a < b*(1+1e-12) }

func TestMerkleBranchVector(t *testing.T) {
	v := loadVectors(t).MerkleBranch
	branch := MerkleBranch(v.TxIDs)
	for i, want := range v.Branch {
		if i >= len(branch) || hex.EncodeToString(branch[i][:]) != want {
			t.Fatalf("branch %x, want %v", branch, v.Branch)
		}
	}
	if root := MerkleRoot(v.Coinbase, branch); len(branch) != len(v.Branch) || root != v.Root {
		t.Errorf("root %s over %d steps", root, len(branch))
	}
}

// naiveRoot is the merkle root as Bitcoin's description has it: level by level over all leaves.
func naiveRoot(level []Hash) Hash {
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		var next []Hash
		for i := 0; i < len(level); i += 2 {
			next = append(next, DoubleSHA256(append(append([]byte{}, level[i][:]...), level[i+1][:]...)))
		}
		level = next
	}
	return level[0]
}

func TestMerkleBranchAgainstWholeTree(t *testing.T) {
	for n := range 70 {
		txids := make([]Hash, n)
		for i := range txids {
			txids[i] = DoubleSHA256([]byte{byte(i), 1})
		}
		given := append([]Hash(nil), txids...)
		coinbase := DoubleSHA256([]byte("coinbase"))
		branch := MerkleBranch(txids)
		if got, want := MerkleRoot(coinbase, branch), naiveRoot(append([]Hash{coinbase}, given...)); got != want {
			t.Errorf("%d transactions: root %s, want %s", n, got, want)
		}
		for i := range given {
			if txids[i] != given[i] {
				t.Fatalf("%d transactions: the caller's list was changed", n)
			}
		}
	}
}

func TestAppendCoinbase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := rapid.SliceOfN(rapid.Byte(), 0, 60)
		j := &Job{Prefix: bytesOf.Draw(t, "prefix"), Suffix: bytesOf.Draw(t, "suffix")}
		got := j.AppendCoinbase([]byte{9}, 0x01020304, 0x05060708, &[8]byte{0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11})
		want := append([]byte{9}, j.Prefix...)
		want = append(want, 1, 2, 3, 4, 5, 6, 7, 8, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11)
		if want = append(want, j.Suffix...); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}
