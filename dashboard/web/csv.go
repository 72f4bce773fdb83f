package web

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
)

// CSV answers with a table as a file for a spreadsheet, RFC 4180.
func (r Request) CSV(name string, header []string, rows [][]string) error {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	w.UseCRLF = true
	if err := w.Write(header); err != nil {
		return err
	}
	for _, row := range rows {
		for i := range row {
			row[i] = Cell(row[i])
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	r.Response.Header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.csv"`, fileName(name)))
	return r.Body(TypeCSV, buf.Bytes())
}

// Cell is a text that no spreadsheet takes for a formula: what begins like one is preceded by an
// apostrophe, and control characters become spaces. A number keeps its sign.
func Cell(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	text := strings.TrimLeft(s, " \u00a0")
	if text == "" || !strings.ContainsRune("=+-@|%\uff1d\uff0b\uff0d\uff20", []rune(text)[0]) || isNumber(text) {
		return s
	}
	return "'" + s
}

// isNumber reports a sign and digits with at most one point.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, part, _ := strings.Cut(s, ".")
	return whole != "" && strings.Trim(whole+part, "0123456789") == ""
}

// fileName keeps letters, digits, '-' and '.'.
func fileName(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, s)
}
