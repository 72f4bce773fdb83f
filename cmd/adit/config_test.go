package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../adit.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The example documents every key, and where it writes a value that a file may leave out, the value is
// the default.
func TestExampleIsComplete(t *testing.T) {
	text := example(t)
	full, err := parseConfig(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys func(reflect.Type) []string
	keys = func(typ reflect.Type) (all []string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() {
				continue
			}
			switch f.Type.Kind() {
			case reflect.Struct:
				all = append(all, "["+f.Tag.Get("toml")+"]")
				all = append(all, keys(f.Type)...)
			case reflect.Slice:
				if f.Type.Elem().Kind() == reflect.Struct {
					all = append(all, keys(f.Type.Elem())...)
					break
				}
				fallthrough
			default:
				all = append(all, "\n"+f.Tag.Get("toml")+" = ")
			}
		}
		return all
	}
	text = strings.ReplaceAll(text, "\n#   ", "\n") // tables that are not there by default
	for _, k := range keys(reflect.TypeFor[Config]()) {
		if !strings.Contains(text, k) {
			t.Errorf("adit.example.toml does not document %q", strings.TrimSpace(k))
		}
	}

	short, err := parseConfig(`
[[pool]]
coin = "bitcoin"
network = "regtest"
reward_address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
fee_ppm = 10000
[[pool.node]]
url = "http://127.0.0.1:18443"
user = "adit"
password = "change-me"
[[pool.stratum]]
listen = "0.0.0.0:3333"
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(full, short) {
		t.Errorf("the example's values are not the defaults:\n%+v\n%+v", full, short)
	}
}

func TestConfigRefusals(t *testing.T) {
	good := example(t)
	f := func(old, new string, want ...string) {
		t.Helper()
		text := strings.Replace(good, old, new, 1)
		if text == good {
			t.Fatalf("%q is not in the example", old)
		}
		_, err := parseConfig(text, nil)
		if err == nil {
			t.Errorf("%s: accepted", new)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in %q", new, w, err)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", new, err)
		}
	}
	line := strings.Count(good[:strings.Index(good, "fee_ppm = ")], "\n") + 1
	f("fee_ppm = 10000", "fee_percent = 1", fmt.Sprintf("line %d", line), "fee_percent", "adit.example.toml")
	f("fee_ppm = 10000", "fee_ppm = -1", fmt.Sprintf("line %d", line))
	f("fee_ppm = 10000", "fee_ppm = 1000001", "fee_ppm", "1000000")
	f(`id = "bitcoin"`, `id = "Bitcoin!"`, "id", "a-z")
	f(`id = "bitcoin"`, `id = "api"`, "page of the site")
	f(`coin = "bitcoin"`, `coin = "ethereum"`, "proof of stake", "bitcoin mainnet")
	f(`network = "regtest"`, `network = "moonnet"`, "moonnet", "simnet")
	f(`reward_address = "bcrt1q`, `reward_address = "bcrt1p`, "reward_address", "checksum")
	f(`scheme = "pplns"`, `scheme = "pps"`, "pplns, solo or prop")
	f("pplns_n = 2", "pplns_n = 0.01", "pplns_n", "2 is usual")
	f(`password_file = ""`, `password_file = "x"`, "only one of")
	f(`url = "http://127.0.0.1:18443"`, `url = "127.0.0.1:18443"`, "http://host:port")
	f("min_difficulty = 1\n", "min_difficulty = 2048\n", "start_difficulty")
	f("min_difficulty = 1\n", "min_difficulty = nan\n", "min_difficulty")
	f(`listen = "0.0.0.0:3333"`, `listen = "3333"`, "host:port")
	f(`listen = "0.0.0.0:3333"`, `listen = "127.0.0.1:8080"`, "is also dashboard.listen")
	f(`tls_cert = ""`, `tls_cert = "c.pem"`, "stratum[0]", "go together")
	f(`tls_only = false`, `tls_only = true`, "tls_only", "tls_cert")
	f(`proxy_from = ""`, `proxy_from = "10.0.0.0/8, x"`, "proxy_from", `"x"`)
	f(`ban_exempt = ""`, `ban_exempt = "10.0.0.0/33"`, "ban_exempt")
	f(`version_mask = "1fffe000"`, `version_mask = "ffffffff"`, "version_mask", "1fffe000")
	f(`shares_per_second = 500`, `shares_per_second = -1`, "shares_per_second")
	f(`reconnect_seconds = 0`, `reconnect_seconds = -1`, "reconnect_seconds")
	f(`level = "info"`, `level = "loud"`, "log.level")
	f("threshold = 1000000", "threshold = 0", "payout.threshold")
	f("[log]", "[log", "line")
}

func TestFractionalDifficulty(t *testing.T) {
	text := example(t)
	for _, key := range []string{"start_difficulty = 1024", "min_difficulty = 1\n", "max_difficulty = 1000000000000"} {
		name, _, _ := strings.Cut(key, " ")
		text = strings.Replace(text, key, name+" = 0.0000001\n", 1)
	}
	cfg, err := parseConfig(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l := cfg.Pool[0].Stratum[0].limits(); l.Start != 1e-7 || l.Min != l.Max || l.Start.String() != "0.0000001" {
		t.Errorf("%+v", l)
	}
}

func TestEnvironment(t *testing.T) {
	cfg, err := parseConfig(example(t), []string{
		"HOME=/x", "ADIT_BTCD=/somewhere", "ADIT_DATA_DIR=/var/lib/adit", "ADIT_POOL__0__NODE__0__URL=http://10.0.0.1:8332",
		"ADIT_POOL__0__NODE__0__PASSWORD=s3cret", "ADIT_POOL__0__FEE_PPM=5000", "ADIT_POOL__0__STRATUM__0__MIN_DIFFICULTY=0.5",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.Pool[0]
	if cfg.DataDir != "/var/lib/adit" || p.Node[0].URL != "http://10.0.0.1:8332" || string(p.Node[0].Password) != "s3cret" ||
		p.FeePPM != 5000 || p.Stratum[0].MinDifficulty != 0.5 {
		t.Errorf("%+v", cfg)
	}
	if s := fmt.Sprintf("%+v %#v", p.Node[0], p.Node[0]); strings.Contains(s, "s3cret") {
		t.Errorf("the password prints itself: %s", s)
	}
	for _, bad := range []string{"ADIT_POOL__1__ID=x", "ADIT_POOL__0__NODE=x", "ADIT_POOL__0__FEE_PPM=-1", "ADIT_REDIS__PORT=1"} {
		if _, err := parseConfig(example(t), []string{bad}); err == nil || !strings.Contains(err.Error(), strings.SplitN(bad, "=", 2)[0]) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestRelativePaths(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "adit.toml")
	text := strings.ReplaceAll(example(t), `key_file = ""`, `key_file = "keys/pool"`)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != filepath.Join(dir, "adit-data") || cfg.Payout.KeyFile != filepath.Join(dir, "keys/pool") || cfg.Pool[0].KeyFile != cfg.Payout.KeyFile {
		t.Errorf("%q %q %q", cfg.DataDir, cfg.Payout.KeyFile, cfg.Pool[0].KeyFile)
	}
	cfg.Payout.KeyFile = "all"
	if got := cfg.keyFile(&cfg.Pool[0]); got != filepath.Join(dir, "keys/pool") {
		t.Errorf("a pool's own key file is %q", got)
	}
	if got := cfg.keyFile(&PoolConfig{}); got != "all" {
		t.Errorf("the key file of a pool without one is %q", got)
	}
	if _, err := loadConfig(filepath.Join(dir, "none.toml"), nil); err == nil || !strings.Contains(err.Error(), "adit.example.toml") {
		t.Errorf("%v", err)
	}
}
