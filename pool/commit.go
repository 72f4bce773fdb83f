package pool

// Commit is the fate of one group of journal records: Done is closed when all are durable or the
// attempt failed.
type Commit struct {
	done chan struct{}
	err  error // written before done is closed
}

// NewCommit returns an open commit.
func NewCommit() *Commit { return &Commit{done: make(chan struct{})} }

// Finish closes the commit; err nil means that every record is durable. Called once, by the journal.
func (c *Commit) Finish(err error) {
	c.err = err
	close(c.done)
}

// Done is closed when the fate is known.
func (c *Commit) Done() <-chan struct{} { return c.done }

// Err is the fate; valid after Done is closed.
func (c *Commit) Err() error { return c.err }
