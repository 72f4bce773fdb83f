package dashboard

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/adit-pool/adit/pool"
)

// shownCredits are a user's newest credits and payouts on the page.
const shownCredits = 12

// userPart is one address in one pool.
type userPart struct {
	Info      *PoolInfo
	Source    string
	Account   *account
	ID        string
	Chart     chart
	Connect   connect
	Active    bool // it has sent shares or has had money
	Share     float64
	ToPayout  float64 // available against the threshold, at most 1
	BlockTime string
	Credits   []userCredit
	Payouts   []userPayout
	Searched  int // newest blocks that were looked through
}

type userCredit struct {
	blockRow
	Amount pool.Amount
}

type userPayout struct {
	payoutRow
	Amount pool.Amount
	Note   string
}

// pageUser shows an address in every pool where it is valid.
func (s *Server) pageUser(r request, address string) error {
	v := page{Title: "Miner " + shortened(address, 10, 8), Address: address}
	var parts []userPart
	var refused []string
	var missing error
	for _, p := range s.pools {
		script, err := p.info.Chain.Script(address)
		if err != nil {
			refused = append(refused, title(p.info)+": "+err.Error())
			continue
		}
		snap := p.snapshot(r)
		part, err := p.user(r, snap, address, pool.AccountOf(p.info.ID, script))
		if err != nil {
			missing = err
			continue
		}
		parts = append(parts, part)
		v.JSON = part.Source
		v.Notices = append(v.Notices, p.notice(snap)...)
	}
	switch {
	case len(parts) == 0 && missing != nil:
		return missing
	case len(parts) == 0:
		return notFound(fmt.Sprintf("%.120q is no address that a pool here can pay. %s", address, strings.Join(refused, "; ")))
	}
	v.Body = struct {
		Address string
		Parts   []userPart
	}{address, parts}
	return s.pages.render(r, "user", 200, v)
}

func (p *poolState) user(r request, snap *snapshot, address string, id pool.AccountID) (userPart, error) {
	a, err := p.account(r.base, id)
	if err != nil {
		return userPart{}, err
	}
	source := "/api/v1/pools/" + p.info.ID + "/miners/" + url.PathEscape(address)
	part := userPart{
		Info: p.now(snap), Source: source, Account: a, ID: id.String(),
		Chart:   chartOf(a.View.History, 600, source, "Hashrate of this address in "+title(p.info)+" over the last day"),
		Connect: connect{p.info.Stratum, address + ".worker", p.info.Algorithm},
		Share:   fraction(a.score, a.total), BlockTime: blockTimeText(expectedHashes(&snap.view), a.View.Hashrate),
		Searched: len(snap.blocks.rows),
	}
	if p.info.Threshold > 0 {
		part.ToPayout = min(max(float64(a.Available)/float64(p.info.Threshold), 0), 1)
	}
	for _, d := range snap.blocks.rows {
		for _, c := range d.Credits {
			if c.Account == id && len(part.Credits) < shownCredits {
				part.Credits = append(part.Credits, userCredit{Amount: c.Amount, blockRow: blockRow{
					blockJSON: blockOf(d, snap.view.Height), Info: p.info, Ms: d.Time, Reward: d.Value, Hex: d.Hash.String()}})
			}
		}
	}
	for _, d := range snap.payouts.rows {
		for _, y := range d.Payees {
			if y.Account == id && len(part.Payouts) < shownCredits {
				part.Payouts = append(part.Payouts, userPayout{payoutRowOf(p.info, d), y.Amount, y.Reason})
			}
		}
		for _, y := range d.Held {
			if y.Account == id && len(part.Payouts) < shownCredits {
				part.Payouts = append(part.Payouts, userPayout{payoutRowOf(p.info, d), y.Amount, "held: " + y.Reason})
			}
		}
	}
	part.Active = len(a.View.Workers)+len(a.View.History)+len(part.Credits)+len(part.Payouts) > 0 ||
		a.Immature|a.Available|a.InPayout|a.Paid != 0 || !a.score.IsZero()
	return part, nil
}
