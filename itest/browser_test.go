//go:build itest

package itest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	cdptarget "github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// axeHash is that of axe.min.js 4.14.1 as npm has it (MPL-2.0, see its LICENSE).
const axeHash = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"

// browser is a headless Chromium that notes every complaint of a page.
type browser struct {
	t    *testing.T
	site string // address of the dashboard
	ctx  context.Context

	mu    sync.Mutex
	wrong []string // guarded by mu; errors of the console, exceptions, refusals of the content policy
}

// startBrowser starts Chromium and has it load a page of the site; without a Chromium the test is skipped, in CI it
// fails. One that does not load its first page within a minute, which a busy machine sees now and then, is
// replaced.
func startBrowser(t *testing.T, site string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not on PATH")
		}
		t.Skip("chromium is not on PATH: make deps installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(2*time.Minute))
	for range 3 {
		alloc, endAlloc := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, end := chromedp.NewContext(alloc)
		b := &browser{t: t, site: site, ctx: ctx}
		if err = chromedp.Listen(ctx, b.hear); err == nil {
			if err = b.load("/livez", time.Minute); err == nil {
				t.Cleanup(func() { end(); endAlloc() })
				call(b, cdplog.Enable, cdp.Empty{})
				b.complaints()
				return b
			}
		}
		end()
		endAlloc()
	}
	t.Fatalf("start Chromium: %v", err)
	return nil
}

// load sends the page to a path of the site and waits until it is complete.
func (b *browser) load(path string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.leaving = true`)); err != nil {
		return fmt.Errorf("leave the page before %s: %w", path, err)
	}
	if r, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: b.site + path}); err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	} else if r.ErrorText != "" {
		return fmt.Errorf("load %s: %s", path, r.ErrorText)
	}
	for {
		done, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!window.leaving && document.readyState === "complete"`))
		if done || ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the page changes at this moment
			b.t.Logf("while %s is loaded: %v", path, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// open loads a page, again where it did not come.
func (b *browser) open(path string) {
	b.t.Helper()
	var err error
	for range 4 {
		if err = b.load(path, time.Minute); err == nil {
			return
		}
		b.t.Logf("again: %v", err)
		b.complaints()
	}
	b.t.Fatal(err)
}

// hear notes complaints.
func (b *browser) hear(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		d := e.ExceptionDetails
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		b.wrong = append(b.wrong, fmt.Sprintf("exception: %s (%s:%d)", text, d.URL, d.LineNumber))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			b.wrong = append(b.wrong, fmt.Sprintf("console: %v", e.Args))
		}
	case *page.EventJavascriptDialogOpening:
		b.wrong = append(b.wrong, "dialog: "+e.Message)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError {
			b.wrong = append(b.wrong, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// run does something in the page and gives its value.
func run[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// call sends a command of the protocol.
func call[P, R any](b *browser, cmd cdp.Command[P, R], params P) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	if _, err := chromedp.Call(ctx, cmd, params); err != nil {
		b.t.Fatalf("%s: %v", cmd.Method, err)
	}
}

// eval reads a value of the page.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	return run(b, script, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// complaints are what pages complained of since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.wrong
	b.wrong = nil
	return out
}

// await polls the page until a script gives true.
func (b *browser) await(what, script string) {
	b.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		if eval[bool](b, script) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s did not come", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// size sets the window and the colours.
func (b *browser) size(width, height int64, dark bool) {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	run(b, "size", chromedp.EmulateViewport(width, height))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// TestBrowser looks at every page of a running pool with a real browser: at phone and desktop size, dark and
// light, with axe-core for what shuts people out; watches values change when shares land; and switches
// JavaScript off. Names that a miner chose are text.
func TestBrowser(t *testing.T) {
	axe, err := os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(axe); hex.EncodeToString(sum[:]) != axeHash {
		t.Fatalf("axe.min.js has hash %x", sum)
	}
	s := startDev(t, t.TempDir(), "--redis", "embedded")
	b := startBrowser(t, s.state.Dashboard)
	var address, block string
	s.await("a miner and a block", 2*time.Minute, func() error {
		var leaders struct{ Shares []struct{ Address string } }
		var blocks struct{ Blocks []blockView }
		if err := errors.Join(s.pool("/leaders", &leaders), s.pool("/blocks?limit=1", &blocks)); err != nil {
			return err
		}
		if len(leaders.Shares) == 0 || len(blocks.Blocks) == 0 {
			return errors.New("none yet")
		}
		address, block = leaders.Shares[0].Address, blocks.Blocks[0].Hash
		return nil
	})
	var workers struct{ Workers []struct{ Name string } }
	if err := s.pool("/miners/"+address+"/workers", &workers); err != nil || len(workers.Workers) == 0 {
		t.Fatalf("no worker: %v", err)
	}
	id := "/" + s.state.Coin
	pages := []string{"/", id, id + "/blocks", id + "/blocks/" + block, id + "/payments", id + "/leaders", "/user/" + address,
		"/user/" + address + "/w/" + workers.Workers[0].Name, "/start", "/status", "/api", "/rejects", "/rejects/stale"}
	for _, view := range []struct {
		name          string
		width, height int64
	}{{"phone", 390, 844}, {"desktop", 1440, 900}} {
		for _, page := range pages {
			b.size(view.width, view.height, false)
			b.open(page)
			b.await("the page's script", `document.readyState === "complete" && !document.getElementById("theme").hidden`)
			for _, colours := range []string{"light", "dark"} {
				what := page + ", " + view.name + " " + colours
				b.size(view.width, view.height, colours == "dark")
				for _, line := range b.complaints() {
					t.Errorf("%s: %s", what, line)
				}
				if wide := eval[float64](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("%s: is %v pixels wider than the window", what, wide)
				}
				b.checkAxe(what, string(axe))
				b.shoot(page, view.name, colours)
			}
		}
	}
	t.Run("live", func(t *testing.T) { liveValue(t, b, s) })
	t.Run("steady", func(t *testing.T) {
		steady(t, b, s, 390, "/", "/user/"+address, id+"/blocks")
		steady(t, b, s, 1440, "/", "/user/"+address, "/user/"+address+"/w/"+workers.Workers[0].Name)
	})
	t.Run("print", func(t *testing.T) { printed(t, b, s, "/user/"+address) })
	t.Run("hostile names", func(t *testing.T) { hostileNames(t, b, s, address) })
	t.Run("without JavaScript", func(t *testing.T) { withoutScript(t, b, s, address) })
}

// shoot keeps a picture of the page in the directory ADIT_SCREENSHOTS, for people to look at.
func (b *browser) shoot(page, view, colours string) {
	dir := os.Getenv("ADIT_SCREENSHOTS")
	if dir == "" {
		return
	}
	parts := strings.Split(strings.Trim(page, "/"), "/")
	for i := range parts { // hashes and addresses are others each time
		if len(parts[i]) > 20 {
			parts[i] = "one"
		}
	}
	png := run(b, "screenshot", chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", strings.Join(parts, "_"), view, colours)), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// checkAxe fails on findings that are serious or worse.
func (b *browser) checkAxe(what, axe string) {
	b.t.Helper()
	eval[bool](b, axe+";true")
	found := eval[string](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200))])))`)
	var list []any
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		b.t.Fatal(err)
	}
	for _, f := range list {
		b.t.Errorf("%s: %v", what, f)
	}
	b.complaints() // axe's own
}

// endWorker ends the shared worker that holds the live stream, as its browser may.
func (b *browser) endWorker() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	all, err := chromedp.Targets(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, info := range all {
		if info.Type == "shared_worker" {
			var closed any
			if err := chromedp.FromContext(ctx).Browser.Call(ctx, cdptarget.CommandCloseTarget, cdptarget.CloseTargetParams{TargetID: info.TargetID}, &closed); err != nil {
				b.t.Fatal(err)
			}
			return
		}
	}
	b.t.Fatal("no shared worker holds the stream")
}

// liveValue waits until shares of the rigs change a figure without anybody loading the page again, also after the worker with
// the stream has ended.
func liveValue(t *testing.T, b *browser, s *site) {
	b.open("/")
	eval[bool](b, `window.mark = true`)
	changes := func(when string) {
		before := eval[string](b, `document.querySelector('[data-field="accepted"]').textContent`)
		b.await("another number of shares "+when, fmt.Sprintf(`window.mark && document.querySelector('[data-field="accepted"]').textContent !== %q`, before))
	}
	changes("as they land")
	b.endWorker()
	changes("after the end of the worker with the stream")
	if lines := b.complaints(); len(lines) > 0 {
		t.Errorf("while live: %q", lines)
	}
}

// maxShift is the most that the sum of layout shifts may be (web.dev/cls, what is called good) from a page's first byte to its second copy of rows.
const maxShift = 0.1

// steady watches pages while live values arrive: nothing that somebody reads may jump away.
func steady(t *testing.T, b *browser, s *site, width int64, pages ...string) {
	b.size(width, 900, false)
	for _, page := range pages {
		b.open(page)
		eval[bool](b, `window.moved = []; new PerformanceObserver((list) => moved.push(...list.getEntries())).observe({type: "layout-shift", buffered: true}); true`)
		b.await("rows taken from a new copy of "+page, `document.querySelector("[data-was]") !== null`)
		eval[bool](b, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true), 50))))`)
		sum := eval[float64](b, `moved.reduce((sum, e) => sum + e.value, 0)`)
		t.Logf("%s, %d pixels wide, shifts by %.4f", page, width, sum)
		if sum >= maxShift {
			what := eval[string](b, `JSON.stringify(moved.map((e) => [e.value, e.sources.map((s) => (s.node?.outerHTML ?? s.node?.nodeName ?? "").slice(0, 120))]))`)
			t.Errorf("%s, %d pixels wide, shifts by %.3f: %.2000s", page, width, sum, what)
		}
	}
	if lines := b.complaints(); len(lines) > 0 {
		t.Errorf("while pages were watched: %q", lines)
	}
}

// printed looks at a page as paper gets it: dark letters on white also for readers of dark pages, and nothing
// to press on.
func printed(t *testing.T, b *browser, s *site, page string) {
	b.size(794, 1123, true)
	b.open(page)
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	defer call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	shown := eval[[]string](b, `[...document.querySelectorAll("button, input, form")].filter((e) => e.checkVisibility()).map((e) => e.outerHTML.slice(0, 80))`)
	if len(shown) > 0 {
		t.Errorf("on paper %s has %q", page, shown)
	}
	colours := eval[[]string](b, `[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]`)
	if luminance(t, colours[0]) < 0.9 || luminance(t, colours[1]) > 0.2 {
		t.Errorf("on paper %s is %s on %s", page, colours[1], colours[0])
	}
	if wide := eval[float64](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("on paper %s is %v pixels too wide", page, wide)
	}
	if paper := run(b, "print", chromedp.PrintToPDF()); !bytes.HasPrefix(paper, []byte("%PDF-")) {
		t.Errorf("%s printed is %.20q", page, paper)
	}
}

// luminance reads rgb(r, g, b), from 0 to 1.
func luminance(t *testing.T, colour string) float64 {
	var r, g, b float64
	if _, err := fmt.Sscanf(colour, "rgb(%f, %f, %f)", &r, &g, &b); err != nil {
		if colour == "rgba(0, 0, 0, 0)" { // paper
			return 1
		}
		t.Fatalf("%s: %v", colour, err)
	}
	return (r + g + b) / 3 / 255
}

// withoutScript reads the pages that matter as a browser with JavaScript switched off shows them.
func withoutScript(t *testing.T, b *browser, s *site, address string) {
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for page, want := range map[string]string{"/": "H/s", "/user/" + address: address, "/" + s.state.Coin + "/blocks": "Confirmations", "/start": "stratum+tcp://"} {
		b.open(page)
		text := run(b, page, chromedp.TextContent(chromedp.CSS("main")))
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("%s without JavaScript has no %s: %.400s", page, want, text)
		}
	}
}
