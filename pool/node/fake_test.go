package node

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain"
)

// fakeNode is a full node of Core's dialect over HTTP with a little chain of its own. A test changes
// single answers to make it lie.
type fakeNode struct {
	t     testing.TB
	chain pool.Chain
	http  *httptest.Server

	mu      sync.Mutex
	blocks  []fakeBlock                                          // guarded by mu, by height
	raw     map[pool.Hash][]byte                                 // guarded by mu: submitted
	answers map[string]func(params []json.RawMessage) (any, any) // guarded by mu: result and error in place of the usual
	calls   map[string]int                                       // guarded by mu
	tamper  func(map[string]any)                                 // guarded by mu: of a template
	changed chan struct{}                                        // guarded by mu: closed at a new tip
	submit  any                                                  // guarded by mu: what submitblock says
	stop    chan struct{}
}

type fakeBlock struct {
	id     pool.Hash
	header [80]byte
}

// fakeChain is Bitcoin's rules at the least difficulty, with the mark of a main network or without.
func fakeChain(t testing.TB, mainnet bool) pool.Chain {
	t.Helper()
	c, err := chain.New(chain.Spec{
		Coin: "bitcoin", Network: "fake", Genesis: fakeGenesis().id.String(), Mainnet: mainnet, Maturity: 100,
		FirstSubsidy: 50_0000_0000, HalvingInterval: 210_000, TemplateRules: []string{"segwit"}, Kernel: sha256d.Kernel{},
		Addresses: chain.Addresses{PubKeyHash: []byte{0}, ScriptHash: []byte{5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const fakeBits = 0x207fffff

func fakeGenesis() fakeBlock { return mineFake(pool.Hash{}, "genesis") }

// mineFake makes a header with proof of work; salt makes it unlike others.
func mineFake(prev pool.Hash, salt string) fakeBlock {
	target, _ := pool.TargetFromBits(fakeBits)
	var b fakeBlock
	for nonce := uint32(0); ; nonce++ {
		pool.PutHeader(&b.header, 0x20000000, prev, pool.DoubleSHA256([]byte(salt)), 1_700_000_000, fakeBits, nonce)
		if b.id = pool.DoubleSHA256(b.header[:]); target.Meets(&b.id) {
			return b
		}
	}
}

func newFake(t testing.TB, c pool.Chain) *fakeNode {
	f := &fakeNode{
		t: t, chain: c, blocks: []fakeBlock{fakeGenesis()}, raw: map[pool.Hash][]byte{},
		answers: map[string]func([]json.RawMessage) (any, any){}, calls: map[string]int{},
		changed: make(chan struct{}), stop: make(chan struct{}),
	}
	f.http = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		close(f.stop)
		f.http.CloseClientConnections()
		f.http.Close()
	})
	return f
}

func (f *fakeNode) client(name string) *Client {
	f.t.Helper()
	c, err := Dial(Options{Name: name, URL: f.http.URL, User: "u", Password: "p", Chain: f.chain, Log: zerolog.Nop()})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// mine adds a block on the tip.
func (f *fakeNode) mine(salt string) fakeBlock {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := mineFake(f.blocks[len(f.blocks)-1].id, salt)
	f.add(b)
	return b
}

// add makes b the tip; mu is held.
func (f *fakeNode) add(b fakeBlock) {
	f.blocks = append(f.blocks, b)
	close(f.changed)
	f.changed = make(chan struct{})
}

// set changes the answer of a method; nil restores it.
func (f *fakeNode) set(method string, answer func([]json.RawMessage) (any, any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if answer == nil {
		delete(f.answers, method)
	} else {
		f.answers[method] = answer
	}
}

func (f *fakeNode) lie(tamper func(map[string]any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tamper = tamper
}

func (f *fakeNode) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (f *fakeNode) serve(w http.ResponseWriter, r *http.Request) {
	var request struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.calls[request.Method]++
	special := f.answers[request.Method]
	f.mu.Unlock()
	var result, failure any
	if special != nil {
		result, failure = special(request.Params)
	} else {
		result, failure = f.answer(r, request.Method, request.Params)
	}
	if r.Context().Err() != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"id": request.ID, "result": result, "error": failure})
}

func (f *fakeNode) answer(r *http.Request, method string, params []json.RawMessage) (result, failure any) {
	param := func(i int, v any) {
		if i < len(params) {
			_ = json.Unmarshal(params[i], v)
		}
	}
	if method == "getblocktemplate" {
		return f.template(r, params)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch method {
	case "getbestblockhash":
		return f.blocks[len(f.blocks)-1].id, nil
	case "getblockhash":
		height := -1
		param(0, &height)
		if height < 0 || height >= len(f.blocks) {
			return nil, rpcError{-8, "Block height out of range"}
		}
		return f.blocks[height].id, nil
	case "getblockheader":
		var id pool.Hash
		param(0, &id)
		for h, b := range f.blocks {
			if b.id == id {
				return headerJSON(b, h, len(f.blocks)-h), nil
			}
		}
		return nil, rpcError{-5, "Block not found"}
	case "getblockchaininfo":
		n := len(f.blocks) - 1
		return map[string]any{"blocks": n, "headers": n, "initialblockdownload": false}, nil
	case "getblock":
		var id pool.Hash
		param(0, &id)
		if raw := f.raw[id]; raw != nil {
			return hex.EncodeToString(raw), nil
		}
		return nil, rpcError{-5, "Block not found"}
	case "submitblock":
		var text string
		param(0, &text)
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) < 81 {
			return nil, rpcError{-22, "Block decode failed"}
		}
		b := fakeBlock{header: [80]byte(raw[:80])}
		b.id = pool.DoubleSHA256(b.header[:])
		f.raw[b.id] = raw
		if tip := f.blocks[len(f.blocks)-1].id; [32]byte(raw[4:36]) == tip {
			f.add(b)
			return f.submit, nil
		}
		for _, known := range f.blocks {
			if known.id == b.id {
				return "duplicate", nil
			}
		}
		return "prev-blk-not-found", nil
	}
	return nil, rpcError{-32601, "Method not found"}
}

func headerJSON(b fakeBlock, height, confirmations int) map[string]any {
	return map[string]any{
		"hash": b.id, "confirmations": confirmations, "height": height, "version": 0x20000000,
		"merkleroot": pool.Hash(b.header[36:68]), "previousblockhash": pool.Hash(b.header[4:36]), "time": 1_700_000_000,
		"nonce": uint32(b.header[76]) | uint32(b.header[77])<<8, "bits": fmt.Sprintf("%08x", fakeBits),
	}
}

func (f *fakeNode) template(r *http.Request, params []json.RawMessage) (result, failure any) {
	var request struct {
		Mode, Longpollid, Data string
	}
	_ = json.Unmarshal(params[0], &request)
	if request.Mode == "proposal" {
		return nil, nil
	}
	for {
		f.mu.Lock()
		tip, height, changed := f.blocks[len(f.blocks)-1].id, len(f.blocks), f.changed
		tamper := f.tamper
		f.mu.Unlock()
		if request.Longpollid == tip.String() {
			select {
			case <-changed:
				continue
			case <-r.Context().Done():
				return nil, nil
			case <-f.stop:
				return nil, nil
			}
		}
		t := map[string]any{
			"version": 0x20000000, "previousblockhash": tip, "transactions": []any{}, "coinbaseaux": map[string]any{},
			"coinbasevalue": 50_0000_0000, "longpollid": tip.String(), "mintime": 1_700_000_001, "curtime": time.Now().Unix(),
			"bits": fmt.Sprintf("%08x", fakeBits), "height": height, "rules": []string{"csv", "!segwit"},
			"default_witness_commitment": "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9",
		}
		if tamper != nil {
			tamper(t)
		}
		return t, nil
	}
}
