package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/txscript"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool/chain"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
)

var networks = map[string]*chaincfg.Params{
	"mainnet": &chaincfg.MainNetParams, "testnet4": &chaincfg.TestNet4Params, "signet": &chaincfg.SigNetParams,
	"regtest": &chaincfg.RegressionNetParams, "simnet": &chaincfg.SimNetParams,
}

// Addresses and scripts of published vectors (BIP173, BIP350, BIP341) and of well-known blocks.
func TestKnownAddresses(t *testing.T) {
	f := func(network, address, script string) {
		t.Helper()
		got, err := coin(t, network).Script(address)
		if err != nil || hex.EncodeToString(got) != script {
			t.Errorf("%s: %x, %v", address, got, err)
		}
	}
	f("mainnet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac")
	f("mainnet", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87")
	f("mainnet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014751e76e8199196d454941c45d1b3a323f1433bd6")
	f("mainnet", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6")
	f("mainnet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	f("testnet4", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262")
	f("signet", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "0014751e76e8199196d454941c45d1b3a323f1433bd6")
	f("regtest", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac")
	f("simnet", "SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg", "76a914"+strings.Repeat("00", 20)+"88ac")
}

func TestRefusedAddresses(t *testing.T) {
	f := func(network, address, want string) {
		t.Helper()
		script, err := coin(t, network).Script(address)
		if err == nil {
			t.Errorf("%s: %q is accepted as %x", network, address, script)
			return
		}
		if !errors.Is(err, chain.ErrAddress) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q: %v\nwant a text with %q", network, address, err, want)
		}
	}
	f("mainnet", "", "empty")
	f("mainnet", strings.Repeat("1", 200), "too many")
	f("mainnet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa ", "character 35 is a space")
	f("mainnet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf\x00a", "character 33")
	f("mainnet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "checksum")
	f("mainnet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum")
	f("mainnet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8F3t4", "mixes capital")
	f("mainnet", "bc1", "bech32")
	f("mainnet", "miner1", "begin with bc1")
	f("mainnet", "0OIl", "begin with bc1")
	// BIP350: right data, wrong checksum constant.
	f("mainnet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "wrong kind")
	f("mainnet", "bc1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7he", "checksum")
	// BIP350 vectors of unknown versions and of BIP141 lengths.
	f("mainnet", "BC1SW50QGDZ25J", "version 16")
	f("mainnet", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "version 2")
	f("mainnet", "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", "version 1 holds 40 bytes")
	f("mainnet", "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "version 0 holds 16 bytes")
	f("mainnet", "bc1pfeessrawgf", "version 1 holds 2 bytes") // pay-to-anchor: anyone could take it
	// Networks mixed up.
	f("mainnet", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "testnet or signet")
	f("mainnet", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "test network")
	f("mainnet", "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", "Litecoin")
	f("mainnet", "SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg", "simnet")
	f("simnet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "mainnet")
	f("testnet4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "mainnet")
	f("regtest", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "testnet")
	f("testnet4", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "regtest")
	// x = 5 is on no point of secp256k1.
	program := make([]byte, 32)
	program[31] = 5
	words, err := bech32.ConvertBits(program, 8, 5, true)
	if err != nil {
		t.Fatal(err)
	}
	off, err := bech32.EncodeM("bc", append([]byte{1}, words...))
	if err != nil {
		t.Fatal(err)
	}
	f("mainnet", off, "no point of the curve")
}

func TestScriptsWithoutAddress(t *testing.T) {
	c := coin(t, "mainnet")
	for _, s := range []string{"", "51", "6a24aa21a9ed" + strings.Repeat("00", 32), "51024e73", "0013" + strings.Repeat("00", 19), "5220" + strings.Repeat("01", 32), "76a914" + strings.Repeat("00", 20) + "88ad"} {
		if got, err := c.Address(unhex(t, s)); err == nil {
			t.Errorf("%s is spelt %s", s, got)
		}
	}
}

// The same hash spelt by btcutil is read as the script that txscript makes of it, in both cases of
// bech32, and spelt back; on another network's prefix it is refused.
func TestAddressesAgainstBtcutil(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		network := rapid.SampledFrom([]string{"mainnet", "testnet4", "signet", "regtest", "simnet"}).Draw(t, "network")
		params := networks[network]
		c, err := bitcoin.New(network)
		if err != nil {
			t.Fatal(err)
		}
		h := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")
		var address btcutil.Address
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			address, err = btcutil.NewAddressPubKeyHash(h[:20], params)
		case 1:
			address, err = btcutil.NewAddressScriptHashFromHash(h[:20], params)
		case 2:
			address, err = btcutil.NewAddressWitnessPubKeyHash(h[:20], params)
		case 3:
			address, err = btcutil.NewAddressWitnessScriptHash(h, params)
		case 4:
			h[0] = 1 // a private key in range
			_, key := btcec.PrivKeyFromBytes(h)
			address, err = btcutil.NewAddressTaproot(schnorr.SerializePubKey(key), params)
		}
		if err != nil {
			t.Fatal(err)
		}
		want, err := txscript.PayToAddrScript(address)
		if err != nil {
			t.Fatal(err)
		}
		text := address.EncodeAddress()
		got, err := c.Script(text)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s %s: script %x, %v; want %x", network, text, got, err, want)
		}
		if strings.HasPrefix(text, params.Bech32HRPSegwit+"1") {
			if got, err := c.Script(strings.ToUpper(text)); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s in capitals: %x, %v", text, got, err)
			}
		}
		if spelt, err := c.Address(want); err != nil || spelt != text {
			t.Fatalf("%x is spelt %s, %v; want %s", want, spelt, err, text)
		}
		for other, p := range networks {
			if p.PubKeyHashAddrID == params.PubKeyHashAddrID {
				continue // test networks share base58
			}
			foreign, err := bitcoin.New(other)
			if err != nil {
				t.Fatal(err)
			}
			if script, err := foreign.Script(text); err == nil {
				t.Fatalf("%s takes %s of %s as %x", other, text, network, script)
			}
		}
	})
}

// Whatever is accepted can be spelt, and that spelling is the same script.
func FuzzScript(f *testing.F) {
	f.Add("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
	f.Add("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4")
	f.Add("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0")
	c := coin(f, "mainnet")
	f.Fuzz(func(t *testing.T, address string) {
		script, err := c.Script(address)
		if err != nil {
			return
		}
		spelt, err := c.Address(script)
		if err != nil || !strings.EqualFold(spelt, address) {
			t.Fatalf("%q -> %x -> %q, %v", address, script, spelt, err)
		}
	})
}
