package all_test

import (
	"strings"
	"testing"

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
