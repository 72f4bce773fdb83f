package locale

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed words
var wordFiles embed.FS

// Locale is one language. It is not changed after it was loaded.
type Locale struct {
	Tag     string // of the html element: "en", "zh"
	Name    string // in the language itself
	Group   string // between thousands
	Decimal string
	layout  string // of a date with time
	words   map[string]string
}

// Tags are the languages there are, the default first.
var Tags = [...]string{"en", "zh", "es", "ru", "de"}

// All are the languages with their texts, in the order of [Tags].
type All []*Locale

// Load reads the catalogues.
func Load() (All, error) {
	all := All{
		{Tag: "en", Name: "English", Group: ",", Decimal: ".", layout: "2006-01-02 15:04:05"},
		{Tag: "zh", Name: "中文", Group: ",", Decimal: ".", layout: "2006/01/02 15:04:05"},
		{Tag: "es", Name: "Español", Group: "\u202f", Decimal: ",", layout: "02/01/2006 15:04:05"},
		{Tag: "ru", Name: "Русский", Group: "\u202f", Decimal: ",", layout: "02.01.2006 15:04:05"},
		{Tag: "de", Name: "Deutsch", Group: ".", Decimal: ",", layout: "02.01.2006 15:04:05"},
	}
	for _, l := range all[1:] {
		b, err := wordFiles.ReadFile("words/" + l.Tag + ".json")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &l.words); err != nil {
			return nil, fmt.Errorf("read the words of %s: %w", l.Tag, err)
		}
	}
	return all, nil
}

// Find is the language of a tag such as "de" or "de-AT", nil when there is none.
func (a All) Find(tag string) *Locale {
	tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
	for _, l := range a {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

// Accepted is the first language of an Accept-Language header that there is, by weight; else English.
func (a All) Accepted(header string) *Locale {
	best, weight := a[0], 0.0
	for part := range strings.SplitSeq(header[:min(len(header), 500)], ",") {
		tag, q, _ := strings.Cut(part, ";")
		w := 1.0
		if text, ok := strings.CutPrefix(strings.ReplaceAll(q, " ", ""), "q="); ok {
			if _, err := fmt.Sscanf(text, "%g", &w); err != nil {
				continue
			}
		}
		if l := a.Find(tag); l != nil && w > weight && w <= 1 {
			best, weight = l, w
		}
	}
	return best
}

// T is a text in this language, with values put in as by fmt.Sprintf. Without a translation it is the
// English one.
func (l *Locale) T(text string, values ...any) string {
	if t, ok := l.words[text]; ok {
		text = t
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// Words are the translations.
func (l *Locale) Words() map[string]string { return l.words }
