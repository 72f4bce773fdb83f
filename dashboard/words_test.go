package dashboard

import (
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/adit-pool/adit/dashboard/locale"
	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"os"
)

// TestWords finds texts that a language lacks, translations of nothing, and places for values that differ.
func TestWords(t *testing.T) {
	all, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"ok": true, "low": true, "offline": true, "rejected": true}
	for _, s := range []ledger.BlockState{ledger.BlockSubmitted, ledger.BlockImmature, ledger.BlockMature, ledger.BlockOrphaned, ledger.BlockRejected} {
		used[string(s)] = true
	}
	for _, s := range []payout.State{payout.StateDraft, payout.StateFrozen, payout.StateApproved, payout.StateBuilt, payout.StateSigned, payout.StateBroadcast,
		payout.StateConfirmed, payout.StateFinal, payout.StateCancelled, payout.StateReplaced, payout.StateConflicted} {
		used[string(s)] = true
	}
	for _, w := range scriptWords {
		used[w] = true
	}
	for _, o := range passwordOptions {
		used[o.Means] = true
	}
	for _, x := range pool.Rejects() {
		for _, text := range rejectTexts[x] {
			if text == "" {
				t.Errorf("reason %s is not explained", x)
			}
			used[text] = true
		}
	}
	inPage := regexp.MustCompile(`\bt ("(?:[^"\\]|\\.)*")`)
	inCode := regexp.MustCompile(`(?:\.T|NotFound|BadRequest)\(("(?:[^"\\]|\\.)*")`)
	spans := regexp.MustCompile(`("%s [hd]"), ("[^"]*")\)`)
	take := func(quoted string) {
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		used[text] = true
	}
	read := func(pattern string, find ...*regexp.Regexp) {
		files, err := fs.Glob(os.DirFS("."), pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, re := range find {
				for _, m := range re.FindAllSubmatch(b, -1) {
					for _, quoted := range m[1:] {
						take(string(quoted))
					}
				}
			}
		}
	}
	read("pages/*.html", inPage)
	read("*.go", inCode)
	read("locale/*.go", inCode, spans)
	places := regexp.MustCompile(`%(?:\[\d\])?[sd]`)
	for _, l := range all[1:] {
		for text := range used {
			got, ok := l.Words()[text]
			if !ok || got == "" {
				t.Errorf("%s has no %q", l.Tag, text)
			}
			if len(places.FindAllString(text, -1)) != len(places.FindAllString(got, -1)) {
				t.Errorf("%s: %q has other places for values than %q", l.Tag, got, text)
			}
		}
		for text := range l.Words() {
			if !used[text] {
				t.Errorf("%s translates %q, which nobody says", l.Tag, text)
			}
		}
	}
}

// TestEveryPageInEveryLanguage makes all pages and looks for values that did not fit their texts.
func TestEveryPageInEveryLanguage(t *testing.T) {
	s := newSite(t, nil)
	for _, tag := range locale.Tags {
		for path, status := range s.paths() {
			if status == 303 || strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/assets/") || path == "/metrics" {
				continue
			}
			a := s.get(path, "Cookie", "lang="+tag)
			if a.status != status || strings.Contains(a.body, "%!") {
				t.Errorf("%s in %s: %d", path, tag, a.status)
			}
		}
	}
}
