package stratum

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// Node is a full node of Bitcoin's regtest that stands still: every template has
// the same transactions and a network difficulty that no load meets. POST /tip
// makes it take a new tip. It answers what Adit and ckpool ask.
type Node struct {
	transactions string // JSON list
	commitment   string

	mu      sync.Mutex
	headers []nodeHeader  // guarded by mu, by height; the first is regtest's genesis, of which only the id is real
	changed chan struct{} // guarded by mu: closed at a new tip
}

type nodeHeader struct {
	id   pool.Hash
	prev pool.Hash
	root pool.Hash
	head [80]byte
}

const (
	regtestGenesis = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
	leastBits      = 0x207fffff // of the headers
	hardBits       = 0x1903a30c // of the templates
	nodeEpoch      = 1_700_000_000
	feeEach        = 1000
)

// NewNode makes a node with a number of transactions in its templates, of some 770
// bytes each.
func NewNode(transactions int) (*Node, error) {
	genesis, err := pool.ParseHash(regtestGenesis)
	if err != nil {
		return nil, fmt.Errorf("mock node: %w", err)
	}
	n := &Node{headers: []nodeHeader{{id: genesis}}, changed: make(chan struct{})}
	type entry struct {
		Data   string    `json:"data"`
		TxID   pool.Hash `json:"txid"`
		Hash   pool.Hash `json:"hash"`
		Fee    int       `json:"fee"`
		Weight int       `json:"weight"`
		Sigops int       `json:"sigops"`
		Needs  []int     `json:"depends"`
	}
	list := make([]entry, 0, transactions)
	leaves := make([]pool.Hash, 0, transactions)
	for i := range transactions {
		tx := wire.NewMsgTx(2)
		in := wire.NewTxIn(&wire.OutPoint{}, make([]byte, 107), nil)
		binary.BigEndian.PutUint64(in.PreviousOutPoint.Hash[:], uint64(i)+1)
		tx.AddTxIn(in)
		tx.AddTxOut(wire.NewTxOut(1, append([]byte{0x6a}, make([]byte, 599)...)))
		var raw writer
		if err := tx.Serialize(&raw); err != nil {
			return nil, fmt.Errorf("mock node: %w", err)
		}
		id := pool.Hash(tx.TxHash())
		leaves = append(leaves, id) // without a witness both ids are one
		list = append(list, entry{hex.EncodeToString(raw), id, id, feeEach, 4 * len(raw), 4, []int{}})
	}
	root := pool.MerkleRoot(pool.Hash{}, pool.MerkleBranch(leaves))
	sum := pool.DoubleSHA256(append(root[:], make([]byte, 32)...))
	n.commitment = "6a24aa21a9ed" + hex.EncodeToString(sum[:])
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("mock node: %w", err)
	}
	n.transactions = string(text)
	n.MoveOn()
	return n, nil
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

// MoveOn takes a new tip.
func (n *Node) MoveOn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	var h nodeHeader
	h.prev = n.headers[len(n.headers)-1].id
	binary.LittleEndian.PutUint64(h.root[:], uint64(len(n.headers)))
	target, err := pool.TargetFromBits(leastBits)
	if err != nil {
		panic(fmt.Sprintf("mock node: %v", err)) // a constant
	}
	for nonce := uint32(0); ; nonce++ {
		pool.PutHeader(&h.head, 0x20000000, h.prev, h.root, nodeEpoch, leastBits, nonce)
		if h.id = pool.DoubleSHA256(h.head[:]); target.Meets(&h.id) {
			break
		}
	}
	n.headers = append(n.headers, h)
	close(n.changed)
	n.changed = make(chan struct{})
}

// ServeHTTP answers JSON-RPC, and POST /tip.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/tip" && r.Method == http.MethodPost {
		n.MoveOn()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var call struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	const most = 16 << 20 // a proposed block in hex
	if err := json.NewDecoder(io.LimitReader(r.Body, most)).Decode(&call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if call.ID == nil {
		call.ID = json.RawMessage("null") // ckpool
	}
	result, failure := n.answer(r, call.Method, call.Params)
	if r.Context().Err() != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	body := `{"result":` + result + `,"error":` + failure + `,"id":` + string(call.ID) + "}\n"
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = io.WriteString(w, body)
}

// answer gives result and error as JSON.
func (n *Node) answer(r *http.Request, method string, params []json.RawMessage) (result, failure string) {
	if method == "getblocktemplate" {
		return n.template(r, params), "null"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	tip := len(n.headers) - 1
	var height int
	var id pool.Hash
	if len(params) > 0 {
		_ = json.Unmarshal(params[0], &height) // one of the two is what was sent
		_ = json.Unmarshal(params[0], &id)
	}
	switch method {
	case "getbestblockhash":
		return fmt.Sprintf("%q", n.headers[tip].id), "null"
	case "getblockcount":
		return fmt.Sprint(tip), "null"
	case "getblockhash":
		if height >= 0 && height <= tip {
			return fmt.Sprintf("%q", n.headers[height].id), "null"
		}
		return "null", `{"code":-8,"message":"Block height out of range"}`
	case "getblockheader":
		for at, h := range n.headers {
			if h.id == id {
				return fmt.Sprintf(`{"hash":%q,"confirmations":%d,"height":%d,"version":536870912,"merkleroot":%q,"previousblockhash":%q,"time":%d,"nonce":%d,"bits":"%08x"}`,
					h.id, tip-at+1, at, h.root, h.prev, nodeEpoch, binary.LittleEndian.Uint32(h.head[76:]), leastBits), "null"
			}
		}
		return "null", `{"code":-5,"message":"Block not found"}`
	case "getblockchaininfo":
		return fmt.Sprintf(`{"chain":"regtest","blocks":%d,"headers":%d,"initialblockdownload":false}`, tip, tip), "null"
	case "validateaddress":
		return `{"isvalid":true,"isscript":false,"iswitness":false}`, "null"
	case "submitblock":
		return `"high-hash"`, "null"
	}
	return "null", `{"code":-32601,"message":"Method not found"}`
}

// template answers at once, or a long poll at the next tip.
func (n *Node) template(r *http.Request, params []json.RawMessage) string {
	var request struct{ Mode, Longpollid string }
	if len(params) > 0 {
		_ = json.Unmarshal(params[0], &request) // what is not understood is not asked for
	}
	if request.Mode == "proposal" {
		return "null"
	}
	for {
		n.mu.Lock()
		height, tip, changed := len(n.headers), n.headers[len(n.headers)-1].id, n.changed
		n.mu.Unlock()
		if request.Longpollid != tip.String() {
			return fmt.Sprintf(`{"capabilities":["proposal"],"version":536870912,"rules":["csv","!segwit"],"previousblockhash":%q,"transactions":%s,`+
				`"coinbaseaux":{},"coinbasevalue":%d,"longpollid":%q,"target":"%s","mintime":%d,"mutable":["time","transactions","prevblock"],`+
				`"curtime":%d,"bits":"%08x","height":%d,"default_witness_commitment":%q}`,
				tip, n.transactions, int64(50_0000_0000), tip.String(), targetText, nodeEpoch+1, time.Now().Unix(), hardBits, height, n.commitment)
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			request.Longpollid = ""
		case <-r.Context().Done():
			return "null"
		}
	}
}

// targetText is hardBits as a number: 0x03a30c · 256^(0x19-3).
const targetText = "00000000000000" + "03a30c" + "00000000000000000000000000000000000000000000"
