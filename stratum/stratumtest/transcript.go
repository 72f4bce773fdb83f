package stratumtest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// kinds are what a placeholder in a pattern may stand for.
var kinds = map[string]string{
	"hex8": `[0-9a-f]{8}`, "hex32": `[0-9a-f]{32}`, "hex64": `[0-9a-f]{64}`, "hex": `[0-9a-f]+`, "number": `[0-9]+(?:\.[0-9]+)?`,
	"word": `[a-z]+`, "text": `[^"\\]*`, "hashes": `(?:"[0-9a-f]{64}",?)*`,
}

var placeholder = regexp.MustCompile(`<(?:([a-z0-9]+):)?([a-z0-9]+)>`)

// Match compares a line with a pattern: the line itself with placeholders <kind> or <name:kind> in it. It
// returns what the named ones stood for.
func Match(pattern, line string) (map[string]string, error) {
	var b strings.Builder
	var names []string
	b.WriteByte('^')
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(pattern, -1) {
		k, ok := kinds[pattern[m[4]:m[5]]]
		if !ok {
			return nil, fmt.Errorf("pattern has unknown placeholder %s", pattern[m[0]:m[1]])
		}
		b.WriteString(regexp.QuoteMeta(pattern[at:m[0]]))
		b.WriteString("(" + k + ")")
		name := ""
		if m[2] >= 0 {
			name = pattern[m[2]:m[3]]
		}
		names = append(names, name)
		at = m[1]
	}
	b.WriteString(regexp.QuoteMeta(pattern[at:]) + "$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", pattern, err)
	}
	got := re.FindStringSubmatch(line)
	if got == nil {
		return nil, fmt.Errorf("got  %s\nwant %s", line, pattern)
	}
	vars := map[string]string{}
	for i, name := range names {
		if name != "" {
			vars[name] = got[i+1]
		}
	}
	return vars, nil
}

// Play plays a transcript against a server. Its lines are
//
//	# a remark
//	> a line that is sent
//	< a pattern that the next line received must match
//	! block      the pool has a new tip
//	! refresh    the pool has a new job of the same tip
//	! move       its extranonce1 values are used up and another space begins
//	! reconnect  the connection breaks and another is made
//
// In a sent line <name> stands for what a pattern before it named; <extranonce2>, <nonce>, <shortnonce>
// (without leading zeros) and <versionbits> stand for a share found for the last job, which has a leading
// zero where it is named short, and rolled version bits where those are named. <oldjob>, <oldextranonce2>,
// <oldntime> and <oldnonce> are those of the last share that was sent.
func Play(t *testing.T, s *Running, p *Pool, transcript string) {
	t.Helper()
	c := Dial(t, s.Addr)
	vars := map[string]string{}
	for i, line := range strings.Split(transcript, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case "", "#":
		case ">":
			c.Send(c.fill(t, rest, vars))
		case "<":
			got := c.Line()
			found, err := Match(rest, got)
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			for k, v := range found {
				vars[k] = v
			}
		case "!":
			switch rest {
			case "block":
				p.NextBlock()
			case "refresh":
				p.Refresh()
			case "move":
				p.Move()
			case "reconnect":
				c = c.again(t, s)
			default:
				t.Fatalf("line %d: unknown event %q", i+1, rest)
			}
		default:
			t.Fatalf("line %d: %q is no transcript", i+1, line)
		}
	}
}

// again breaks the connection and makes another, when the server knows of it.
func (c *Client) again(t *testing.T, s *Running) *Client {
	t.Helper()
	before := s.Stats().Connections
	c.Close()
	for end := time.Now().Add(patience); s.Stats().Connections >= before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server does not notice that the connection broke")
		}
	}
	next := Dial(t, s.Addr)
	next.next = c.next
	return next
}

// fill replaces the placeholders of a line to be sent.
func (c *Client) fill(t *testing.T, line string, vars map[string]string) string {
	t.Helper()
	if strings.Contains(line, "<extranonce2>") {
		var bits uint32
		if strings.Contains(line, "<versionbits>") {
			bits = 0x00006000
		}
		c.next++
		s, err := c.Rig.Job.Find(c.Rig.Extranonce1, fmt.Sprintf("%016x", c.next), bits, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		vars["extranonce2"], vars["nonce"], vars["versionbits"] = s.Extranonce2, s.Nonce, s.VersionBits
		vars["shortnonce"] = strings.TrimLeft(s.Nonce[:7], "0") + s.Nonce[7:]
		vars["oldjob"], vars["oldextranonce2"], vars["oldntime"], vars["oldnonce"] = s.Job, s.Extranonce2, s.NTime, s.Nonce
	}
	return placeholder.ReplaceAllStringFunc(line, func(m string) string {
		v, ok := vars[strings.Trim(m, "<>")]
		if !ok {
			t.Fatalf("nothing is named %s in %s", m, line)
		}
		return v
	})
}
