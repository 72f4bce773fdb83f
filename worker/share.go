package worker

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// Share is a share as it is sent.
type Share struct {
	Job         string
	Extranonce2 string // hex, in coinbase order
	NTime       uint32
	Nonce       uint32
	VersionBits uint32 // 0 when versions are not rolled
	Difficulty  string // of its job, as the pool wrote it
	Header      [80]byte
}

// submit sends what a thread found, unless its era has ended or its version was
// rolled outside a mask that has changed since.
func (s *session) submit(f find) error {
	version := binary.LittleEndian.Uint32(f.batch.header[:])
	versionBits := version & s.mask
	if f.work.era != s.era || rolled(f.work.job.version, s.mask, versionBits) != version {
		return nil
	}
	share := Share{
		Job:         f.work.job.id,
		Extranonce2: hex.EncodeToString(f.batch.extranonce2),
		NTime:       f.batch.ntime,
		Nonce:       f.nonce,
		VersionBits: versionBits,
		Difficulty:  f.work.difficulty,
		Header:      f.batch.header,
	}
	binary.LittleEndian.PutUint32(share.Header[76:], f.nonce)
	params := []any{s.pool.user, share.Job, share.Extranonce2, hex32(share.NTime), hex32(share.Nonce)}
	if s.rolling {
		params = append(params, hex32(share.VersionBits))
	}
	s.submits++
	s.rig.stats.submitted()
	s.rig.observe(Event{Kind: Submitted, Share: share, Device: f.device.Name})
	return s.send(asked{method: "mining.submit", share: share, device: f.device}, params...)
}

// judged counts the pool's verdict on a share.
func (s *session) judged(a asked, m message) {
	share := a.share
	latency := time.Since(a.sent)
	s.rig.stats.pool(func(p *PoolStatus) { p.Latency = latency })
	if m.refusal == nil && string(m.result) == "true" {
		s.earned = true
		s.rig.stats.accepted()
		a.device.answered(func(v *verdicts) { v.accepted++ })
		s.rig.log.Debug().Str("job", cleanText(share.Job)).Str("difficulty", share.Difficulty).Msg("share accepted")
		s.rig.observe(Event{Kind: Accepted, Share: share, Device: a.device.Name})
		return
	}
	refused := refusal{reason: "no reason given"}
	if m.refusal != nil {
		refused = *m.refusal
	}
	s.rig.stats.refused(refused)
	a.device.answered(func(v *verdicts) {
		v.rejected++
		if refused.stale() {
			v.stale++
		}
	})
	s.rig.log.Info().Str("job", cleanText(share.Job)).Int("code", refused.code).Str("reason", refused.reason).Msg("share rejected")
	s.rig.observe(Event{Kind: Rejected, Share: share, Device: a.device.Name, Code: refused.code, Text: refused.reason})
}

// hex32 is the form of ntime, nonce and version bits in a submit.
func hex32(n uint32) string { return fmt.Sprintf("%08x", n) }
