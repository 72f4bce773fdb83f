package machine

import (
	"context"
	"fmt"
	"sync"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/gpu"
)

// card searches with an OpenCL device. It is opened by the first search and,
// after an error, anew by the next.
type card struct {
	library *gpu.Library
	device  gpu.Device
	program kernels.Program

	mu     sync.Mutex // held while it searches
	search *gpu.Search
	wrong  uint64 // of search, told already
}

// Scan is Scan of worker.Searcher.
func (c *card) Scan(ctx context.Context, header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.search == nil {
		search, err := c.library.Open(c.device, c.program, gpu.Size{})
		if err != nil {
			return 0, err
		}
		c.search, c.wrong = search, 0
	}
	hashes, err := c.search.Scan(ctx, header, first, count, target, found)
	if wrong := c.search.Wrong(); err == nil && wrong > c.wrong {
		err = fmt.Errorf("%v: %w: %d nonces", c.device, gpu.ErrWrong, wrong-c.wrong)
		c.wrong = wrong
		return hashes, err
	}
	if err != nil {
		c.search.Close()
		c.search = nil
	}
	return hashes, err
}

// close does nothing while a search hangs.
func (c *card) close() {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if c.search != nil {
		c.search.Close()
		c.search = nil
	}
}
