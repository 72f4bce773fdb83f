package repo_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtool is Debian's, from the PATH or from bin, where tools/deps puts it.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path, err := filepath.Abs("bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("promtool is missing: tools/deps promtool")
	}
	t.Skip("promtool is not installed: tools/deps promtool")
	return ""
}

// TestAlerts has promtool check the rules and run their tests; every alert has one in which it fires and one
// in which it does not.
func TestAlerts(t *testing.T) {
	const dir = "deploy/prometheus"
	rules := read(t, dir+"/adit.rules.yml")
	cases := read(t, dir+"/adit.test.yml")
	alerts := regexp.MustCompile(`(?m)^\s+- alert: (\w+)$`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Fatalf("%d alerts", len(alerts))
	}
	guide := read(t, "docs/operate.md")
	for _, a := range alerts {
		for _, want := range []string{" fires\n", " is quiet\n"} {
			if !strings.Contains(cases, "- name: "+a[1]+want) {
				t.Errorf("no test %s%s", a[1], strings.TrimSpace(want))
			}
		}
		if !strings.Contains(guide, "`"+a[1]+"`") {
			t.Errorf("docs/operate.md does not say what to do at %s", a[1])
		}
	}
	tool := promtool(t)
	for _, args := range [][]string{{"check", "rules", "adit.rules.yml"}, {"check", "config", "prometheus.example.yml"}, {"test", "rules", "adit.test.yml"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestGrafana reads the dashboards as Grafana would import them. That the metrics in them exist is a test of
// itest, which asks a running server.
func TestGrafana(t *testing.T) {
	files, err := filepath.Glob("deploy/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	for _, f := range files {
		var d struct {
			UID, Title    string
			SchemaVersion int
			Panels        []struct {
				ID          int
				Title, Type string
				Datasource  struct{ Type, UID string }
				Targets     []struct{ Expr, RefID string }
			}
		}
		if err := json.Unmarshal([]byte(read(t, f)), &d); err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
			t.Errorf("%s: %q %q of schema %d has %d panels", f, d.UID, d.Title, d.SchemaVersion, len(d.Panels))
		}
		ids := make(map[int]bool)
		for _, p := range d.Panels {
			if p.Title == "" || ids[p.ID] || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %d %q", f, p.ID, p.Title)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				if target.Expr == "" || target.RefID == "" {
					t.Errorf("%s: panel %q has a target without expression or name", f, p.Title)
				}
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
