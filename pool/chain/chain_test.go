package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
)

func coin(t testing.TB, network string) pool.Chain {
	t.Helper()
	c, err := bitcoin.New(network)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// block is a block of Bitcoin's main network.
type block struct {
	Name         string
	ID, Header   string
	Txs          int
	Coinbase     string
	TxID         pool.Hash `json:"coinbase_txid"`
	Value        pool.Amount
	Branch       []string
	Transactions []string
	TxIDs        []pool.Hash
}

func blocks(t testing.TB) (list []block) {
	load(t, "testdata/blocks.json", &list)
	return list
}

func TestRealBlocks(t *testing.T) {
	c := coin(t, "mainnet")
	for _, b := range blocks(t) {
		t.Run(b.Name, func(t *testing.T) {
			header := [80]byte(unhex(t, b.Header))
			if got := c.BlockID(&header).String(); got != b.ID || c.PowHash(&header).String() != b.ID {
				t.Errorf("id %s, want %s", got, b.ID)
			}
			bits := uint32(header[72]) | uint32(header[73])<<8 | uint32(header[74])<<16 | uint32(header[75])<<24
			target, err := pool.TargetFromBits(bits)
			hash := c.PowHash(&header)
			if err != nil || !target.Meets(&hash) {
				t.Errorf("bits %08x are not met: %v", bits, err)
			}
			raw := append(header[:], compactSize(b.Txs)...)
			raw = append(raw, unhex(t, b.Coinbase)...)
			tx, err := c.ParseCoinbase(raw)
			if err != nil {
				t.Fatal(err)
			}
			var sum pool.Amount
			for _, o := range tx.Outputs {
				sum += o.Value
			}
			if tx.TxID != b.TxID || sum != b.Value {
				t.Errorf("coinbase %s pays %d, want %s and %d", tx.TxID, sum, b.TxID, b.Value)
			}
			var branch []pool.Hash
			for _, h := range b.Branch {
				branch = append(branch, pool.Hash(unhex(t, h)))
			}
			if root := pool.MerkleRoot(tx.TxID, branch); !bytes.Equal(root[:], header[36:68]) {
				t.Errorf("merkle root %s", root)
			}
			// Every cut of the coinbase is refused, none panics.
			for cut := range raw {
				if _, err := c.ParseCoinbase(raw[:cut]); err == nil {
					t.Fatalf("cut at byte %d of %d is accepted", cut, len(raw))
				}
			}
		})
	}
}

func compactSize(n int) []byte {
	var b bytes.Buffer
	_ = wire.WriteVarInt(&b, 0, uint64(n))
	return b.Bytes()
}

func TestBlockOfRealTransactions(t *testing.T) {
	c := coin(t, "mainnet")
	for _, b := range blocks(t) {
		if b.Name != "mainnet 170" {
			continue
		}
		tpl := &pool.Template{}
		want := append(unhex(t, b.Header), byte(b.Txs))
		want = append(want, unhex(t, b.Coinbase)...)
		for i, data := range b.Transactions {
			tpl.Txs = append(tpl.Txs, pool.TemplateTx{ID: b.TxIDs[i], Data: []byte(data)})
			want = append(want, unhex(t, data)...)
		}
		header := [80]byte(unhex(t, b.Header))
		got, err := c.Block([]byte("head"), tpl, &header, unhex(t, b.Coinbase))
		if err != nil || !bytes.Equal(got, append([]byte("head"), want...)) {
			t.Errorf("block %x\nwant %x, %v", got, want, err)
		}
		tpl.Extension = []byte{1, 2, 3}
		got, err = c.Block(nil, tpl, &header, unhex(t, b.Coinbase))
		if err != nil || !bytes.Equal(got, append(want, 1, 2, 3)) {
			t.Errorf("block with extension: %v", err)
		}
		tpl.Txs[0].Data = []byte("0g")
		if _, err := c.Block(nil, tpl, &header, unhex(t, b.Coinbase)); err == nil || !strings.Contains(err.Error(), b.TxIDs[0].String()) {
			t.Errorf("bad hex: %v", err)
		}
		return
	}
	t.Fatal("no block 170 in testdata")
}

func TestGenesis(t *testing.T) {
	f := func(network string, want *chaincfg.Params, fork string) {
		t.Helper()
		p := coin(t, network).Params()
		if p.Genesis.String() != want.GenesisHash.String() {
			t.Errorf("%s: genesis %s, want %s", network, p.Genesis, want.GenesisHash)
		}
		if p.Maturity != int64(want.CoinbaseMaturity) || p.Mainnet != (network == "mainnet") || p.ForkName != fork || p.SeparatePow {
			t.Errorf("%s: %+v", network, p)
		}
		if p.DiffOne.String() != "00000000ffff0000000000000000000000000000000000000000000000000000" {
			t.Errorf("%s: difficulty 1 is %s", network, p.DiffOne)
		}
		c := coin(t, network)
		for _, h := range []int64{0, 1, 149, 150, 209_999, 210_000, 840_000, 6_929_999, 6_930_000, 1 << 40, -1} {
			n := h / int64(want.SubsidyReductionInterval)
			subsidy := pool.Amount(0)
			if h >= 0 && n < 64 {
				subsidy = 50_0000_0000 >> n
			}
			if got := c.Subsidy(h); got != subsidy {
				t.Errorf("%s: subsidy at %d is %d, want %d", network, h, got, subsidy)
			}
		}
	}
	f("mainnet", &chaincfg.MainNetParams, "main")
	f("testnet4", &chaincfg.TestNet4Params, "testnet4")
	f("signet", &chaincfg.SigNetParams, "signet")
	f("regtest", &chaincfg.RegressionNetParams, "regtest")
	f("simnet", &chaincfg.SimNetParams, "simnet")
	if got := coin(t, "mainnet").Subsidy(840_000); got != 312_500_000 {
		t.Errorf("subsidy at 840000: %d", got)
	}
	if got := coin(t, "signet").Params().TemplateRules; len(got) != 2 {
		t.Errorf("signet rules %v", got)
	}
	if _, err := bitcoin.New("testnet3"); err == nil || !strings.Contains(err.Error(), "testnet4") {
		t.Errorf("unknown network: %v", err)
	}
}

// heights are the pushes that BIP34 asks for.
var heights = map[int64]string{
	1: "51", 2: "52", 16: "60", 17: "0111", 127: "017f", 128: "028000", 255: "02ff00", 256: "020001",
	32767: "02ff7f", 32768: "03008000", 100000: "03a08601", 840000: "0340d10c",
	8388607: "03ffff7f", 8388608: "0400008000", 1<<31 - 1: "04ffffff7f",
}

func spec(value pool.Amount) *pool.CoinbaseSpec {
	return &pool.CoinbaseSpec{
		Tag: "/Adit/", Epoch: 0x0102030405060708, ExtranonceSize: pool.ExtranonceSize,
		Outputs: []pool.Output{{Script: []byte{0x51}, Value: value}},
	}
}

func TestCoinbaseBytes(t *testing.T) {
	c := coin(t, "regtest")
	for height, push := range heights {
		prefix, suffix, err := c.Coinbase(&pool.Template{Height: height, CoinbaseValue: 7}, spec(7))
		if err != nil {
			t.Fatal(err)
		}
		script := push + "06" + hex.EncodeToString([]byte("/Adit/")) + "18" + "0102030405060708"
		want := "02000000" + "01" + strings.Repeat("00", 32) + "ffffffff" + hex.EncodeToString([]byte{byte(len(script)/2 + 16)}) + script
		if got := hex.EncodeToString(prefix); got != want {
			t.Errorf("height %d: prefix %s\nwant %s", height, got, want)
		}
		lock := uint32(height - 1)
		want = "feffffff" + "01" + "0700000000000000" + "0151" + hex.EncodeToString([]byte{byte(lock), byte(lock >> 8), byte(lock >> 16), byte(lock >> 24)})
		if got := hex.EncodeToString(suffix); got != want {
			t.Errorf("height %d: suffix %s\nwant %s", height, got, want)
		}
	}
}

func TestCoinbaseAux(t *testing.T) {
	c := coin(t, "regtest")
	tpl := &pool.Template{Height: 840000, CoinbaseValue: 7, CoinbaseAux: []byte("\x0e/P2SH/btcd/")}
	prefix, _, err := c.Coinbase(tpl, spec(7))
	if err != nil || !bytes.Contains(prefix, append([]byte{3, 0x40, 0xd1, 0x0c}, tpl.CoinbaseAux...)) {
		t.Errorf("the node's bytes do not follow the height: %x, %v", prefix, err)
	}
	s := spec(7)
	s.Tag = strings.Repeat("x", chain.MaxTag(pool.ExtranonceSize))
	s.Aux = bytes.Repeat([]byte{0xfa}, pool.MaxAuxSize)
	prefix, suffix, err := c.Coinbase(tpl, s)
	if err != nil || bytes.Contains(prefix, tpl.CoinbaseAux) || !bytes.HasPrefix(suffix, s.Aux) {
		t.Errorf("full script: %v", err)
	}
}

func TestCoinbaseRefusals(t *testing.T) {
	c := coin(t, "regtest")
	f := func(what string, change func(*pool.Template, *pool.CoinbaseSpec)) {
		t.Helper()
		tpl, s := &pool.Template{Height: 500, CoinbaseValue: 7}, spec(7)
		change(tpl, s)
		if _, _, err := c.Coinbase(tpl, s); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	f("height 0", func(t *pool.Template, _ *pool.CoinbaseSpec) { t.Height = 0 })
	f("height 2^31", func(t *pool.Template, _ *pool.CoinbaseSpec) { t.Height = 1 << 31 })
	f("a value too small", func(t *pool.Template, _ *pool.CoinbaseSpec) { t.CoinbaseValue = 8 })
	f("a value too large", func(t *pool.Template, _ *pool.CoinbaseSpec) { t.CoinbaseValue = 6 })
	f("no output", func(t *pool.Template, s *pool.CoinbaseSpec) { t.CoinbaseValue, s.Outputs = 0, nil })
	f("a negative output", func(_ *pool.Template, s *pool.CoinbaseSpec) {
		s.Outputs = []pool.Output{{Script: []byte{1}, Value: 8}, {Script: []byte{1}, Value: -1}}
	})
	f("outputs that overflow", func(_ *pool.Template, s *pool.CoinbaseSpec) {
		s.Outputs = []pool.Output{{Script: []byte{1}, Value: 1<<63 - 1}, {Script: []byte{1}, Value: 1<<63 - 1}, {Script: []byte{1}, Value: 9}}
	})
	f("an empty script", func(_ *pool.Template, s *pool.CoinbaseSpec) { s.Outputs[0].Script = nil })
	f("a long tag", func(_ *pool.Template, s *pool.CoinbaseSpec) {
		s.Tag = strings.Repeat("x", chain.MaxTag(pool.ExtranonceSize)+1)
	})
	f("a tag with a line break", func(_ *pool.Template, s *pool.CoinbaseSpec) { s.Tag = "a\nb" })
	f("a long auxiliary commitment", func(_ *pool.Template, s *pool.CoinbaseSpec) { s.Aux = make([]byte, pool.MaxAuxSize+1) })
	f("a long extranonce", func(_ *pool.Template, s *pool.CoinbaseSpec) { s.ExtranonceSize = 68 })
	f("a negative extranonce", func(_ *pool.Template, s *pool.CoinbaseSpec) { s.ExtranonceSize = -1 })
}

// What is built is read back, by our reader and by btcd's, in the form that the commitment asks for.
func TestBuildThenRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := bitcoin.New("mainnet")
		if err != nil {
			t.Fatal(err)
		}
		size := rapid.IntRange(0, 24).Draw(t, "extranonce size")
		s := &pool.CoinbaseSpec{
			Tag:            rapid.StringOfN(rapid.RuneFrom([]rune("abc/ ~")), 0, chain.MaxTag(size), -1).Draw(t, "tag"),
			Epoch:          rapid.Uint64().Draw(t, "epoch"),
			ExtranonceSize: size,
			Aux:            rapid.SliceOfN(rapid.Byte(), 0, pool.MaxAuxSize).Draw(t, "aux"),
		}
		tpl := &pool.Template{
			Height:      rapid.Int64Range(1, 1<<31-1).Draw(t, "height"),
			CoinbaseAux: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "coinbaseaux"),
		}
		for range rapid.IntRange(1, 300).Draw(t, "outputs") {
			o := pool.Output{Script: bytes.Repeat([]byte{0x6a}, rapid.IntRange(1, 300).Draw(t, "script")), Value: pool.Amount(rapid.Int64Range(0, 1<<40).Draw(t, "value"))}
			s.Outputs = append(s.Outputs, o)
			tpl.CoinbaseValue += o.Value
		}
		commitment := rapid.Bool().Draw(t, "commitment")
		want := s.Outputs
		if commitment {
			tpl.WitnessCommitment = append([]byte{0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed}, make([]byte, 32)...)
			want = append(append([]pool.Output{}, want...), pool.Output{Script: tpl.WitnessCommitment})
		}
		prefix, suffix, err := c.Coinbase(tpl, s)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(prefix, epochBytes(s.Epoch)) {
			t.Fatalf("prefix does not end in the epoch: %x", prefix)
		}
		coinbase := append(append(append([]byte{}, prefix...), bytes.Repeat([]byte{0xee}, size)...), suffix...)
		var header [80]byte
		raw, err := c.Block(nil, tpl, &header, coinbase)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := c.ParseCoinbase(raw)
		if err != nil {
			t.Fatal(err)
		}
		if tx.TxID != pool.DoubleSHA256(coinbase) {
			t.Fatal("txid is not the hash of the non-witness form")
		}
		if len(tx.Outputs) != len(want) {
			t.Fatalf("%d outputs, want %d", len(tx.Outputs), len(want))
		}
		for i, o := range tx.Outputs {
			if o.Value != want[i].Value || !bytes.Equal(o.Script, want[i].Script) {
				t.Fatalf("output %d: %+v", i, o)
			}
		}
		var theirs wire.MsgBlock
		if err := theirs.Deserialize(bytes.NewReader(raw)); err != nil {
			t.Fatalf("btcd cannot read the block: %v", err)
		}
		cb := theirs.Transactions[0]
		if len(theirs.Transactions) != 1 || cb.HasWitness() != commitment || cb.TxHash().String() != tx.TxID.String() ||
			cb.LockTime != uint32(tpl.Height-1) || cb.TxIn[0].Sequence != 0xfffffffe || len(cb.TxIn[0].SignatureScript) > 100 ||
			!bytes.Equal(cb.TxIn[0].SignatureScript, tx.Script) {
			t.Fatalf("btcd reads something else: %+v", cb)
		}
	})
}

func epochBytes(epoch uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(epoch >> (56 - 8*i))
	}
	return b
}

// A coinbase that is read has the identity that btcd gives it.
func FuzzParseCoinbase(f *testing.F) {
	for _, b := range blocks(f) {
		f.Add(append(append(unhex(f, b.Header), compactSize(b.Txs)...), unhex(f, b.Coinbase)...))
	}
	c := coin(f, "mainnet")
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := c.ParseCoinbase(raw)
		if err != nil {
			return
		}
		r := bytes.NewReader(raw[80:])
		if n, err := wire.ReadVarInt(r, 0); err != nil || n == 0 {
			t.Fatalf("count %d, %v", n, err)
		}
		var theirs wire.MsgTx
		if err := theirs.Deserialize(r); err != nil {
			t.Fatalf("btcd refuses what we read: %v", err)
		}
		if theirs.TxHash().String() != tx.TxID.String() || len(theirs.TxOut) != len(tx.Outputs) {
			t.Fatalf("txid %s, btcd says %s", tx.TxID, theirs.TxHash())
		}
	})
}
