package stratum

import (
	"errors"
	"fmt"
	"testing"

	"github.com/adit-pool/adit/pool"
	"pgregory.net/rapid"
)

// numbered puts a refusal before the reply that it replaces.
type numbered struct{}

func (numbered) appendRefusal(dst, reply []byte, r pool.Reject) []byte {
	return fmt.Appendf(dst, "not %d: %s", r, reply)
}

// TestOutbox compares with a list of replies: whatever is put, held, finished and taken, what comes out is
// the longest run of decided replies, each once, in order.
func TestOutbox(t *testing.T) {
	type reply struct {
		commit   *pool.Commit
		ok, fail string
	}
	rapid.Check(t, func(t *rapid.T) {
		var o outbox
		var model []reply
		var open []*pool.Commit
		n := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				n++
				text := fmt.Sprintf("plain%d\n", n)
				o.put(append(o.buf, text...))
				model = append(model, reply{ok: text})
			case 1:
				n++
				r := reply{pool.NewCommit(), fmt.Sprintf("yes%d\n", n), fmt.Sprintf("not %d: yes%d\n", pool.RejectInternal, n)}
				h := held{commit: r.commit, start: len(o.buf), end: len(o.buf) + len(r.ok)}
				switch rapid.IntRange(0, 2).Draw(t, "kind") {
				case 0:
					open = append(open, r.commit)
				case 1: // of the commit before
					if len(open) == 0 {
						open = append(open, r.commit)
					}
					h.commit = open[len(open)-1]
					r.commit = h.commit
				case 2: // refused at once
					h.commit, h.reject, r.commit = nil, pool.RejectStale, nil
					r.ok = fmt.Sprintf("not %d: yes%d\n", pool.RejectStale, n)
				}
				o.held = append(o.held, h)
				o.put(append(o.buf, fmt.Sprintf("yes%d\n", n)...))
				model = append(model, r)
			case 2:
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					var err error
					if rapid.Bool().Draw(t, "fails") {
						err = errors.New("no")
					}
					open[i].Finish(err)
					open = append(open[:i], open[i+1:]...)
				}
			case 3:
				mark := o.mark()
				got, wait := o.take(nil, numbered{})
				want := ""
				for len(model) > 0 {
					r := model[0]
					if r.commit != nil {
						select {
						case <-r.commit.Done():
						default:
							goto stop
						}
						if r.commit.Err() != nil {
							r.ok = r.fail
						}
					}
					want += r.ok
					model = model[1:]
				}
			stop:
				if string(got) != want {
					t.Fatalf("took %q, want %q", got, want)
				}
				if (wait == nil) != (len(model) == 0) || o.passed(mark) != (len(model) == 0) || o.empty() != (len(model) == 0) {
					t.Fatalf("wait %v, passed %v, empty %v, left %d", wait, o.passed(mark), o.empty(), len(model))
				}
				if len(model) > 0 && wait != model[0].commit.Done() {
					t.Fatal("waits for another commit than the first")
				}
			}
		}
	})
}
