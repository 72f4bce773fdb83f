package pool

// Reject says why a submission was refused. Its code is what goes on the wire; its name is what is
// counted and shown.
type Reject uint8

// The kinds of refusal. Accepted is the zero value.
const (
	Accepted            Reject = iota
	RejectMalformed            // a field is not what the protocol says
	RejectNTime                // ntime outside its window
	RejectVersion              // rolled version bits outside the mask
	RejectUnknownJob           // job never issued to this session, or retired
	RejectStale                // job of a tip that has been replaced
	RejectDuplicate            // this header was already submitted
	RejectLowDifficulty        // hash above the issued target
	RejectUnauthorized         // worker not authorized on this session
	RejectNotSubscribed        // submit before subscribe
	RejectInternal             // the share could not be made durable; not counted
	RejectBusy                 // not looked at: too many hashes for sessions that only miss their target
	numRejects
)

var rejects = [numRejects]struct {
	code    int
	name    string
	message string
}{
	Accepted:            {0, "accepted", ""},
	RejectMalformed:     {20, "malformed", "Malformed submission"},
	RejectNTime:         {20, "ntime", "ntime out of range"},
	RejectVersion:       {20, "version", "Version bits outside the mask"},
	RejectUnknownJob:    {21, "unknown-job", "Job not found"},
	RejectStale:         {21, "stale", "Stale share: the chain has a new tip"},
	RejectDuplicate:     {22, "duplicate", "Duplicate share"},
	RejectLowDifficulty: {23, "low-difficulty", "Low difficulty share"},
	RejectUnauthorized:  {24, "unauthorized", "Unauthorized worker"},
	RejectNotSubscribed: {25, "not-subscribed", "Not subscribed"},
	RejectInternal:      {20, "internal", "Share not recorded, please keep mining"},
	RejectBusy:          {20, "busy", "Share not checked: too many shares miss their target"},
}

// Code is the stratum V1 error code 20..25.
func (r Reject) Code() int { return rejects[r].code }

// String is the short name: "stale", "low-difficulty".
func (r Reject) String() string { return rejects[r].name }

// Message is the text sent to the miner.
func (r Reject) Message() string { return rejects[r].message }

// Rejects lists every kind but Accepted.
func Rejects() []Reject {
	all := make([]Reject, 0, numRejects-1)
	for r := RejectMalformed; r < numRejects; r++ {
		all = append(all, r)
	}
	return all
}
