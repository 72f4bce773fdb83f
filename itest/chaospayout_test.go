//go:build itest

package itest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/payout"
)

// TestChaosPayout pays miners from real nodes, btcd with a key file and litecoind with its own wallet, and kills
// adit with SIGKILL in every state of its payouts; meanwhile Redis is emptied or set back to an older file, the
// standby takes over, or disks of the ledger are replaced by old backups. At the end it reads the nodes' chains:
// every batch must have been paid by exactly one transaction, and nothing else may have left the pool.
// CHAOS_PAYOUT_FAULTS sets how many faults there are, CHAOS_SEED which.
func TestChaosPayout(t *testing.T) {
	v := os.Getenv("CHAOS_PAYOUT_FAULTS")
	if v == "" {
		t.Skip("make chaos-payout runs this: it takes many minutes")
	}
	faults, err := strconv.Atoi(v)
	if err != nil || faults < 1 {
		t.Fatalf("CHAOS_PAYOUT_FAULTS=%q", v)
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("CHAOS_SEED"); v != "" {
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED=%q", v)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	c := newPayoutChaos(t, seed)
	c.begin()
	var deck []card
	for c.total() < faults {
		if len(deck) == 0 {
			deck = c.deck()
		}
		c.play(deck[0])
		deck = deck[1:]
	}
	c.settle()
	line, clean := c.judge()
	fmt.Println(line)
	if path := os.Getenv("CHAOS_OUT"); path != "" {
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
	if !clean {
		t.Errorf("not clean (CHAOS_SEED=%d)", seed)
	}
}

// What happens while adit is down.
const (
	faultNone     = ""
	faultFlush    = "Redis emptied"
	faultSetBack  = "Redis set back"
	faultTakeover = "standby took over"
	faultOldDisk  = "one disk of an old backup"
	faultAllOld   = "both disks of an old backup"
	faultAllLost  = "both disks of an old backup and Redis emptied"
)

var faultKinds = []string{faultFlush, faultSetBack, faultTakeover, faultOldDisk, faultAllOld, faultAllLost}

// card is one round: adit is killed when a payout of a coin has come to a state, and something happens meanwhile.
type card struct {
	coin  *payingCoin
	state payout.State
	fault string
}

// deck is every state with every fault on every coin, in an order of chance. What befalls both disks befalls both
// coins, and comes once for each state.
func (c *payoutChaos) deck() []card {
	var deck []card
	for _, s := range stateOrder {
		for _, p := range c.coins {
			for _, f := range []string{faultNone, faultFlush, faultSetBack, faultTakeover, faultOldDisk} {
				deck = append(deck, card{p, s, f})
			}
		}
		for i, f := range []string{faultAllOld, faultAllLost} {
			deck = append(deck, card{c.coins[(i+c.random.IntN(2))%2], s, f})
		}
	}
	c.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

// begin sees each coin paid, keeps copies of everything, and sees each coin paid again: the copies are behind the
// chain from then on.
func (c *payoutChaos) begin() {
	c.t.Helper()
	for _, p := range c.coins {
		c.reach(p, payout.StateConfirmed)
	}
	for _, m := range c.ledgers {
		m.s.kill()
	}
	for _, m := range c.ledgers {
		c.first[m], c.aside[m] = c.copied(m.template.dir), c.copied(m.template.dir)
	}
	c.setBack()
	for _, m := range c.ledgers {
		m.up()
	}
	for _, p := range c.coins {
		c.reach(p, payout.StateConfirmed)
	}
}

func (c *payoutChaos) setBack() {
	c.copies++
	c.redis.setBack(c.copies)
}

// play plays one card.
func (c *payoutChaos) play(k card) {
	c.t.Helper()
	m := c.reach(k.coin, k.state)
	m.s.kill()
	c.done["adit killed"]++
	state, happened := c.lastState(m, k.coin), true
	c.states[state]++
	switch k.fault {
	case faultFlush:
		c.redis.flush()
		m.up()
	case faultSetBack:
		c.setBack()
		m.up()
	case faultTakeover:
		happened = c.takeOver(m)
	case faultOldDisk:
		happened = c.oldDisk(m)
	case faultAllOld, faultAllLost:
		c.bothOld(m, k.fault == faultAllLost)
	default:
		m.up()
	}
	if k.fault != faultNone && happened {
		c.done[k.fault]++
	}
	c.t.Logf("%4.0f s: %s of %s killed at %s; %s", time.Since(c.started).Seconds(), m.name, k.coin.name, state, map[bool]string{true: k.fault, false: "the standby lacks an entry"}[happened])
}

// reach leads payouts of a coin on until one comes to a state, and returns the ledger that led it there at the
// moment when the entry is on a disk: its own, which has it first, or the other.
func (c *payoutChaos) reach(p *payingCoin, state payout.State) (leader *member) {
	c.t.Helper()
	kind := `"kind":"payout.` + string(state) + `"`
	c.lead(p, "payout that is "+string(state), func(run func() (string, int)) (bool, string, int) {
		path := c.log(c.ledgers[c.random.IntN(2)], p)
		info, err := os.Stat(path)
		if err != nil {
			c.t.Fatal(err)
		}
		type answer struct {
			said string
			code int
		}
		asked := make(chan answer, 1)
		leader = p.active
		if state == payout.StateFinal {
			if id := c.confirmed(p); id != "" { // run leaves it to the server, which looks every half minute
				c.mine(p, 5)
				run = func() (string, int) { return c.ask(leader, p, "broadcast", id) }
			}
		}
		go func() {
			said, code := run()
			asked <- answer{said, code}
		}()
		if c.watch(path, info.Size(), kind, func() bool { return len(asked) > 0 }) {
			return true, "", 0
		}
		a := <-asked
		return false, a.said, a.code
	})
	return leader
}

// confirmed is a batch that is booked and not final, "" when there is none.
func (c *payoutChaos) confirmed(p *payingCoin) string {
	c.t.Helper()
	for _, d := range c.batches(p) {
		if d.State == payout.StateConfirmed {
			return d.ID
		}
	}
	return ""
}

// until runs payouts of a coin until enough says that it is enough; it is given the exit code of a run.
func (c *payoutChaos) until(p *payingCoin, what string, enough func(code int) bool) {
	c.t.Helper()
	c.lead(p, what, func(run func() (string, int)) (bool, string, int) {
		said, code := run()
		return enough(code), said, code
	})
}

// lead has the active ledger of a coin run payouts again and again, and blocks mined, until step is content.
func (c *payoutChaos) lead(p *payingCoin, what string, step func(run func() (string, int)) (done bool, said string, code int)) {
	c.t.Helper()
	c.await(what+" of "+p.name, 3*time.Minute, func() error {
		m := p.active
		done, said, code := step(func() (string, int) { return c.ask(m, p, "run", "--yes") })
		switch {
		case done:
			return nil
		case strings.Contains(said, "not the active one"), strings.Contains(said, "has only just begun"):
			p.active = c.other(m)
		case strings.Contains(said, "only one of two disks"):
		case code == codeNothing:
			c.ripen(p)
		case code == 0:
			c.mine(p, 1+int64(c.random.IntN(2)))
		}
		return fmt.Errorf("exit code %d of %s: %s", code, m.name, tail(said, 600))
	})
}

// ripen has a reward become mature, when there is one that is not. No more blocks are mined than it takes: rewards
// halve every 150 blocks on these networks, and what miners earn must last.
func (c *payoutChaos) ripen(p *payingCoin) {
	c.t.Helper()
	immature := func() (oldest int64) {
		b, err := os.ReadFile(c.log(p.active, p))
		if err != nil {
			c.t.Fatal(err)
		}
		heights := map[string]int64{}
		for _, m := range blockEntry.FindAllSubmatch(b, -1) {
			if delete(heights, string(m[2])); string(m[1]) == "immature" {
				heights[string(m[2])], _ = strconv.ParseInt(string(m[3]), 10, 64)
			}
		}
		for _, h := range heights {
			if oldest == 0 || h < oldest {
				oldest = h
			}
		}
		return oldest
	}
	h := immature()
	if h == 0 {
		return // a miner will find one
	}
	var tip int64
	c.await("height of "+p.name, time.Minute, func() error { return p.calls.Call(c.t.Context(), "getblockcount", &tip) })
	if need := h + 99 - tip; need > 0 {
		c.mine(p, need)
	}
	for deadline := time.Now().Add(5 * time.Second); immature() == h && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
}

// blockEntry is a ledger entry about a block: what became of it, its hash and height.
var blockEntry = regexp.MustCompile(`"kind":"block\.(\w+)","key":"[^"]*","subject":\{"set":"blocks","id":"([0-9a-f]{64})","rank":(\d+)\}`)

// watch waits until a text stands behind an offset of a file; false when it is not there and ended says so.
func (c *payoutChaos) watch(path string, offset int64, text string, ended func() bool) bool {
	c.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	var seen []byte
	buf := make([]byte, 64<<10)
	for {
		last := ended()
		n, err := f.ReadAt(buf, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			c.t.Fatal(err)
		}
		offset += int64(n)
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen, []byte(text)) {
			return true
		}
		seen = seen[max(0, len(seen)-len(text)):]
		if last && n == 0 {
			return false
		}
		time.Sleep(300 * time.Microsecond)
	}
}

// lastState is what the newest payout step on a ledger's disk says.
func (c *payoutChaos) lastState(m *member, p *payingCoin) string {
	c.t.Helper()
	b, err := os.ReadFile(c.log(m, p))
	if err != nil {
		c.t.Fatal(err)
	}
	const mark = `"kind":"payout.`
	_, kind, _ := strings.Cut(string(b[max(0, bytes.LastIndex(b, []byte(mark))):]), mark)
	kind, _, _ = strings.Cut(kind, `"`)
	return kind
}

// takeOver leaves a ledger down until the other leads both coins. With one disk away that one takes no payout step.
// False: the other lacks an entry that counted without it, when it was slow to answer, and rightly waits.
func (c *payoutChaos) takeOver(down *member) bool {
	c.t.Helper()
	defer down.up()
	m := c.other(down)
	for _, p := range c.coins {
		p.active = m
		behind := false
		c.await(m.name+" at the head of "+p.name, time.Minute, func() error {
			said, code := c.ask(m, p, "list")
			if behind = strings.Contains(said, "is behind"); code != 0 && !behind {
				return errors.New(said)
			}
			return nil
		})
		if behind {
			return false
		}
		// It may have led the coin all along: then its next step finds the other gone, and is not acted on.
		said, _ := c.ask(m, p, "run", "--yes")
		before := c.steps(m, p)
		again, code := c.ask(m, p, "run", "--yes")
		if c.steps(m, p) != before {
			c.t.Errorf("%s took a payout step of %s alone: exit code %d: %s after %s", m.name, p.name, code, again, said)
		}
	}
	return true
}

// oldDisk gives a ledger that is down a disk as it once was. The other one brings it up to date. False: the other
// disk lacks an entry that counted without it, when it was slow to answer; then the newest one must not be lost.
func (c *payoutChaos) oldDisk(down *member) bool {
	c.t.Helper()
	for _, p := range c.coins {
		if c.entries(c.other(down), p) < c.mirrored(p) {
			down.up()
			return false
		}
	}
	c.copies++
	kept := fmt.Sprintf("%s.%d", down.template.dir, c.copies)
	if err := errors.Join(os.Rename(down.template.dir, kept), os.Rename(c.aside[down], down.template.dir)); err != nil {
		c.t.Fatal(err)
	}
	c.aside[down] = kept
	down.up()
	for _, p := range c.coins { // what is on the right disk comes back to it
		want := c.steps(c.other(down), p)
		c.until(p, fmt.Sprintf("%d payout steps on the restored disk", want), func(int) bool { return c.steps(down, p) >= want })
	}
	return true
}

// bothOld lets adit work on two old disks, beside a Redis that remembers what they lack or nothing, and asks it
// to pay. With a Redis that remembers it must refuse; else the chain's coins keep it from paying what was paid.
// Then the right disks come back.
func (c *payoutChaos) bothOld(down *member, forget bool) {
	c.t.Helper()
	c.edge.s.kill() // so that it drops nothing that the right disks lack
	c.other(down).s.kill()
	for _, m := range c.ledgers {
		dir := m.template.dir
		if err := os.Rename(dir, dir+".right"); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Rename(c.copied(c.first[m]), dir); err != nil {
			c.t.Fatal(err)
		}
	}
	if forget {
		c.redis.flush()
	}
	for _, m := range c.ledgers {
		m.up()
	}
	for _, p := range c.coins {
		if forget {
			c.await("answer of an old disk for "+p.name, 2*time.Minute, func() error {
				said, code := c.ask(p.active, p, "run", "--yes")
				if strings.Contains(said, "not the active one") || strings.Contains(said, "only just begun") || strings.Contains(said, "only one of two disks") {
					p.active = c.other(p.active)
					return fmt.Errorf("exit code %d: %s", code, tail(said, 300))
				}
				c.t.Logf("old disks, %s: exit code %d: %s", p.name, code, tail(said, 200))
				return nil
			})
			continue
		}
		c.await("refusal of old disks for "+p.name, 2*time.Minute, func() error {
			refused := false
			for _, m := range c.ledgers {
				if said, code := c.ask(m, p, "run", "--yes"); code == 0 {
					c.t.Errorf("%s pays %s from a disk that Redis knows to be old: %s", m.name, p.name, said)
				}
				refused = refused || slices.ContainsFunc(strings.Split(m.s.printed(), "\n"), func(line string) bool {
					return strings.Contains(line, "ledger.stopped") && strings.Contains(line, `"`+p.name+`"`) && strings.Contains(line, "behind")
				})
			}
			if !refused {
				return errors.New("no ledger says that its disk is behind")
			}
			return nil
		})
	}
	for _, m := range c.ledgers {
		m.s.kill()
	}
	if forget {
		c.redis.flush()
	}
	for _, m := range c.ledgers {
		if err := errors.Join(os.RemoveAll(m.template.dir), os.Rename(m.template.dir+".right", m.template.dir)); err != nil {
			c.t.Fatal(err)
		}
		m.up()
	}
	c.edge.up()
}

func (c *payoutChaos) total() (n int) {
	for _, k := range c.done {
		n += k
	}
	return n
}

// faults says what happened so far, by kind.
func (c *payoutChaos) faults() string {
	var at, kinds []string
	for _, s := range stateOrder {
		at = append(at, fmt.Sprintf("%s %d", s, c.states[string(s)]))
	}
	for _, k := range faultKinds {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, c.done[k]))
	}
	return fmt.Sprintf("%d faults in %s (adit killed %d: %s; %s)", c.total(), time.Since(c.started).Round(time.Second),
		c.done["adit killed"], strings.Join(at, ", "), strings.Join(kinds, ", "))
}
