package pool

import "time"

// Judged is a submission and what becomes of it.
type Judged struct {
	Submission
	Verdict
	Commit *Commit // of an accepted share: it may be acknowledged once that is done without an error
}

// maxDrafts is how many submissions are put together, and their Merkle roots computed, at a time.
const maxDrafts = 16

// drafts is what is put together to judge submissions; it is used again.
type drafts struct {
	at       [maxDrafts]int // in the batch
	jobs     [maxDrafts]*Job
	issues   [maxDrafts]*Issued
	versions [maxDrafts]uint32
	coinbase [maxDrafts][]byte
	roots    [maxDrafts]Hash
	header   [80]byte
}

// Submit is [Engine.Judge] for one submission.
func (e *Engine) Submit(s *Session, sub *Submission, now time.Time) Verdict {
	one := [1]Judged{{Submission: *sub}}
	e.Judge(s, one[:], now)
	return one[0].Verdict
}

// Judge judges submissions one after the other and returns how many: all, or those up to a found block, which is
// the last of them and is to be on its way before the rest is looked at. Those that come together cost less. The
// order for each is: what was issued, fields, hash; then block target, share target, duplicate. A share's
// difficulty is the one issued with its job, whatever came later. Where the proof of work is dear, duplicates and
// shares of a tip long replaced are not hashed, and the caller may wait for its turn to be.
func (e *Engine) Judge(s *Session, batch []Judged, now time.Time) (judged int) {
	d := e.drafts.Get().(*drafts)
	for judged < len(batch) {
		part := batch[judged:min(judged+maxDrafts, len(batch))]
		n := e.judge(s, part, d, now)
		if judged += n; part[n-1].Candidate != nil {
			break
		}
	}
	clear(d.jobs[:])
	clear(d.issues[:])
	e.drafts.Put(d)
	return judged
}

// judge judges at least one and at most maxDrafts, up to a found block.
func (e *Engine) judge(s *Session, batch []Judged, d *drafts, now time.Time) int {
	n := 0
	for i := range batch {
		b := &batch[i]
		b.Verdict, b.Commit = Verdict{}, nil
		if b.Reject = e.draft(s, &b.Submission, d, n, now); b.Reject == Accepted {
			d.at[n] = i
			n++
		}
	}
	for from := 0; from < n; {
		to := from + 1
		for to < n && d.jobs[to] == d.jobs[from] {
			to++
		}
		e.cfg.Chain.MerkleRoots(d.coinbase[from:to], d.jobs[from].Branch, d.roots[from:to])
		from = to
	}
	for k := range n {
		b := &batch[d.at[k]]
		t := d.jobs[k].Template
		PutHeader(&d.header, d.versions[k], t.PrevHash, d.roots[k], b.NTime, t.Bits, b.Nonce)
		if e.decide(s, b, d, k, now); b.Candidate != nil {
			return d.at[k] + 1
		}
	}
	return len(batch)
}

// draft checks a submission's fields and puts its coinbase together.
func (e *Engine) draft(s *Session, sub *Submission, d *drafts, k int, now time.Time) Reject {
	if sub.Worker < 0 || sub.Worker >= len(s.Workers) {
		return RejectUnauthorized
	}
	is := s.issue(sub.Salt)
	if is == nil {
		return RejectUnknownJob
	}
	j := e.Job(is.JobID)
	if j == nil {
		return RejectUnknownJob
	}
	t := j.Template
	latest := int64(t.CurTime) + int64((now.Sub(j.Created)+e.cfg.NTimeSlack)/time.Second)
	if sub.NTime < t.MinTime || int64(sub.NTime) > latest {
		return RejectNTime
	}
	version := t.Version
	if sub.HasVersion {
		mask := s.VersionMask | is.VersionMask // a mask made narrower counts for later jobs
		if sub.VersionBits&^mask != 0 {
			return RejectVersion
		}
		version = t.Version&^mask | sub.VersionBits
	}
	d.jobs[k], d.issues[k], d.versions[k] = j, is, version
	d.coinbase[k] = j.AppendCoinbase(d.coinbase[k][:0], sub.Salt, is.Extranonce1, &sub.Extranonce2)
	return Accepted
}

// decide judges the kth draft by its hash.
func (e *Engine) decide(s *Session, b *Judged, d *drafts, k int, now time.Time) {
	j, is, header := d.jobs[k], d.issues[k], &d.header
	t := j.Template
	id := e.cfg.Chain.BlockID(header)
	key := [16]byte(id[:16])
	_, seen := s.Seen[key]
	tip := e.now.Load()
	stale := tip.base.Template.PrevHash != t.PrevHash
	pow := id
	if e.params.SeparatePow {
		switch {
		case seen:
			b.Reject = RejectDuplicate
			return
		case stale && now.Sub(tip.tip) > staleGrace:
			b.Reject = RejectStale
			return
		}
		var busy bool
		if pow, busy = e.hashing.hash(header, s.Misses >= maxMisses); busy {
			b.Reject = RejectBusy
			return
		}
	}

	v := &b.Verdict
	v.Hash = pow
	block := j.NetworkTarget.Meets(&pow)
	full := is.Target.Meets(&pow)
	newest := &s.Issued[len(s.Issued)-1]
	if full || block {
		s.Misses = 0
	} else {
		s.Misses++
	}
	switch {
	case seen:
		v.Reject = RejectDuplicate
		return
	case stale:
		v.Reject = RejectStale
		if block {
			s.Seen[key] = b.Salt // to be submitted once
		}
	case !full && !block && !newest.Target.Meets(&pow):
		v.Reject = RejectLowDifficulty
	default:
		s.Seen[key] = b.Salt
		v.Renew = s.crowded()
	}
	w := &s.Workers[b.Worker]
	v.Share = Share{
		Time: now.UnixMilli(), Account: w.Account, Script: w.Script, Worker: w.Name, Scheme: j.Scheme,
		Issued: is.Work, Bits: t.Bits, Job: j.ID, Hash: key,
	}
	switch {
	case stale: // refused: nothing to credit, though its block goes out
	case full:
		v.Share.Credit = is.Work.Min(j.NetworkWork)
	default:
		v.Share.Flags |= ShareEarly
	}
	if block {
		v.Share.Flags |= ShareBlock
		v.Candidate = e.candidate(j, &v.Share, header, id, d.coinbase[k])
	}
}

// candidate assembles the block. A template that cannot be assembled is a bug of ours or of the node's;
// the error is kept for the log in Err.
func (e *Engine) candidate(j *Job, sh *Share, header *[80]byte, id Hash, coinbase []byte) *Candidate {
	t := j.Template
	c := &Candidate{
		Pool: e.cfg.PoolID, Height: t.Height, Hash: id, PrevHash: t.PrevHash, Bits: t.Bits,
		Value: t.CoinbaseValue, Time: sh.Time, Epoch: e.cfg.Epoch, Share: *sh,
	}
	c.Block, c.Err = e.cfg.Chain.Block(nil, t, header, coinbase)
	return c
}

// issue finds the issued job with a salt, newest first, or nil.
func (s *Session) issue(salt uint32) *Issued {
	for i := len(s.Issued) - 1; i >= 0; i-- {
		if s.Issued[i].Salt == salt {
			return &s.Issued[i]
		}
	}
	return nil
}
