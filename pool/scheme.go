package pool

// Slice sums the shares of one stretch of the pool's order: what schemes look at.
type Slice struct {
	Number uint64   // from 1, without gaps
	Score  Work     // sum of Weights' scores: floor(credit * 2^64 / network work) of each share
	Weight []Weight // sorted by account, no account twice
	Block  bool     // a found block closed it, which was not orphaned: a round ended
}

// Weight is what one account has in a slice or window.
type Weight struct {
	Account AccountID `json:"account"`
	Score   Work      `json:"score"`
}

// Window is the part of the order that a block's reward is split over. The oldest slice counts pro
// rata: floor(score * Rest / slice score) per account.
type Window struct {
	First, Last uint64 // slice numbers, inclusive; First is the oldest
	Rest        Work   // score taken from slice First; equal to its whole score when it counts in full
	Score       Work   // sum over Weight
	Weight      []Weight
	Full        bool // false: younger than the scheme's window, all there is was taken
}

// Credit is what one account gets of a block.
type Credit struct {
	Account AccountID `json:"account"`
	Amount  Amount    `json:"amount"`
}

// Split is a reward divided: Fee + Carry + sum of Credits = reward, exactly.
type Split struct {
	Fee     Amount
	Carry   Amount // what no account may get: an empty window
	Credits []Credit
}

// Scheme divides rewards: a pure function of the window, the reward and the fee.
type Scheme interface {
	ID() SchemeID
	// Window walks slices newest first, as next returns them (nil: no older one), as far as the scheme
	// looks back. It decides by their scores and ends, sets First, Last, Rest and Full, and leaves the
	// weights to the caller: a window moves on by a slice at a time, and so can its sums.
	Window(next func() (*Slice, error)) (Window, error)
	// Split divides reward over w with a fee in parts per million. It fails only on values out of range.
	Split(w *Window, reward Amount, feePPM uint32) (Split, error)
}
