package dashboard

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

// schemas checks JSON against the parts of JSON Schema that openapi.json uses; a keyword that it does not
// know is an error, so that no rule is passed over.
type schemas struct {
	all map[string]any // components.schemas
}

var schemaWords = []string{"type", "properties", "required", "additionalProperties", "items", "enum", "pattern", "$ref", "format", "oneOf",
	"description", "minimum", "maximum", "maxLength", "default"}

// check returns what is wrong with v.
func (s schemas) check(at string, schema map[string]any, v any) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	for key := range schema {
		if !slices.Contains(schemaWords, key) {
			bad("the schema has %s, which is not checked", key)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		to, ok := s.all[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
		if !ok {
			bad("no schema %s", ref)
			return wrong
		}
		return append(wrong, s.check(at, to, v)...)
	}
	if any1, ok := schema["oneOf"].([]any); ok {
		fits := 0
		for _, x := range any1 {
			if len(s.check(at, x.(map[string]any), v)) == 0 {
				fits++
			}
		}
		if fits != 1 {
			bad("%d of oneOf fit %v", fits, v)
		}
		return wrong
	}
	kinds, ok := schema["type"].([]any)
	if !ok {
		kinds = []any{schema["type"]}
	}
	kind := kindOf(v)
	if !slices.ContainsFunc(kinds, func(k any) bool { return k == kind || k == "number" && kind == "integer" }) {
		bad("%v is %s, want %v", v, kind, kinds)
		return wrong
	}
	switch v := v.(type) {
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			bad("%q does not match %s", v, p)
		}
		if e, ok := schema["enum"].([]any); ok && !slices.Contains(e, any(v)) {
			bad("%q is none of %v", v, e)
		}
		if schema["format"] == "date-time" {
			if at, err := time.Parse(time.RFC3339, v); err != nil || at.Location() != time.UTC {
				bad("%q is no RFC 3339 time in UTC", v)
			}
		}
	case []any:
		for i, x := range v {
			wrong = append(wrong, s.check(fmt.Sprintf("%s[%d]", at, i), schema["items"].(map[string]any), x)...)
		}
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				bad("no %s", name)
			}
		}
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			sub, ok := properties[name].(map[string]any)
			if !ok {
				if sub, ok = schema["additionalProperties"].(map[string]any); !ok {
					if schema["properties"] != nil {
						bad("%s is not in the schema", name)
					}
					continue
				}
			}
			wrong = append(wrong, s.check(at+"."+name, sub, v[name])...)
		}
	}
	return wrong
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// apiDocument is what the tests need of openapi.json.
type apiDocument struct {
	Paths map[string]map[string]struct {
		Parameters []struct{ Name, In string }
		Responses  map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]any }
}

// find is the path of the document that a request's path stands for, "" when there is none.
func (d *apiDocument) find(path string) string {
	path, _, _ = strings.Cut(path, "?")
	got := strings.Split(path, "/")
	best := ""
	for p := range d.Paths {
		want := strings.Split(p, "/")
		if len(want) != len(got) {
			continue
		}
		fits := true
		for i := range want {
			fits = fits && (want[i] == got[i] || strings.HasPrefix(want[i], "{") && got[i] != "")
		}
		if fits && (best == "" || strings.Count(p, "{") < strings.Count(best, "{")) {
			best = p
		}
	}
	return best
}

// checkAnswer holds an answer of the API to the document.
func (d *apiDocument) checkAnswer(path string, a answer) []string {
	at := d.find(path)
	status := fmt.Sprint(a.status)
	var content map[string]struct{ Schema map[string]any }
	if at != "" {
		r := d.Paths[at]["get"].Responses
		if _, ok := r[status]; !ok {
			status = "default"
		}
		content = r[status].Content
	} else { // no path of the document: a problem
		if a.status < 400 {
			return []string{path + " is not in the document"}
		}
		content = d.Paths["/api/v1/pools"]["get"].Responses["default"].Content
	}
	kind, _, _ := strings.Cut(a.get("Content-Type"), ";")
	c, ok := content[kind]
	if !ok {
		return []string{fmt.Sprintf("%s: %s is not in the document for %s", path, kind, status)}
	}
	if !strings.HasSuffix(kind, "json") {
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		return []string{path + ": " + err.Error()}
	}
	return schemas{d.Components.Schemas}.check(path, c.Schema, v)
}
