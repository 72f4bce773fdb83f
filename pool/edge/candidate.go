package edge

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

// writeWait is how long the first submission waits for write(2) of the record.
const writeWait = 2 * time.Millisecond

// candidates takes found blocks to the nodes and to the ledger, each in goroutines of its own that end
// when every node has answered for good, when the block is published, or soon after stop.
type candidates struct {
	// static
	opts  *Options
	nodes []node
	log   zerolog.Logger
	life  context.Context // ends when nothing may be waited for any more
	kill  context.CancelFunc
	quit  context.Context // ends when nothing new may be begun
	leave context.CancelFunc

	mu      sync.Mutex // guards all below
	wg      sync.WaitGroup
	stopped bool
	known   map[pool.Hash]*pursuit
	tips    map[pool.Hash]*siblings // by the block before them
	order   []pool.Hash             // of tips, oldest first

	foundTotal uint64            // blocks since the start
	results    map[string]uint64 // of them, by the nodes' last word
}

type node struct {
	name string
	pool.Node
}

// fate is what became of a found block's share: its commit, nil when it was no share to count, and the
// sequence it has if the commit succeeds.
type fate struct {
	commit *pool.Commit
	seq    uint64
}

// pursuit is one found block.
type pursuit struct {
	// static
	candidate pool.Candidate // as found; what changes of it is in record
	resumed   bool
	fate      chan fate // takes one

	// owned by pursue
	block []byte // nil when no node need be asked any more
	late  bool   // found after stop

	file recordFile

	mu        sync.Mutex // guards all below; never held while the disk works
	record    record
	revision  uint64 // of record, counted when it is encoded
	blockHex  []byte // nil before the first write and when nothing is left to write
	published bool   // in this run, with the share's final sequence
	over      bool   // mature: whatever the nodes do, nobody will ask for it again
}

func openCandidates(o *Options) (*candidates, error) {
	c := &candidates{opts: o, log: o.Log, known: make(map[pool.Hash]*pursuit), tips: make(map[pool.Hash]*siblings), results: make(map[string]uint64)}
	for _, r := range []string{pool.SubmitAccepted.String(), pool.SubmitSideChain.String(), pool.SubmitRejected.String(), gaveUp} {
		c.results[r] = 0
	}
	c.life, c.kill = context.WithCancel(context.Background())
	c.quit, c.leave = context.WithCancel(c.life)
	for i, n := range o.Nodes {
		name := fmt.Sprintf("node %d", i+1)
		if named, ok := n.(interface{ Name() string }); ok {
			name = named.Name()
		}
		c.nodes = append(c.nodes, node{name, n})
	}
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("candidate records: %w", err)
	}
	err := readRecords(o.FS, o.Dir, func(r record, block []byte) {
		p := &pursuit{candidate: r.Candidate, resumed: true, fate: make(chan fate, 1), record: r}
		if !p.complete() {
			p.block, p.blockHex = block, []byte(hex.EncodeToString(block))
		}
		c.known[r.Candidate.Hash] = p
	}, func(path string, err error) {
		o.Log.Error().Str(pool.EventField, pool.EventBlockRecord).Err(err).Str("file", path).Msg("record of a found block cannot be read; look for the block on the chain")
	})
	if err != nil {
		return nil, fmt.Errorf("candidate records: %w", err)
	}
	return c, nil
}

// found begins the pursuit of a block, see siblings. It returns at once, nil for a block that is pursued
// already or need not be.
func (c *candidates) found(block *pool.Candidate) *pursuit {
	c.mu.Lock()
	_, known := c.known[block.Hash]
	if !known {
		c.foundTotal++
	}
	c.mu.Unlock()
	if known { // its share comes again since the disk did not take it
		return nil
	}
	p := &pursuit{candidate: *block, block: block.Block, fate: make(chan fate, 1)}
	p.candidate.Block, p.candidate.Share.Seq = nil, 0
	p.record = record{Version: recordVersion, Candidate: p.candidate}
	c.log.Info().Str("block", block.Hash.String()).Int64("height", block.Height).Str("account", block.Share.Account.String()).
		Str("worker", block.Share.Worker).Msg("block found")
	if block.Err != nil {
		c.log.Error().Str(pool.EventField, pool.EventBlockLost).Err(block.Err).Str("block", block.Hash.String()).Msg("found block cannot be assembled: it is lost")
		return p
	}
	if !c.admit(p) {
		return nil
	}
	return p
}

// begin starts the goroutines of a pursuit. After stop it works in the caller's: a block found so late
// is still offered once.
func (c *candidates) begin(p *pursuit) {
	c.mu.Lock()
	late := c.stopped
	if !late {
		c.wg.Go(func() { c.pursue(p) })
		c.wg.Go(func() { c.publish(p) })
	}
	c.mu.Unlock()
	if late {
		p.late = true
		c.pursue(p)
	}
}

// resume goes on with what earlier runs left: no more than what was pursued then.
func (c *candidates) resume() {
	c.mu.Lock()
	var left []*pursuit
	for _, p := range c.known {
		if p.resumed {
			left = append(left, p)
		}
	}
	c.mu.Unlock()
	for _, p := range left {
		c.log.Info().Str("block", p.candidate.Hash.String()).Str("result", p.record.Result).Msg("found block of an earlier run is taken up again")
		c.begin(p)
	}
}

// stop lets submissions under way finish until ctx ends, then ends them.
func (c *candidates) stop(ctx context.Context) {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.leave()
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	c.kill()
	<-done
}

// pursue writes the record and offers the block to all nodes.
func (c *candidates) pursue(p *pursuit) {
	var recorded sync.WaitGroup
	if !p.resumed {
		written := make(chan struct{})
		recorded.Go(func() { c.begun(p, written) })
		wait := time.NewTimer(writeWait)
		select {
		case <-written:
		case <-wait.C:
		}
		wait.Stop()
	}
	c.submit(p)
	recorded.Wait()
	c.conclude(p)
	c.leaveTip(p)
}

// begun writes a new record.
func (c *candidates) begun(p *pursuit, written chan struct{}) {
	signal := sync.OnceFunc(func() { close(written) })
	defer signal()
	digits := make([]byte, hex.EncodedLen(len(p.block)))
	hex.Encode(digits, p.block)
	p.mu.Lock()
	p.blockHex = digits
	p.mu.Unlock()
	c.save(p, signal)
}

// save puts the record on disk as it is now. A failure is told; only the caller waits for it.
func (c *candidates) save(p *pursuit, written func()) {
	p.mu.Lock()
	if p.blockHex == nil { // not begun: the first write has all that is known by then
		p.mu.Unlock()
		return
	}
	p.revision++
	revision := p.revision
	content, err := p.record.encode(p.blockHex)
	if p.complete() {
		p.blockHex = nil
	}
	p.mu.Unlock()
	if err == nil {
		err = p.file.write(c.opts.FS, c.opts.Dir, p.name(), revision, content, written)
	}
	if err != nil {
		c.log.Error().Str(pool.EventField, pool.EventBlockRecord).Err(err).Str("block", p.candidate.Hash.String()).Msg("record of a found block cannot be written; the block goes out all the same")
	}
}

// complete reports that nothing more can change but whether the ledger has it.
func (p *pursuit) complete() bool { return p.record.Result != "" && p.record.Journalled }

func (p *pursuit) name() string { return p.candidate.Hash.String() + recordSuffix }

// publish tells the ledger of the block as soon as the fate of its share is known.
func (c *candidates) publish(p *pursuit) {
	p.mu.Lock()
	journalled := p.record.Journalled
	p.mu.Unlock()
	if !journalled {
		seq, ok := c.sequence(p)
		if !ok {
			return
		}
		p.mu.Lock()
		p.record.Candidate.Share.Seq = seq
		p.record.Journalled = true
		p.mu.Unlock()
		var saved sync.WaitGroup
		saved.Go(func() { c.save(p, nil) }) // the ledger need not wait for this disk
		defer saved.Wait()
	}
	for n := 0; ; n++ {
		err := c.tell(c.life, p)
		if err == nil {
			return
		}
		if n == 0 {
			c.log.Warn().Err(err).Str("block", p.candidate.Hash.String()).Msg("found block cannot be told to the ledger yet")
		}
		if !pause(c.quit, n, retryFirst, retryLimit) {
			return
		}
	}
}

func (c *candidates) tell(ctx context.Context, p *pursuit) error {
	p.mu.Lock()
	candidate := p.record.Candidate
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.opts.Candidates.PublishCandidate(ctx, candidate); err != nil {
		return err
	}
	p.mu.Lock()
	p.published = true
	p.mu.Unlock()
	return nil
}

// sequence waits for the fate of the block's share: its sequence, 0 when it is not in the journal.
func (c *candidates) sequence(p *pursuit) (uint64, bool) {
	if p.resumed {
		seq, err := c.lookUp(p.candidate.Epoch, p.candidate.Share.Hash)
		if err != nil {
			c.log.Error().Str(pool.EventField, pool.EventBlockRecord).Err(err).Str("block", p.candidate.Hash.String()).Msg("journal cannot be searched for the share of a found block")
			return 0, false
		}
		return seq, true
	}
	var f fate
	select {
	case f = <-p.fate:
	case <-c.life.Done():
		return 0, false
	}
	if f.commit == nil {
		return 0, true
	}
	select {
	case <-f.commit.Done():
	case <-c.life.Done():
		return 0, false
	}
	if f.commit.Err() != nil {
		return 0, true
	}
	return f.seq, true
}

// lookUp searches what is retained of an epoch for a share. A share that is not there was either never
// durable, or released: then the ledger has counted it where its stream delivered it.
func (c *candidates) lookUp(epoch uint64, hash [16]byte) (uint64, error) {
	var decoder journal.Decoder
	var shares []pool.Share
	for after := uint64(0); c.life.Err() == nil; {
		blocks, err := c.opts.Journal.Read(epoch, after, forwardBytes)
		if errors.Is(err, journal.ErrNoEpoch) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if len(blocks) == 0 {
			return 0, nil
		}
		for i := range blocks {
			if _, shares, err = decoder.DecodeAppend(shares[:0], blocks[i].Raw); err != nil {
				return 0, err
			}
			for k := range shares {
				if shares[k].Hash == hash {
					return shares[k].Seq, nil
				}
			}
			after = blocks[i].Last()
		}
	}
	return 0, c.life.Err()
}

// repeat publishes again what the ledger does not have yet: a message can be lost with its stream.
func (c *candidates) repeat(ctx context.Context) {
	tick := time.NewTicker(c.opts.RepeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		var again []*pursuit
		for _, p := range c.known {
			again = append(again, p)
		}
		c.mu.Unlock()
		for _, p := range again {
			p.mu.Lock()
			due := p.published && !p.record.Settled
			p.mu.Unlock()
			if due && c.tell(ctx, p) != nil {
				break // the next turn is soon
			}
		}
	}
}

// settled notes that the ledger has a block.
func (c *candidates) settled(id pool.Hash) {
	c.mu.Lock()
	p := c.known[id]
	c.mu.Unlock()
	if p == nil {
		return
	}
	p.mu.Lock()
	changed := !p.record.Settled
	p.record.Settled = true
	p.mu.Unlock()
	if changed {
		c.save(p, nil)
	}
	c.drop(p)
}

// drop forgets a block that the nodes have answered for, the ledger has, and no node can forget any more.
func (c *candidates) drop(p *pursuit) {
	p.mu.Lock()
	done := p.record.Result != "" && p.record.Settled && !p.mayReturn()
	p.mu.Unlock()
	if !done {
		return
	}
	if err := p.file.remove(c.opts.FS, c.opts.Dir, p.name()); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		c.log.Warn().Err(err).Str("block", p.candidate.Hash.String()).Msg("record of a settled block stays behind")
	}
	c.mu.Lock()
	delete(c.known, p.candidate.Hash)
	c.mu.Unlock()
}
