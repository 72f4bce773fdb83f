package pool

// PayeeList says whom coinbases pay beside the pool, largest amount first. It is for blocks on top of one block
// only: whoever made it knew all that was paid up to there. On any other tip the coinbase pays the pool.
type PayeeList struct {
	Tip     Hash
	Expires int64 // Unix milliseconds: from then on no job is issued by it
	Payees  []CoinbasePayee
}

// CoinbasePayee is one account that coinbases pay.
type CoinbasePayee struct {
	Account AccountID
	Script  []byte
	Amount  Amount
}

// Bounds of a coinbase that pays accounts. Nodes keep 8 000 weight units and 400 sigops (each counts four times
// here) for header, transaction count and coinbase; the witness of the coinbase and the count take some of it.
const (
	maxDirectSize   = (8000 - 4*(80+9) - 2 - 34) / 4 // bytes without witness
	maxDirectSigops = 400
	// MaxCoinbasePayees is how many accounts a list may name.
	MaxCoinbasePayees = 50
	// LeastOwn is what a coinbase leaves for the pool: an output that can be spent, and that names the block as the
	// pool's.
	LeastOwn = 1000
)

// SetPayees makes l the list that jobs on its tip pay by; nil: they pay the pool. It reports whether the current
// job was made anew by it.
func (e *Engine) SetPayees(l *PayeeList) (renewed bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.payees = l
	g := e.now.Load()
	if g == nil || e.cfg.Scheme == SchemeSOLO || e.payeesFor(g.base.Template) == nil && g.payees == nil {
		return false, nil
	}
	again := *g.base
	return true, e.adopt(&again, again.Created)
}

// payeesFor is the list for a template, nil when there is none that counts. Caller holds mu.
func (e *Engine) payeesFor(t *Template) *PayeeList {
	if e.payees == nil || e.payees.Tip != t.PrevHash || e.cfg.Scheme == SchemeSOLO || len(e.payees.Payees) == 0 {
		return nil
	}
	return e.payees
}

// directJob is the generation's work whose coinbase pays as many accounts of its list as fit: into size bytes (0:
// any), into what nodes keep for a coinbase, and into what the block brings. Those that do not fit are owed on.
func (e *Engine) directJob(g *generation, size int) (*Job, error) {
	n, paid := g.fit(size)
	if n == 0 {
		return g.base, nil
	}
	if j, ok := g.direct.Load(n); ok {
		return j.(*Job), nil
	}
	j := *g.base
	value := j.Template.CoinbaseValue
	out := append(make([]Output, 0, n+1), Output{Script: e.cfg.RewardScript, Value: value - paid})
	for _, p := range g.payees.Payees[:n] {
		out = append(out, Output{Script: p.Script, Value: p.Amount})
	}
	var err error
	if j.Prefix, j.Suffix, err = e.cfg.Chain.Coinbase(j.Template, e.spec(g.space, out)); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if won, ok := g.direct.Load(n); ok {
		return won.(*Job), nil
	}
	if !e.holds(g) { // retired meanwhile: there is a newer one
		return nil, ErrNoJob
	}
	e.register(g, &j)
	e.derived++
	g.direct.Store(n, &j)
	return &j, nil
}

// fit is how many accounts of the list a coinbase of at most size bytes pays, and what they get in all.
func (g *generation) fit(size int) (n int, paid Amount) {
	if size == 0 || size > maxDirectSize {
		size = maxDirectSize
	}
	size -= g.base.CoinbaseSize()
	left, sigops := g.base.Template.CoinbaseValue-LeastOwn, maxDirectSigops-4
	for i := range g.payees.Payees {
		p := &g.payees.Payees[i]
		size -= 8 + 1 + len(p.Script)
		sigops -= 4 * sigopsOf(p.Script)
		// The count of outputs takes three bytes from 253 on, and a list is shorter.
		if size < 0 || sigops < 0 || p.Amount > left || p.Amount <= 0 || len(p.Script) == 0 || len(p.Script) >= 0xfd || i >= MaxCoinbasePayees {
			break
		}
		left -= p.Amount
		paid += p.Amount
		n++
	}
	return n, paid
}

// sigopsOf counts the signature operations of a standard output script: one in that of an old-style address.
func sigopsOf(script []byte) int {
	const checksig = 0xac
	if len(script) > 0 && script[len(script)-1] == checksig {
		return 1
	}
	return 0
}
