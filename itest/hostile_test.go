//go:build itest

package itest

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hostile are names and agents that were used against pools' pages, files and spreadsheets. What a script of
// theirs would do is to set pwned.
var hostile = []string{
	`<script>window.pwned=1</script>`, `"><img src=x onerror=window.pwned=1>`, `'-(window.pwned=1)-'`, `</td></table><svg onload=window.pwned=1>`,
	`javascript:window.pwned=1`, `{{.}}${7*7}`, `</script><script>window.pwned=1</script>`,
	`=HYPERLINK("http://evil","x")`, `+1+cmd|' /C calc'!A0`, `-2+3+cmd`, `@SUM(1+1)`, "\t=1+1", "\r=1+1", "=1\n=2",
	`../../../etc/passwd`, `..%2f..%2fadmin`, "a\x00b", "x\r\nSet-Cookie: pwned=1", "\u202etxt.exe", `a:b{c}*?[d]`, `~`, `.`, `..`,
}

// hostileNames sends them as worker names and agents of real miners, and looks at what the browser and the
// exported files make of them.
func hostileNames(t *testing.T, b *browser, s *site, address string) {
	for i, text := range hostile {
		w := dialWire(t, s.state.Stratum)
		w.send(fmt.Sprintf(`{"id":1,"method":"mining.subscribe","params":[%s]}`, quoted(t, fmt.Sprintf("%s %d", text, i))))
		w.reply("1")
		w.send(fmt.Sprintf(`{"id":2,"method":"mining.authorize","params":[%s,"x"]}`, quoted(t, fmt.Sprintf("%s.%s%d", address, text, i))))
		if got := w.answer("2"); got != "true" {
			t.Errorf("worker %q is answered %s", text, got)
		}
	}
	var names []string
	path := "/miners/" + address + "/workers"
	s.await("the hostile workers", 2*time.Minute, func() error {
		var list struct {
			Workers []struct{ Name, Agent string }
		}
		if err := s.pool(path+"?limit=100", &list); err != nil {
			return err
		}
		seen := 0
		names = nil
		for _, w := range list.Workers {
			names = append(names, w.Name)
			if w.Agent != "" && strings.ContainsAny(w.Agent, "<=+@") {
				seen++
			}
		}
		if len(names) < len(hostile) || seen < 8 {
			return fmt.Errorf("%d names, %d with agents", len(names), seen)
		}
		return nil
	})
	b.size(1440, 900, false)
	b.complaints()
	clean := func(page string) {
		t.Helper()
		b.open(page)
		b.await("the page's script", `document.readyState === "complete" && !document.getElementById("theme").hidden`)
		if eval[bool](b, `"pwned" in window || document.cookie.includes("pwned") || document.querySelector("main img, main script, main iframe, main [onerror], main [onload]") !== null`) {
			t.Errorf("%s ran or holds what a miner wrote", page)
		}
		for _, line := range b.complaints() {
			if !strings.Contains(line, "the server responded with a status of 40") { // pages that there are not
				t.Errorf("%s: %s", page, line)
			}
		}
	}
	clean("/user/" + address)
	if text := eval[string](b, `document.querySelector("main").textContent`); !strings.Contains(text, "<script>window.pwned=1</script>") {
		t.Errorf("an agent is not shown as text: %.600s", text)
	}
	for i, name := range names {
		if i%4 == 0 {
			clean("/user/" + address + "/w/" + url.PathEscape(name))
		}
	}
	id := "/" + s.state.Coin
	for _, text := range []string{hostile[0], hostile[1], hostile[3], hostile[14], hostile[17]} {
		clean("/user/" + url.PathEscape(text))
		clean("/user?address=" + url.QueryEscape(text))
	}
	clean(id + "/blocks?cursor=" + url.QueryEscape(hostile[1]))
	clean("/rejects/" + url.PathEscape(hostile[0]))
	clean(id + "/blocks/" + url.PathEscape(hostile[6]) + "?x=" + url.QueryEscape(hostile[0]))
	hostileHeaders(t, s, "/user/"+address)

	var file string
	if err := s.pool(path+"?format=csv", &file); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil || len(rows) < len(hostile) {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	apostrophes := 0
	for _, row := range rows[1:] {
		for _, cell := range row {
			if _, err := strconv.ParseFloat(cell, 64); err == nil {
				continue
			}
			if text := strings.TrimSpace(cell); text != "" && strings.ContainsRune("=+-@\t\r|%", rune(text[0])) || strings.ContainsAny(cell, "\r\n\t\x00") {
				t.Errorf("a spreadsheet takes %q for a formula", cell)
			}
			if strings.HasPrefix(cell, "'=") || strings.HasPrefix(cell, "'@") {
				apostrophes++
			}
		}
	}
	if apostrophes == 0 {
		t.Error("no formula is in the file as text")
	}
}

// hostileHeaders sends them where clients may write anything: no answer repeats one as markup or as a header.
func hostileHeaders(t *testing.T, s *site, page string) {
	for _, text := range hostile {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.state.Dashboard+page, nil)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Map(func(c rune) rune { // what Go's client would not send; the raw bytes are the server's own tests'
			if c < ' ' || c > '~' {
				return -1
			}
			return c
		}, text)
		for _, name := range []string{"Accept-Language", "User-Agent", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "If-None-Match", "Last-Event-ID", "Accept-Encoding"} {
			req.Header.Set(name, text)
		}
		req.Header.Set("Cookie", "lang="+url.QueryEscape(text)+"; "+text)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("headers of %q: %v", text, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("headers of %q: %s %v", text, resp.Status, err)
		}
		main := string(body)
		if strings.Contains(main, "<script>window") || strings.Contains(main, "<img src=x") || strings.Contains(main, "<svg onload") {
			t.Errorf("headers of %q are in the page", text)
		}
		if c := resp.Header.Values("Set-Cookie"); len(c) > 0 {
			t.Errorf("headers of %q set %q", text, c)
		}
	}
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(errors.Join(errors.New("a text"), err))
	}
	return string(b)
}
