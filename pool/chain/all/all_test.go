package all_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/all"
)

func TestFind(t *testing.T) {
	for _, s := range all.Supported() {
		coin, network, _ := strings.Cut(s, " ")
		c, err := all.Find(coin, network)
		if err != nil {
			t.Fatal(err)
		}
		if p := c.Params(); p.Coin != coin || p.Network != network {
			t.Errorf("%s gives %s %s", s, p.Coin, p.Network)
		}
	}
	f := func(coin, network, want string) {
		t.Helper()
		_, err := all.Find(coin, network)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %s: %v", coin, network, err)
		}
	}
	f("ethereum", "mainnet", "proof of stake")
	f("cardano", "mainnet", "proof of stake")
	f("cardano", "mainnet", "bitcoin simnet")
	f("BTC", "mainnet", "spelt bitcoin")
	f("fantasy", "mainnet", "not known")
	f("bitcoin", "testnet3", "choose one of mainnet, testnet4")
	f("", "", "no coin is named")
}

// TestHashes holds what coins compute by fast kernels to the straight functions.
func TestHashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	for _, s := range all.Supported() {
		coin, network, _ := strings.Cut(s, " ")
		c, err := all.Find(coin, network)
		if err != nil {
			t.Fatal(err)
		}
		for branches := range 14 {
			coinbases, branch := make([][]byte, 1+branches%5), make([]pool.Hash, branches)
			for i := range coinbases {
				coinbases[i] = make([]byte, 60+rng.IntN(400))
				fill(coinbases[i])
			}
			for i := range branch {
				fill(branch[i][:])
			}
			roots := make([]pool.Hash, len(coinbases))
			c.MerkleRoots(coinbases, branch, roots)
			for i, b := range coinbases {
				if want := pool.MerkleRoot(pool.DoubleSHA256(b), branch); roots[i] != want {
					t.Fatalf("%s: root %d of %d, of %d bytes with %d branches: %v, want %v", s, i, len(roots), len(b), branches, roots[i], want)
				}
			}
		}
		headers, out := make([][80]byte, 70), make([]pool.Hash, 70)
		for i := range headers {
			fill(headers[i][:])
		}
		c.PowHashes(headers, out)
		for i := range headers {
			if out[i] != c.PowHash(&headers[i]) {
				t.Errorf("%s: hash %d of %d differs alone", s, i, len(headers))
			}
			if got, want := c.BlockID(&headers[i]), pool.DoubleSHA256(headers[i][:]); got != want {
				t.Errorf("%s: id %v, want %v", s, got, want)
			}
		}
	}
}
