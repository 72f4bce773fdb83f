package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/all"
)

// recorded are answers of real nodes.
type recorded struct {
	Template json.RawMessage `json:"getblocktemplate"`
	Header   json.RawMessage `json:"getblockheader"`
	Genesis  json.RawMessage `json:"genesis"`
	Info     json.RawMessage `json:"getblockchaininfo"`
}

func record(t testing.TB, file string) (r recorded) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordedTemplates(t *testing.T) {
	f := func(file, coin, network string, want pool.Template) {
		t.Helper()
		c, err := all.Find(coin, network)
		if err != nil {
			t.Fatal(err)
		}
		r := record(t, file)
		var a answer
		if err := a.scan(r.Template); err != nil {
			t.Fatal(err)
		}
		got, err := a.template("n", c.Params())
		if err != nil {
			t.Fatal(err)
		}
		if got.Height != want.Height || got.Version != want.Version || got.Bits != want.Bits || got.CurTime != want.CurTime || got.MinTime != want.MinTime ||
			got.CoinbaseValue != want.CoinbaseValue || got.LongpollID != want.LongpollID || !bytes.Equal(got.CoinbaseAux, want.CoinbaseAux) ||
			!bytes.Equal(got.WitnessCommitment, want.WitnessCommitment) || len(got.Txs) != len(want.Txs) || got.Extension != nil {
			t.Errorf("%s: %+v", file, got)
		}
		if err := verifyTxs(got); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var parent struct {
			Hash pool.Hash
			Bits string
		}
		if err := json.Unmarshal(r.Header, &parent); err != nil {
			t.Fatal(err)
		}
		bits, err := parseBits(parent.Bits)
		if err != nil || parent.Hash != got.PrevHash {
			t.Fatalf("%s: parent %s, %v", file, parent.Hash, err)
		}
		if err := checkAgainst(got, header{id: parent.Hash, height: got.Height - 1, bits: bits}, c); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	script := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	f("btcd-0.26.2.json", "bitcoin", "simnet", pool.Template{
		Height: 438, Version: 0x20400000, Bits: 0x207fffff, CurTime: 1795363707, MinTime: 1795363707, CoinbaseValue: 50_0002_0000,
		CoinbaseAux: []byte("\x0b/P2SH/btcd/"), Txs: make([]pool.TemplateTx, 1),
		LongpollID:        "42d447043fb90d9ff921bc6b9412f53f981380dc15c0474eb2b17e961240a8d6-1795363690",
		WitnessCommitment: script("6a24aa21a9ed57de3bb1c6eb613502ff9ebe65f72cc6d960e8dd804aaa8ce221509bc68ab457"), // btcd gives the hash alone
	})
	f("litecoind-0.21.2.json", "litecoin", "regtest", pool.Template{
		Height: 32, Version: 0x20000000, Bits: 0x207fffff, CurTime: 1795363763, MinTime: 1795363763, CoinbaseValue: 50_0000_0000,
		LongpollID:        "6cfabc7030856050102c1d9833370a674827e2babc1348270ae6039437a01deb34",
		WitnessCommitment: script("6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"),
	})
}

// whole is a template with every member, to be damaged.
const whole = `{"version":536870912,"previousblockhash":"00000000000000000000000000000000000000000000000000000000000000aa",` +
	`"transactions":[{"data":"0a0b","txid":"00000000000000000000000000000000000000000000000000000000000000bb","hash":"cc","depends":[1,2],"fee":7,"sigops":1,"weight":4}],` +
	`"coinbaseaux":{"flags":"0102"},"coinbasevalue":5000000007,"longpollid":"x1","mintime":1,"curtime":2,"bits":"207fffff",` +
	`"height":9,"rules":["csv","!segwit"],"vbavailable":{"a":[1.5e3,{"b":null}]},"mutable":["time\u0020\"]"],"mweb":"ff","other":true}`

func TestScan(t *testing.T) {
	var a answer
	if err := a.scan([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	if a.version != 0x20000000 || a.previous[0] != 0xaa || a.value != 5000000007 || a.height != 9 || a.bits != "207fffff" || a.extension != "ff" ||
		len(a.rules) != 2 || string(a.aux) != "\x01\x02" || len(a.txs) != 1 || string(a.txs[0].Data) != "0a0b" || a.txs[0].ID[0] != 0xbb || a.txs[0].Fee != 7 {
		t.Errorf("%+v", a)
	}
	for cut := range whole {
		var a answer
		if err := a.scan([]byte(whole[:cut])); err == nil {
			t.Fatalf("cut at byte %d is accepted", cut)
		}
	}
	f := func(old, new, want string) {
		t.Helper()
		text := strings.Replace(whole, old, new, 1)
		if text == whole {
			t.Fatalf("%q is not in the template", old)
		}
		var a answer
		if err := a.scan([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s for %s: %v\nwant a text with %q", new, old, err, want)
		}
	}
	for _, r := range required {
		f(`"`+r.name+`"`, `"x`+r.name+`"`, r.name+" is missing")
	}
	f(`"height":9`, `"height":9,"height":9`, "twice")
	f(`"fee":7`, `"fee":7,"fee":7`, "twice")
	f(`"fee":7,`, ``, "data, txid or fee is missing")
	f(`"fee":7`, `"fee":7.0`, "not whole")
	f(`"fee":7`, `"fee":7e2`, "not whole")
	f(`"fee":7`, `"fee":"7"`, "syntax")
	f(`"height":9`, `"height":09`, "syntax")
	f(`"height":9`, `"height":99999999999999999999`, "out of range")
	f(`"height":9`, `"height":null`, "syntax")
	f(`"height":9`, `"h\u0065ight":9`, "syntax")
	f(`"0a0b"`, `"0a\n0b"`, "syntax")
	f(`00aa"`, `0aa"`, "63 hex digits")
	f(`00aa"`, `00ga"`, "invalid byte")
	f(`"0102"`, `"01020"`, "odd length")
	f(`[1,2]`, `[1,2}`, "syntax")
	f(`true}`, `tru}`, "syntax")
	f(`true}`, `true}}`, "syntax")
	f(`true}`, `true} x`, "syntax")
	f(`1.5e3`, `1.5e`, "syntax")
	f(`[{"data`, `[[{"data`, "syntax")
	f(`"0a0b"`, `"`+strings.Repeat("00", maxTxDigits/2+1)+`"`, "more transactions than a block")
	f(`"other":true`, `"other":"`+strings.Repeat("x", maxMember)+`"`, "syntax")
}

func TestTemplateRefusals(t *testing.T) {
	c := fakeChain(t, true)
	f := func(old, new, want string) {
		t.Helper()
		var a answer
		if err := a.scan([]byte(strings.Replace(whole, old, new, 1))); err != nil {
			t.Fatal(err)
		}
		if got, err := a.template("n", c.Params()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s for %s: %+v, %v; want a text with %q", new, old, got, err, want)
		}
	}
	f(`"!segwit"`, `"!newrule"`, "newrule")
	f(`"height":9`, `"height":0`, "height 0")
	f(`"height":9`, `"height":2147483648`, "height")
	f(`"coinbasevalue":5000000007`, `"coinbasevalue":-1`, "coinbasevalue -1")
	f(`"mintime":1`, `"mintime":3`, "mintime 3")
	f(`"curtime":2`, `"curtime":4294967296`, "curtime")
	f(`"version":536870912`, `"version":4294967296`, "version")
	f(`"207fffff"`, `"20ffffff"`, "20ffffff")
	f(`"207fffff"`, `""`, "compact target")
	f(`"height":9`, `"height":9,"target":"00"`, "target 00 is not that of bits")
	f(`"height":9`, `"height":9,"default_witness_commitment":"00"`, "BIP141")
	f(`"height":9`, `"height":9,"default_witness_commitment":"zz"`, "invalid byte")
	f(`"mweb":"ff"`, `"mweb":"f"`, "extension block")
}

// oracle reads a template as encoding/json does.
type oracle struct {
	Version      int64     `json:"version"`
	Previous     pool.Hash `json:"previousblockhash"`
	Transactions []struct {
		Data string    `json:"data"`
		TxID pool.Hash `json:"txid"`
		Fee  int64     `json:"fee"`
	} `json:"transactions"`
	Value   int64  `json:"coinbasevalue"`
	MinTime int64  `json:"mintime"`
	CurTime int64  `json:"curtime"`
	Bits    string `json:"bits"`
	Height  int64  `json:"height"`
}

// What the scanner takes is JSON, and encoding/json reads the same in it.
func FuzzScan(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(record(f, "btcd-0.26.2.json").Template))
	f.Add([]byte(record(f, "litecoind-0.21.2.json").Template))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a answer
		if err := a.scan(raw); err != nil {
			return
		}
		for _, tx := range a.txs {
			if _, err := hex.DecodeString(string(tx.Data)); err != nil {
				return // left to the check beside the miners' work
			}
		}
		if !json.Valid(raw) {
			t.Fatal("this is no JSON")
		}
		if folded(raw) {
			return // encoding/json takes other spellings of names for the same
		}
		var o oracle
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		if o.Version != a.version || o.Previous != a.previous || o.Value != a.value || o.MinTime != a.minTime || o.CurTime != a.curTime || o.Bits != a.bits || o.Height != a.height || len(o.Transactions) != len(a.txs) {
			t.Fatalf("%+v\n%+v", a, o)
		}
		for i, tx := range o.Transactions {
			if tx.Data != string(a.txs[i].Data) || tx.TxID != a.txs[i].ID || tx.Fee != int64(a.txs[i].Fee) {
				t.Fatalf("transaction %d: %+v, %+v", i, a.txs[i], tx)
			}
		}
	})
}

// folded tells whether some member's name is one of ours but for its case.
func folded(raw []byte) bool {
	lower := bytes.ToLower(raw)
	for _, name := range []string{"version", "previousblockhash", "transactions", "data", "txid", "fee", "coinbasevalue", "mintime", "curtime", "bits", "height"} {
		quoted := []byte(`"` + name + `"`)
		if bytes.Count(raw, quoted) != bytes.Count(lower, quoted) {
			return true
		}
	}
	return bytes.IndexByte(raw, '\\') >= 0 || !bytes.Equal(raw, bytes.ToValidUTF8(raw, nil)) || bytes.ContainsAny(raw, "\u017f\u212a")
}

func bigTemplate() []byte {
	var b strings.Builder
	data := strings.Repeat("0123456789abcdef", 96) // 768 bytes
	for i := range 3000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"data":"%s","txid":"%064x","hash":"%064x","depends":[],"fee":%d,"sigops":4,"weight":3000}`, data, i+1, i+1, i)
	}
	return []byte(strings.Replace(whole, `{"data":"0a0b"`, b.String()+`,{"data":"0a0b"`, 1))
}

func BenchmarkScan(b *testing.B) {
	raw := bigTemplate()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		var a answer
		if err := a.scan(raw); err != nil || len(a.txs) != 3001 {
			b.Fatal(len(a.txs), err)
		}
	}
}

// Transactions cost no memory but their place in the list.
func TestScanAllocations(t *testing.T) {
	raw := bigTemplate()
	n := testing.AllocsPerRun(3, func() {
		var a answer
		if err := a.scan(raw); err != nil {
			t.Error(err)
		}
	})
	if n > 1500 { // the race detector makes some of its own
		t.Errorf("%v allocations for 3001 transactions", n)
	}
}
