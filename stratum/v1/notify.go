package v1

import (
	"encoding/hex"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
)

// jobText is a mining.notify of one job with two holes for the salt: as the job's name and as the end of
// coinb1.
type jobText struct {
	job               *pool.Job
	head, middle, end []byte // head SALT middle SALT end true|false]}
}

// text renders a job, or finds it rendered: a new job is written to all sessions within moments.
func (d *Dialect) text(job *pool.Job) *jobText {
	if t := d.jobs.Load(); t != nil && t.job == job {
		return t
	}
	t := newJobText(job)
	d.jobs.Store(t)
	return t
}

func newJobText(job *pool.Job) *jobText {
	t := &jobText{job: job, head: []byte(`{"id":null,"method":"mining.notify","params":["`)}
	tpl := job.Template

	b := append(t.middle, `","`...)
	for word := 0; word < len(tpl.PrevHash); word += 4 {
		w := tpl.PrevHash[word : word+4]
		b = hex.AppendEncode(b, []byte{w[3], w[2], w[1], w[0]})
	}
	b = append(b, `","`...)
	t.middle = hex.AppendEncode(b, job.Prefix)

	b = append(t.end, `","`...)
	b = hex.AppendEncode(b, job.Suffix)
	b = append(b, `",[`...)
	for i := range job.Branch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = hex.AppendEncode(b, job.Branch[i][:])
		b = append(b, '"')
	}
	b = append(b, `],"`...)
	b = appendHex32(b, tpl.Version)
	b = append(b, `","`...)
	b = appendHex32(b, tpl.Bits)
	b = append(b, `","`...)
	b = appendHex32(b, tpl.CurTime)
	t.end = append(b, `",`...)
	return t
}

// AppendJob appends mining.set_difficulty and mining.set_extranonce, where they differ from the last ones, and
// mining.notify.
func (d *Dialect) AppendJob(c *stratum.Conn, dst []byte, is pool.Issued, job *pool.Job) []byte {
	s := c.State().(*State)
	if is.Difficulty != s.Sent {
		dst = append(dst, `{"id":null,"method":"mining.set_difficulty","params":[`...)
		dst = append(dst, is.Difficulty.String()...)
		dst = append(dst, "]}\n"...)
		s.Sent = is.Difficulty
	}
	if is.Extranonce1 != s.Extranonce1 {
		dst = append(dst, `{"id":null,"method":"mining.set_extranonce","params":["`...)
		dst = appendHex32(dst, is.Extranonce1)
		dst = append(dst, "\",8]}\n"...)
		s.Extranonce1 = is.Extranonce1
	}
	t := d.text(job)
	dst = append(dst, t.head...)
	dst = appendHex32(dst, is.Salt)
	dst = append(dst, t.middle...)
	dst = appendHex32(dst, is.Salt)
	dst = append(dst, t.end...)
	if is.Clean || s.Fresh {
		dst = append(dst, "true]}\n"...)
	} else {
		dst = append(dst, "false]}\n"...)
	}
	s.Fresh = false
	return askVersion(c, s, dst)
}
