package itest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// checkMetrics asks the running server for every metric that the dashboards and alert rules use.
func checkMetrics(t *testing.T, s *site) {
	t.Helper()
	files, err := filepath.Glob("../deploy/*/adit.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dashboards, err := filepath.Glob("../deploy/grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 || len(dashboards) == 0 {
		t.Fatalf("%d files of rules, %d dashboards", len(files), len(dashboards))
	}
	used := make(map[string]string)
	for _, f := range append(files, dashboards...) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(?:pool|process|go)_[a-z0-9_]+`).FindAllString(string(b), -1) {
			used[name] = f
		}
	}
	// What is counted only once it has happened.
	if resp, err := http.Get(s.state.Dashboard + "/nothing"); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(s.state.Stratum, "stratum+tcp://")); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	s.await("every metric that dashboards and rules use", time.Minute, func() error {
		resp, err := http.Get(s.state.Dashboard + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		there := make(map[string]bool)
		for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9_]*)[{ ]`).FindAllSubmatch(b, -1) {
			there[string(m[1])] = true
		}
		var missing error
		for name, file := range used {
			if !there[name] {
				missing = errors.Join(missing, fmt.Errorf("%s of %s", name, file))
			}
		}
		return missing
	})
}
