//go:build itest

package itest

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// outcome is what became of everything.
type outcome struct {
	done                                        map[string]int // faults by kind
	acknowledged, lost, doubled, strange, money int
	ended, refused, blocks, wrong, takeovers    int
	small, traced, failed                       bool
}

func (o *outcome) clean() bool {
	return !o.failed && o.lost+o.doubled+o.strange+o.money+o.wrong+o.ended == 0
}

// String is the closing line.
func (o *outcome) String() string {
	total := 0
	var kinds []string
	for _, name := range faultNames {
		if n := o.done[name]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %d", name, n))
			total += n
		}
	}
	full, sync := "RLIMIT_FSIZE alone", "none: strace cannot be used here"
	if o.small {
		full = "a small tmpfs and RLIMIT_FSIZE"
	}
	if o.traced {
		sync = "strace"
	}
	verify := "right"
	if o.wrong > 0 {
		verify = "WRONG"
	}
	return fmt.Sprintf("chaos: %d faults (%s; full disk by %s, fsync errors by %s); ended by itself %d; takeovers %d; blocks %d; "+
		"shares acknowledged %d, lost %d, doubled %d, never submitted %d; money out of balance %d; verify %s",
		total, strings.Join(kinds, ", "), full, sync, o.ended, o.takeovers, o.blocks, o.acknowledged, o.lost, o.doubled, o.strange, o.money, verify)
}

// judge stops the pool as it should be stopped, counts, and adds to total.
func (c *chaos) judge(total *outcome) {
	t := c.t
	money, blocks := c.outOfBalance()
	for _, m := range c.edges {
		m.s.stop()
		m.s.journalShares(c.shares)
	}
	counted := map[string]bool{}
	lost, doubled, strange := 0, 0, 0
	count := func(hash, where string) {
		if counted[hash] {
			t.Logf("share %s is counted twice (%s)", hash, where)
			doubled++
		}
		if !c.rigs.submitted[hash] {
			t.Logf("share %s (%s) was never submitted", hash, where)
			strange++
		}
		counted[hash] = true
	}
	inJournals := 0
	for epoch, of := range c.shares {
		for seq, sh := range of {
			count(sh.Hash, fmt.Sprintf("%s/%d", epoch, seq))
			inJournals++
		}
	}
	for h := range c.rigs.acknowledged {
		if !counted[h] {
			t.Logf("acknowledged share %s is in no journal", h)
			lost++
		}
	}
	// Edges have sent everything: the ledger folds it before it stops, or goes on at its next start.
	c.ledger = c.both()
	c.other(c.ledger).s.stop() // it would take over
	c.ledger.s.stop()
	lines := c.slices()
	for tries := 0; tries < 3 && c.missing(lines) > 0; tries++ {
		t.Logf("%d shares are not in slices yet: the ledger goes on", c.missing(lines))
		c.ledger.up()
		time.Sleep(5 * time.Second)
		c.ledger.s.stop()
		lines = c.slices()
	}
	// A block's share that a full disk did not take was refused, yet it counts: the block pays for it.
	for i := range lines {
		for _, x := range lines[i].Extras {
			if x.Seq == 0 {
				count(x.Hash, fmt.Sprintf("slice %d", lines[i].Number))
			}
		}
	}
	if missing := len(counted) - countOnce(t, lines, c.shares); missing > 0 {
		lost += missing
	} else {
		doubled -= missing
	}
	extras := outOfTurn(lines)
	for i := range lines {
		compareSums(t, &lines[i], recomputeSlice(t, &lines[i], extras, c.shares))
	}
	total.wrong += c.compareDisks()
	for name, n := range c.done {
		total.done[name] += n
	}
	for _, m := range c.members() {
		total.ended += m.ended
		total.refused += m.refused
		total.small = total.small || m.tmpfs != ""
	}
	total.traced, total.takeovers = total.traced || c.trace, total.takeovers+c.takeovers
	total.acknowledged += len(c.rigs.acknowledged)
	total.lost, total.doubled, total.strange = total.lost+lost, total.doubled+doubled, total.strange+strange
	total.money, total.blocks = total.money+money, total.blocks+blocks
	t.Logf("%d shares submitted, %d acknowledged, %d in journals, %d slices, starts refused %d; refused: %v",
		len(c.rigs.submitted), len(c.rigs.acknowledged), inJournals, len(lines), total.refused, c.rigs.rejected)
}

func (c *chaos) slices() []sliceLine {
	c.t.Helper()
	return jsonLines[sliceLine](c.t, c.ledger.s.adit("slices", "cat", "--data-dir", c.ledger.s.dir))
}

// missing counts journalled shares that no slice has.
func (c *chaos) missing(lines []sliceLine) (n int) {
	next := map[string]uint64{}
	extras := outOfTurn(lines)
	for i := range lines {
		for _, r := range lines[i].Ranges {
			next[r.Epoch] = max(next[r.Epoch], r.To)
		}
	}
	for epoch, of := range c.shares {
		for seq := range of {
			if seq >= next[epoch] && !extras[place{epoch, seq}] {
				n++
			}
		}
	}
	return n
}

// outOfBalance counts the blocks whose credits are not what their coinbase paid by the node's own word, and
// the differences that adit payout reconcile finds.
func (c *chaos) outOfBalance() (wrong, checked int) {
	t, s := c.t, c.ledger.s
	var said string
	s.await("books that are settled", 2*time.Minute, func() error {
		out, err := exec.Command(aditBinary, "payout", "reconcile", "--data-dir", s.dir).CombinedOutput()
		said = string(out)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var ready string
		return s.get("/readyz", &ready)
	})
	if !strings.Contains(said, "agree") {
		t.Logf("reconcile:\n%s", said)
		wrong++
	}
	for next := ""; ; {
		var blocks struct {
			Blocks []blockView
			Next   *string
		}
		s.await("the list of blocks", time.Minute, func() error {
			return s.get("/api/v1/pools/bitcoin/blocks?limit=100"+next, &blocks)
		})
		for _, b := range blocks.Blocks {
			if b.State != "immature" && b.State != "mature" {
				continue
			}
			var whole blockView
			if err := s.get("/api/v1/pools/bitcoin/blocks/"+b.Hash, &whole); err != nil {
				t.Fatal(err)
			}
			failed := t.Failed()
			checkCredits(t, s, &whole)
			if t.Failed() && !failed {
				wrong++
			}
			checked++
		}
		if blocks.Next == nil {
			break
		}
		next = "&cursor=" + *blocks.Next
	}
	t.Logf("%d blocks compared with the node", checked)
	if checked == 0 {
		t.Error(errors.New("no block was found: this was no test of money"))
	}
	return wrong, checked
}
