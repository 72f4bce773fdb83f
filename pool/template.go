package pool

// Template is one getblocktemplate answer, normalised over node dialects, before anything of ours is in
// it. It is not changed after it was made.
type Template struct {
	Node              string // name of the node it came from
	Height            int64  // of the block to build
	PrevHash          Hash
	Version           uint32
	Bits              uint32
	CurTime, MinTime  uint32 // seconds; MinTime is median time past + 1 or what the node says
	CoinbaseValue     Amount // subsidy + fees: exactly what our coinbase claims
	CoinbaseAux       []byte // bytes the node wants in the coinbase script, usually none
	WitnessCommitment []byte // complete output script, nil when the block needs none
	Txs               []TemplateTx
	Extension         []byte // appended after the transactions (Litecoin: 0x01 ‖ mweb), nil when none
	LongpollID        string
}

// TemplateTx is a transaction of a template. Data stays hex until a block is found.
type TemplateTx struct {
	ID   Hash   // txid, internal order
	Data []byte // hex digits of the full serialisation, with witness
	Fee  Amount
}
