package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/api"
	"github.com/adit-pool/adit/dashboard/locale"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
)

// rig is a kind of miner and how it is told where to go. Texts hold %[1]s for the pool's URL, %[2]s for
// host and port, %[3]s for host, %[4]s for port.
type rig struct {
	Name  string
	Where string // in its own interface; "" for a command line
	Lines []rigLine
}

type rigLine struct {
	Label, Text string
}

// rigs are the kinds that /start knows.
var rigs = []rig{
	{"Antminer", "Miner configuration", []rigLine{{"URL", "%[1]s"}, {"Worker", "YOUR_ADDRESS.antminer"}, {"Password", "x"}}},
	{"Whatsminer", "Configuration, CGMiner configuration", []rigLine{{"Pool", "%[1]s"}, {"Worker", "YOUR_ADDRESS.whatsminer"}, {"Password", "x"}}},
	{"Bitaxe, NerdQAxe (AxeOS)", "Settings", []rigLine{{"Stratum host", "%[3]s"}, {"Stratum port", "%[4]s"}, {"Stratum user", "YOUR_ADDRESS.bitaxe"}, {"Stratum password", "x"}}},
	{"NerdMiner", "Wi-Fi setup page", []rigLine{{"Pool URL", "%[3]s"}, {"Pool port", "%[4]s"}, {"Address", "YOUR_ADDRESS.nerdminer"}, {"Password", "d=0.001"}}},
	{"cgminer, bfgminer", "", []rigLine{{"Command", "cgminer -o %[1]s -u YOUR_ADDRESS.rig -p x"}}},
	{"cpuminer", "", []rigLine{{"Command", "cpuminer -a %[5]s -o %[1]s -u YOUR_ADDRESS.rig -p x"}}},
	{"adit mine", "", []rigLine{{"Command", "adit mine%[6]s --pool %[1]s --user YOUR_ADDRESS.rig"}}},
}

// passwordOption is what a miner may write into the password.
type passwordOption struct{ Option, Means string }

var passwordOptions = []passwordOption{
	{"x", "nothing is asked for; the pool chooses the difficulty"},
	{"d=1000", "difficulty of the first job; it is adjusted from there"},
	{"md=1000", "least difficulty that the rig wants"},
}

type startPart struct {
	Pools     []startPool
	Passwords []passwordOption
}

type startPool struct {
	Info *view.PoolInfo
	Rigs []startRig
}

type startRig struct {
	rig
	Lines []rigLine
}

func (s *Server) pageStart(r web.Request) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	l := s.pages.language(r)
	part := startPart{Passwords: passwordOptions}
	for _, p := range s.board.Pools {
		sp := startPool{Info: p.Info}
		if len(p.Info.Stratum) > 0 {
			listener := p.Info.Stratum[0].URL
			_, at, _ := strings.Cut(listener, "://")
			host, port := at, ""
			if i := strings.LastIndexByte(at, ':'); i > 0 {
				host, port = at[:i], at[i+1:]
			}
			algorithm, flag := cmp.Or(p.Info.Algorithm, "sha256d"), ""
			if p.Info.Algorithm != "" {
				flag = " --algorithm " + p.Info.Algorithm
			}
			for _, k := range rigs {
				if p.Info.Algorithm != "" && k.Name != "cpuminer" && k.Name != "adit mine" && k.Name != "cgminer, bfgminer" && k.Name != "Antminer" {
					continue // machines for SHA-256d alone
				}
				own := startRig{rig: k}
				for _, line := range k.Lines {
					text := line.Text
					for i, v := range []string{listener, at, host, port, algorithm, flag} {
						text = strings.ReplaceAll(text, fmt.Sprintf("%%[%d]s", i+1), v)
					}
					own.Lines = append(own.Lines, rigLine{line.Label, text})
				}
				sp.Rigs = append(sp.Rigs, own)
			}
		}
		part.Pools = append(part.Pools, sp)
	}
	return s.pages.render(r, "start", 200, page{Title: l.T("Connect a rig"), Body: part, JSON: "/api/v1/pools"})
}

// statusPart is one pool's parts.
type statusPart struct {
	Info     *view.PoolInfo
	View     *pool.PoolView
	Rows     []healthRow
	OK       bool
	Sessions int
	Backlog  uint64
}

func (s *Server) pageStatus(r web.Request) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	l := s.pages.language(r)
	v := page{Title: l.T("Status"), JSON: "/api/v1/status", Live: true}
	var parts []statusPart
	for _, p := range s.board.Pools {
		snap := p.Snapshot()
		rows, ok := s.health(l, p, snap)
		rows = append(rows, s.roles(l, snap)...)
		live, _ := p.State(snap)
		parts = append(parts, statusPart{p.Info, &snap.View, rows, ok, live.Sessions, live.Backlog})
		v.Notices = append(v.Notices, notice(l, p, snap)...)
	}
	v.Body = struct {
		Parts   []statusPart
		Started int64
		Streams int
	}{parts, s.started.UnixMilli(), s.events.Streams()}
	return s.pages.render(r, "status", 200, v)
}

// roles are a row for each edge and each ledger role that reported of late.
func (s *Server) roles(l *locale.Locale, snap *view.Snapshot) (rows []healthRow) {
	now := s.now()
	for _, e := range snap.View.Edges {
		row := healthRow{Name: l.T("Edge %s", e.Name), OK: !e.Silent && e.JournalError == "", Detail: e.JournalError}
		switch {
		case e.Silent:
			row.Detail = l.T("silent for %s", l.Span(now.Sub(time.UnixMilli(e.Reported))))
		case row.OK:
			row.Detail = l.T("%s connections, %s shares on their way, version %s", l.Count(unsigned(int64(e.Sessions))), l.Count(e.Backlog), e.Version)
		}
		rows = append(rows, row)
	}
	for _, r := range snap.View.Ledgers {
		row := healthRow{Name: l.T("Ledger role %s", r.Name), OK: r.State == pool.LedgerActive || r.State == pool.LedgerStandby, Detail: r.State}
		for _, more := range []string{r.Disks, r.Error} {
			if more != "" {
				row.Detail += ", " + more
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// rejectPart explains one reason.
type rejectPart struct {
	Name, Message  string
	Code           int
	Means, Because string
	Do             string
}

// rejectTexts say what a reason means, what mostly causes it and what to do.
var rejectTexts = map[pool.Reject][3]string{
	pool.RejectMalformed:     {"A field of the submission was not what the protocol says: a wrong length, or no hex digits.", "Firmware that cuts leading zeros, or a proxy that rewrites submissions.", "Update the firmware or the proxy. Nothing can be credited for such a share."},
	pool.RejectNTime:         {"The time in the header lies outside of what the network accepts for this job.", "A rig that rolls the time too far, or works on a job for too long.", "Update the firmware; if it sets the time itself, check its clock."},
	pool.RejectVersion:       {"Bits of the block version were changed that the pool did not allow.", "Firmware that rolls version bits without having asked for it.", "Switch on version rolling (mining.configure) in the rig or proxy, or switch the rolling off."},
	pool.RejectUnknownJob:    {"The job was never given to this connection, or it is long gone.", "The rig went on with work from before a reconnect, or the server was restarted.", "A few after a reconnect are usual. Many point to a proxy that mixes connections."},
	pool.RejectStale:         {"The share is for a block that the network had already replaced when it came in.", "A new block was found while the share was on its way: slow lines and slow rigs have more of them.", "Up to about one in a hundred is usual. Use the nearest host of the pool, and a wire instead of Wi-Fi."},
	pool.RejectDuplicate:     {"The same share was sent before.", "Firmware that sends again when an answer is late, or two rigs with the same work behind a proxy.", "Update the firmware or the proxy. The first of them was counted."},
	pool.RejectLowDifficulty: {"The hash does not reach the difficulty that the job was given at.", "Overclocked chips that compute wrongly, or firmware that takes a new difficulty for an old job.", "Lower clock or raise voltage; update the firmware."},
	pool.RejectUnauthorized:  {"The share names a user that has not logged in on this connection.", "A wrong user name in the rig's settings, or an address of another network.", "Check the address before the point in the user name."},
	pool.RejectNotSubscribed: {"The share came before the rig had subscribed to work.", "A faulty proxy or firmware.", "Restart the rig, and update it."},
	pool.RejectInternal:      {"The pool could not write the share to its disk and says so instead of losing it.", "A full or faulty disk at the pool.", "Nothing: keep mining. The status page tells more."},
	pool.RejectBusy:          {"The share was not looked at, because this connection sends too many that miss their target.", "A difficulty that is set by hand, or faulty hashing.", "Let the pool choose the difficulty (password x), and check the rig."},
}

func rejectNamed(name string) *pool.Reject {
	for _, r := range pool.Rejects() {
		if r.String() == name {
			return &r
		}
	}
	return nil
}

func (s *Server) pageRejects(r web.Request, path []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	l := s.pages.language(r)
	all := pool.Rejects()
	heading := l.T("Why shares are rejected")
	if len(path) == 1 {
		one := rejectNamed(path[0])
		if one == nil {
			return web.NotFound("There is no such reason.")
		}
		all, heading = []pool.Reject{*one}, l.T("Rejected: %s", one.String())
	}
	var parts []rejectPart
	for _, x := range all {
		t := rejectTexts[x]
		parts = append(parts, rejectPart{x.String(), x.Message(), x.Code(), l.T(t[0]), l.T(t[1]), l.T(t[2])})
	}
	return s.pages.render(r, "rejects", 200, page{Title: heading, Body: parts, JSON: "/api/v1/rejects"})
}

// apiPart is one path of the API.
type apiPart struct {
	Path, Summary, Text string
	Parameters          []apiParameter
	Example             string
	Schema              string
}

type apiParameter struct {
	Name, In, Text string
}

// apiSchema is one object of the API.
type apiSchema struct {
	Name, Text string
	Fields     []apiField
}

type apiField struct{ Name, Type, Text string }

func (s *Server) pageAPI(r web.Request) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	var doc struct {
		Info  struct{ Description string }
		Paths map[string]map[string]struct {
			Summary, Description string
			Parameters           []struct{ Name, In, Description string }
			Responses            map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(api.Document(), &doc); err != nil {
		return web.Fail{Status: 500, Detail: "the description of the API cannot be read"}
	}
	l := s.pages.language(r)
	var parts []apiPart
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		get := doc.Paths[path]["get"]
		part := apiPart{Path: path, Summary: get.Summary, Text: get.Description, Example: strings.ReplaceAll(path, "{pool}", s.board.Pools[0].Info.ID)}
		if strings.Contains(part.Example, "{") || strings.HasSuffix(path, "/events") {
			part.Example = ""
		}
		if c, ok := get.Responses["200"].Content[web.TypeJSON]; ok {
			part.Schema = strings.TrimPrefix(c.Schema.Ref, "#/components/schemas/")
		}
		for _, p := range get.Parameters {
			part.Parameters = append(part.Parameters, apiParameter{p.Name, p.In, p.Description})
		}
		parts = append(parts, part)
	}
	var schemas []apiSchema
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		schemas = append(schemas, schemaOf(name, doc.Components.Schemas[name]))
	}
	return s.pages.render(r, "api", 200, page{Title: l.T("API"), JSON: "/api/v1/openapi.json", Body: struct {
		Text    string
		Paths   []apiPart
		Schemas []apiSchema
	}{doc.Info.Description, parts, schemas}})
}

// schemaOf is an object for reading.
func schemaOf(name string, raw json.RawMessage) apiSchema {
	var o struct {
		Description string
		Properties  map[string]json.RawMessage
	}
	if json.Unmarshal(raw, &o) != nil {
		return apiSchema{Name: name}
	}
	out := apiSchema{Name: name, Text: o.Description}
	for _, field := range slices.Sorted(maps.Keys(o.Properties)) {
		kind, text := typeOf(o.Properties[field])
		out.Fields = append(out.Fields, apiField{field, kind, text})
	}
	return out
}

func typeOf(raw json.RawMessage) (kind, text string) {
	var f struct {
		Type        any
		Ref         string `json:"$ref"`
		Description string
		Items       json.RawMessage
		OneOf       []json.RawMessage
	}
	if json.Unmarshal(raw, &f) != nil {
		return "", ""
	}
	switch t := f.Type.(type) {
	case string:
		kind = t
	case []any:
		for i, x := range t {
			if i > 0 {
				kind += " or "
			}
			kind += fmt.Sprint(x)
		}
	}
	if f.Ref != "" {
		kind = strings.TrimPrefix(f.Ref, "#/components/schemas/")
	}
	for i, x := range f.OneOf {
		if i > 0 {
			kind += " or "
		}
		k, _ := typeOf(x)
		kind += k
	}
	if len(f.Items) > 0 {
		of, _ := typeOf(f.Items)
		kind += " of " + of
	}
	return kind, f.Description
}
