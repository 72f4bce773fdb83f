package pool

// ShareFlags mark a journalled share.
type ShareFlags uint8

const (
	// ShareEarly met only a difficulty that was assigned after its job was issued: valid, credit 0.
	ShareEarly ShareFlags = 1 << iota
	// ShareBlock met the network target.
	ShareBlock
)

// SchemeID names a reward scheme in records.
type SchemeID uint8

// The reward schemes that records can name.
const (
	SchemePPLNS SchemeID = 1
	SchemeSOLO  SchemeID = 2
	SchemePROP  SchemeID = 3
)

// String is the configuration's name of the scheme.
func (s SchemeID) String() string {
	switch s {
	case SchemePPLNS:
		return "pplns"
	case SchemeSOLO:
		return "solo"
	case SchemePROP:
		return "prop"
	}
	return "unknown"
}

// Share is an accepted share: what the journal keeps and what money is counted from.
type Share struct {
	Seq     uint64    // place in its journal epoch, from 1; given by the journal
	Time    int64     // Unix milliseconds
	Account AccountID // of Script in this pool
	Script  []byte    // canonical output script
	Worker  string    // storage name, "" when none
	Scheme  SchemeID
	Issued  Work // expected hashes of the target issued with the job
	Credit  Work // min(Issued, network work), 0 when early
	Bits    uint32
	Job     uint64
	Hash    [16]byte // first 16 bytes of the block id, internal order: the ones that vary
	Flags   ShareFlags
}

// Submission is a decoded mining.submit: strict bytes, no strings.
type Submission struct {
	Worker      int    // index into Session.Workers
	Salt        uint32 // names the issued job
	Extranonce2 [8]byte
	NTime       uint32
	Nonce       uint32
	VersionBits uint32
	HasVersion  bool
}

// Verdict is the engine's answer to a submission.
type Verdict struct {
	Reject    Reject
	Hash      Hash       // proof-of-work hash, zero when it was not computed
	Share     Share      // to be journalled when Reject is Accepted
	Candidate *Candidate // set when the hash meets the network target, even for a stale share
	Renew     bool       // the session's duplicate table is full: issue a job at once
}

// Candidate is a found block on its way to the nodes.
type Candidate struct {
	Pool     string `json:"pool"`
	Height   int64  `json:"height"`
	Hash     Hash   `json:"hash"` // block id
	PrevHash Hash   `json:"prev_hash"`
	Bits     uint32 `json:"bits"`
	Value    Amount `json:"value"` // coinbase outputs in all
	Time     int64  `json:"time"`  // Unix milliseconds
	Epoch    uint64 `json:"epoch,string"`
	Share    Share  `json:"share"` // Seq is 0 when it was not journalled (stale, or the disk failed)
	Block    []byte `json:"-"`     // complete serialisation for submitblock
	Err      error  `json:"-"`     // why Block could not be assembled
}
