package repo_test

import (
	"go/ast"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// eventsOf lists, by constant, the names in pool/event.go.
func eventsOf(files []file) map[string]string {
	events := make(map[string]string)
	for _, f := range files {
		if f.path != "pool/event.go" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && v.Names[0].Name != "EventField" {
				if l, ok := v.Values[0].(*ast.BasicLit); ok {
					events[v.Names[0].Name], _ = strconv.Unquote(l.Value)
				}
			}
			return true
		})
	}
	return events
}

// logLine is what one chain of calls on a logger says.
type logLine struct {
	level   bool   // error
	literal bool   // the field's name is written out
	event   string // the constant, or the variable
}

// chain reads a call and those it is made on: log.Error().Str(…).Msg(…).
func chain(call *ast.CallExpr) (line logLine) {
	for call != nil {
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return line
		}
		switch {
		case f.Sel.Name == "Error" && len(call.Args) == 0:
			line.level = true
		case f.Sel.Name == "Str" && len(call.Args) == 2:
			if l, ok := call.Args[0].(*ast.BasicLit); ok && l.Kind == token.STRING && l.Value == `"event"` {
				line.literal = true
			}
			if name, ok := call.Args[0].(*ast.SelectorExpr); ok && name.Sel.Name == "EventField" {
				switch v := call.Args[1].(type) {
				case *ast.SelectorExpr:
					line.event = v.Sel.Name
				case *ast.Ident:
					line.event = v.Name
				default:
					line.literal = true
				}
			}
		}
		call, _ = f.X.(*ast.CallExpr)
	}
	return line
}

// TestEvents holds the log to one list of events: a line at level error has one, and none is written out.
func TestEvents(t *testing.T) {
	files, err := load(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	events := eventsOf(files)
	used := make(map[string]bool)
	for _, f := range files {
		if f.test || in(f.dir, []string{"worker/...", "kernels/...", "bench/...", "itest"}) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && events[s.Sel.Name] != "" {
				used[s.Sel.Name] = true
			}
			s, ok := n.(*ast.ExprStmt)
			if !ok {
				return true
			}
			call, ok := s.X.(*ast.CallExpr)
			if !ok {
				return true
			}
			if end, ok := call.Fun.(*ast.SelectorExpr); !ok || end.Sel.Name != "Msg" && end.Sel.Name != "Msgf" && end.Sel.Name != "Send" {
				return true
			}
			switch line := chain(call); {
			case line.literal:
				t.Errorf("%s: an event is written out: use the list in pool/event.go", f.path)
			case line.level && line.event == "":
				t.Errorf("%s: a line at level error has no event of the list in pool/event.go", f.path)
			case line.event != "" && events[line.event] == "" && line.event != "event":
				t.Errorf("%s: %s is not in the list in pool/event.go", f.path, line.event)
			}
			return true
		})
	}
	doc, err := os.ReadFile("docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for constant, name := range events {
		if !used[constant] {
			t.Errorf("no line has %s", constant)
		}
		if names[name] {
			t.Errorf("%s is there twice", name)
		}
		names[name] = true
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("docs/operate.md does not explain %s", name)
		}
	}
	if len(events) < 20 {
		t.Errorf("%d events", len(events))
	}
}
