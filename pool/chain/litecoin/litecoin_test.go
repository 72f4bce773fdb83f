package litecoin_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/litecoin"
)

// TestAgainstLitecoind compares with what litecoind 0.21.2 said of its own networks and of addresses
// that its wallet made (getblockhash 0, getnewaddress, getaddressinfo).
func TestAgainstLitecoind(t *testing.T) {
	raw, err := os.ReadFile("testdata/litecoind-0.21.2.json")
	if err != nil {
		t.Fatal(err)
	}
	var networks map[string]struct {
		Genesis   pool.Hash
		Chain     string
		Addresses []struct{ Type, Address, Script string }
	}
	if err := json.Unmarshal(raw, &networks); err != nil {
		t.Fatal(err)
	}
	if len(networks) != len(litecoin.Networks()) {
		t.Fatalf("recorded networks: %d", len(networks))
	}
	for name, want := range networks {
		c, err := litecoin.New(name)
		if err != nil {
			t.Fatal(err)
		}
		if p := c.Params(); p.Genesis != want.Genesis || p.ForkName != want.Chain || p.Mainnet != (name == "mainnet") || !p.SeparatePow {
			t.Errorf("%s: %+v", name, p)
		}
		for _, a := range want.Addresses {
			script, err := c.Script(a.Address)
			if a.Type == "mweb" {
				if err == nil || !strings.Contains(err.Error(), "MWEB") {
					t.Errorf("%s: MWEB address %s: %v", name, a.Address, err)
				}
				continue
			}
			if err != nil || hex.EncodeToString(script) != a.Script {
				t.Errorf("%s: %s is %x, want %s (%v)", name, a.Address, script, a.Script, err)
			}
			if back, err := c.Address(script); err != nil || back != a.Address {
				t.Errorf("%s: script of %s reads back as %s (%v)", name, a.Address, back, err)
			}
			for other := range networks {
				if oc, _ := litecoin.New(other); other != name && (a.Type == "bech32" || other == "mainnet" || name == "mainnet") {
					if _, err := oc.Script(a.Address); err == nil {
						t.Errorf("%s accepts %s of %s", other, a.Address, name)
					}
				}
			}
		}
	}
}

func TestNoBitcoinAddresses(t *testing.T) {
	c, _ := litecoin.New("mainnet")
	for _, a := range []string{
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
	} {
		if _, err := c.Script(a); err == nil || !strings.Contains(err.Error(), "Bitcoin") {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// The genesis block is a scrypt share: vectors-v1, "ltc-genesis".
func TestGenesisProofOfWork(t *testing.T) {
	raw, err := hex.DecodeString("010000000000000000000000000000000000000000000000000000000000000000000000d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c")
	if err != nil {
		t.Fatal(err)
	}
	header := [80]byte(raw)
	c, _ := litecoin.New("mainnet")
	if id := c.BlockID(&header); id != c.Params().Genesis {
		t.Errorf("block id %v", id)
	}
	pow := c.PowHash(&header)
	if pow.String() != "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00" {
		t.Errorf("proof of work %v", pow)
	}
	network, err := pool.TargetFromBits(0x1e0ffff0)
	if err != nil || !network.Meets(&pow) {
		t.Errorf("not a block: %v", err)
	}
	// On the wire and in the books scrypt's difficulty 1 is 2^16 hashes, 1/65536 of Bitcoin's.
	one := c.Params().DiffOne
	if one.String() != "0000ffff00000000000000000000000000000000000000000000000000000000" {
		t.Errorf("difficulty 1 is %v", one)
	}
	if w := one.Work(); w != pool.WorkOf(65537) {
		t.Errorf("work of difficulty 1 is %v", w)
	}
	passes, fails := pool.Difficulty(50).Target(one), pool.Difficulty(51).Target(one) // it has 50.7156
	if !passes.Meets(&pow) || fails.Meets(&pow) {
		t.Error("genesis does not lie between difficulty 50 and 51")
	}
}

func TestSubsidy(t *testing.T) {
	c, _ := litecoin.New("mainnet")
	for height, want := range map[int64]pool.Amount{
		0: 50_0000_0000, 839_999: 50_0000_0000, 840_000: 25_0000_0000, 2_520_000: 6_2500_0000, 840_000 * 64: 0,
	} {
		if got := c.Subsidy(height); got != want {
			t.Errorf("height %d: %d, want %d", height, got, want)
		}
	}
	if _, err := litecoin.New("testnet3"); err == nil {
		t.Error("testnet3 accepted")
	}
}
