package payout

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// halted reports that the kill switch is on.
func (p *Payouts) halted() error {
	if h := p.fold.halt; h != nil && h.On {
		return fmt.Errorf("%w by %s: %s", ErrHalted, h.By, h.Reason)
	}
	return nil
}

// Halt sets the kill switch: while it is on nothing is drafted, built, signed, exported or sent, not even again.
// What is sent already is still followed.
func (p *Payouts) Halt(on bool, by, reason string) (*HaltDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if err := said(by, reason); err != nil {
		return nil, err
	}
	if h := p.fold.halt; h != nil && h.On == on || h == nil && !on {
		return h, nil
	}
	doc := HaltDoc{V: settingsVersion, On: on, By: by, Reason: reason, Time: p.now().UnixMilli()}
	kind := map[bool]string{true: "payout.halt", false: "payout.resume"}[on]
	return &doc, p.postSetting(SetHalt, SetHalt, kind, 0, doc)
}

// said refuses a decision without a name or a reason.
func said(by, reason string) error {
	const most = 500
	for name, text := range map[string]string{"name": by, "reason": reason} {
		if strings.TrimSpace(text) == "" || len(text) > most {
			return fmt.Errorf("%w: give a %s of 1 to %d bytes", ErrDecision, name, most)
		}
	}
	return nil
}

// postSetting writes a document that is no batch.
func (p *Payouts) postSetting(set, id, kind string, rank int64, doc any, postings ...ledger.Posting) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write %s %s: %w", set, id, err)
	}
	_, err = p.book.Post(ledger.Entry{
		Time: p.now().UnixMilli(), Kind: kind, Key: fmt.Sprintf("%s:%s:%d", kind, id, p.fold.seq),
		Subject: &ledger.Subject{Set: set, ID: id, Rank: rank}, Postings: postings, Body: body,
	})
	if err != nil {
		return fmt.Errorf("book %s of %s: %w", kind, id, err)
	}
	return p.refresh()
}

func (p *Payouts) postHold(doc PayeeDoc) error {
	p.log.Warn().Str("pool", p.pool).Stringer("account", doc.Account).Str("reason", doc.Hold.Reason).Msg("payee held")
	return p.postSetting(SetPayees, doc.Account.String(), "payee.hold", 0, doc)
}

// Hold keeps an account from being paid until people release it.
func (p *Payouts) Hold(account pool.AccountID, by, reason string) (*PayeeDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if err := said(by, reason); err != nil {
		return nil, err
	}
	if p.fold.accounts[account] == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, account)
	}
	doc := p.fold.payee(account)
	if doc.Hold != nil {
		return &doc, nil
	}
	doc.Hold = &Hold{Source: HoldPerson, By: by, Reason: reason, Time: p.now().UnixMilli()}
	return &doc, p.postHold(doc)
}

// ReleaseThing is what people sign to release a held account: it names the hold by its time.
func ReleaseThing(account pool.AccountID, h *Hold) string {
	return fmt.Sprintf("release of %s held at %d: %s", account, h.Time, h.Reason)
}

// Release lets an account be paid again. It needs as many people as the policy does; under policy none a typed
// confirmation, which the command asks for, and a reason. Who set the hold cannot release it alone.
func (p *Payouts) Release(account pool.AccountID, by, reason string, signature []byte) (*PayeeDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if err := said(by, reason); err != nil {
		return nil, err
	}
	doc := p.fold.payee(account)
	if doc.Hold == nil {
		return &doc, fmt.Errorf("%w: %s is not held", ErrState, account)
	}
	h := *doc.Hold
	a := Approval{By: by, Policy: string(p.policy), Time: p.now().UnixMilli()}
	if p.policy != PolicyNone {
		var err error
		if a, err = p.approvalBy(ReleaseThing(account, &h), h.By, h.Releases, by, signature); err != nil {
			return &doc, err
		}
	}
	h.Releases = append(h.Releases[:len(h.Releases):len(h.Releases)], a)
	doc.Hold = &h
	kind := "payee.hold"
	if len(h.Releases) >= p.policy.needs() {
		kind, doc.Hold, doc.Cleared = "payee.release", nil, h.Reason
	}
	return &doc, p.postSetting(SetPayees, account.String(), kind, 0, doc)
}

// guard refuses to go on with a run that may not be paid as it stands: payouts are halted, an approval does not
// hold, or since it was drafted a payee was held or wants to be paid elsewhere. It is asked before every step
// until the run is sent.
func (p *Payouts) guard(docs []*BatchDoc) error {
	if docs[0].Kind == KindCancel {
		return nil // it pays nobody and makes the pool safer
	}
	if err := p.halted(); err != nil {
		return err
	}
	if !docs[0].pays() {
		return nil
	}
	denied, err := p.denied()
	if err != nil {
		return err
	}
	now := p.now().UnixMilli()
	for _, d := range docs {
		if d.State != StateFrozen {
			if err := p.enough(d); err != nil {
				return err
			}
		}
		for i := range d.Payees {
			q := &d.Payees[i]
			doc := p.fold.payees[q.Account]
			switch {
			case doc != nil && doc.Hold != nil:
				return fmt.Errorf("%w: %s (%s): cancel payout %s and draft anew", ErrHeld, q.Address, doc.Hold.Reason, d.ID)
			case denied[string(q.Script)] && (doc == nil || doc.Cleared == ""):
				return fmt.Errorf("%w: %s is on the deny-list: cancel payout %s and draft anew", ErrHeld, q.Address, d.ID)
			case doc != nil && len(doc.Destinations) > 0 && !bytes.Equal(p.fold.destination(p.pool, q.Account, now), q.Script):
				return fmt.Errorf("%w: %s is paid elsewhere since: cancel payout %s and draft anew", ErrStale, q.Address, d.ID)
			}
		}
	}
	return nil
}

// denied reads the deny-list: addresses, one a line, # before a comment.
func (p *Payouts) denied() (map[string]bool, error) {
	if p.denyFile == "" {
		return nil, nil
	}
	f, err := os.Open(p.denyFile)
	if err != nil {
		return nil, fmt.Errorf("read the deny-list: %w", err)
	}
	defer f.Close()
	all := map[string]bool{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		script, err := p.chain.Script(text)
		if err != nil {
			return nil, fmt.Errorf("deny-list %s line %d: %w", p.denyFile, n, err)
		}
		all[string(script)] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the deny-list %s: %w", p.denyFile, err)
	}
	return all, nil
}

// Bounds of the screening command.
const (
	screenTime   = 2 * time.Minute
	screenAnswer = 16 << 20
)

// screened asks the screening command about payees. It gets a line of JSON each, {"account", "address",
// "amount"}, and prints one for each that is to be held: the address, a space, the reason. When it fails, takes
// too long or names somebody else, nobody is paid.
func (p *Payouts) screened(ctx context.Context, due []Payee) (rest, held []Payee, err error) {
	if len(p.screen) == 0 || len(due) == 0 {
		return due, nil, nil
	}
	var in bytes.Buffer
	at := map[string]int{}
	for i := range due {
		if err := json.NewEncoder(&in).Encode(struct {
			Account pool.AccountID `json:"account"`
			Address string         `json:"address"`
			Amount  pool.Amount    `json:"amount"`
		}{due[i].Account, due[i].Address, due[i].Amount}); err != nil {
			return nil, nil, err
		}
		at[due[i].Address] = i
	}
	ctx, cancel := context.WithTimeout(ctx, screenTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.screen[0], p.screen[1:]...)
	out, complaint := limited{left: screenAnswer}, limited{left: 4096}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &complaint
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, nil, fmt.Errorf("screening command %s: %w: %s", p.screen[0], cmp.Or(ctx.Err(), err), bytes.TrimSpace(complaint.buf.Bytes()))
	}
	reasons := map[int]string{}
	for line := range strings.Lines(out.buf.String()) {
		address, reason, _ := strings.Cut(strings.TrimSpace(line), " ")
		if address == "" {
			continue
		}
		i, ok := at[address]
		if !ok {
			return nil, nil, fmt.Errorf("screening command %s: it speaks of %.100q, which is no payee", p.screen[0], address)
		}
		reasons[i] = cmp.Or(strings.ToValidUTF8(reason, "?"), "the screening command said so")
	}
	for i := range due {
		if reason, ok := reasons[i]; ok {
			due[i].Reason = reason[:min(len(reason), 300)]
			held = append(held, due[i])
		} else {
			rest = append(rest, due[i])
		}
	}
	return rest, held, nil
}

// limited takes so many bytes and then fails.
type limited struct {
	buf  bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, errors.New("too much output")
	}
	return l.buf.Write(b)
}
