package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rig.toml")
	text := `
algorithm = "scrypt"
threads = 3
affinity = "0, 2-4"
intensity = 70
temperature_limit = 85
suggest_difficulty = 0.5
version_rolling = false
listen = "127.0.0.1:4077"

[[pool]]
url = "stratum+tcp://one:1"
user = "alice.rig"

[[pool]]
url = "stratum+ssl://two:2"
user = "bob.rig"
password = "d=5"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New()
	if err := s.Load(file); err != nil {
		t.Fatal(err)
	}
	o, err := s.Options()
	if err != nil || o.Pool != "stratum+tcp://one:1" || o.User != "alice.rig" || len(o.Backups) != 1 ||
		o.Backups[0].Password != "d=5" || !o.NoRolling || o.Suggest != 0.5 || o.TLS != nil {
		t.Errorf("%+v, %v", o, err)
	}
	tuning, err := s.Tuning()
	if err != nil || tuning.Threads != 3 || !slices.Equal(tuning.CPUs, []int{0, 2, 3, 4}) || tuning.Intensity != 70 || tuning.Limit != 85 {
		t.Errorf("%+v, %v", tuning, err)
	}
	if s.Algorithm != "scrypt" || s.Listen != "127.0.0.1:4077" || s.LogLevel != "warn" {
		t.Errorf("%+v", s)
	}
	if err := s.Load(file + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestParseRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		s := New()
		if err := s.parse("rig.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("threads = 1\nspeed = 2\n", `rig.toml:2: unknown setting "speed"`)
	f("[[pool]]\nhost = 1\n", `rig.toml:2: unknown setting "pool.host"`)
	f("threads = \"two\"\n", "rig.toml:1")
	f("threads = \n", "rig.toml:1")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("threads = 1\naffinity = \"0-3\"\n[[pool]]\nurl = \"x\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := New()
		if s.parse("rig.toml", text) != nil {
			return
		}
		s.CA = "" // a file's name
		if o, err := s.Options(); err == nil && o.Pool != s.Pools[0].URL {
			t.Errorf("%+v", o)
		}
		if tuning, err := s.Tuning(); err == nil && (tuning.Intensity < 1 || tuning.Intensity > 100) {
			t.Errorf("%+v", tuning)
		}
	})
}

func TestSetPools(t *testing.T) {
	f := func(have []Pool, urls, users, passwords []string, want []Pool) {
		t.Helper()
		s := Settings{Pools: have}
		if err := s.SetPools(urls, users, passwords); (err == nil) != (want != nil) || err == nil && !reflect.DeepEqual(s.Pools, want) {
			t.Errorf("%v %v %v: %+v, %v", urls, users, passwords, s.Pools, err)
		}
	}
	file := []Pool{{"f", "u", "p"}, {"g", "v", ""}}
	f(file, nil, nil, nil, []Pool{{"f", "u", "p"}, {"g", "v", ""}})
	f(slices.Clone(file), nil, []string{"w"}, nil, []Pool{{"f", "w", "p"}, {"g", "w", ""}})
	f(slices.Clone(file), []string{"a"}, []string{"w"}, nil, []Pool{{"a", "w", ""}})
	f(nil, []string{"a", "b"}, []string{"u", "v"}, []string{"x"}, []Pool{{"a", "u", "x"}, {"b", "v", "x"}})
	f(nil, []string{"a", "b", "c"}, []string{"u", "v"}, nil, nil)
	f(nil, []string{"a"}, []string{"u", "v"}, nil, nil)
}

func TestRefuses(t *testing.T) {
	f := func(want string, change func(*Settings)) {
		t.Helper()
		s := New()
		s.Pools = []Pool{{URL: "stratum+tcp://a:1", User: "u"}}
		change(&s)
		_, first := s.Options()
		_, second := s.Tuning()
		if err := first; err == nil && second == nil || !strings.Contains(errorText(first, second), want) {
			t.Errorf("%v %v, want %q", first, second, want)
		}
	}
	f("no pool", func(s *Settings) { s.Pools = nil })
	f("limit", func(s *Settings) { s.Limit = -1 })
	f("threads", func(s *Settings) { s.Threads = -1 })
	f("intensity", func(s *Settings) { s.Intensity = 0 })
	f("intensity", func(s *Settings) { s.Intensity = 101 })
	f("temperature", func(s *Settings) { s.Heat = 7 })
	f("exclude", func(s *Settings) { s.CA, s.Insecure = "x", true })
	f("tls_ca", func(s *Settings) { s.CA = "/nonexistent" })
	for _, list := range []string{"x", "1-", "-1", "3-2", "0,,1", "1024", "99999999"} {
		f("affinity", func(s *Settings) { s.Affinity = list })
	}
}

func errorText(errs ...error) (all string) {
	for _, err := range errs {
		if err != nil {
			all += err.Error()
		}
	}
	return all
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	s := New()
	s.CA = file
	if c, err := s.tls(); err != nil || c == nil || c.RootCAs == nil || c.InsecureSkipVerify {
		t.Errorf("%+v, %v", c, err)
	}
	write([]byte("hello"))
	if _, err := s.tls(); err == nil {
		t.Error("a file without a certificate was taken")
	}
	s = Settings{Insecure: true}
	if c, err := s.tls(); err != nil || c == nil || !c.InsecureSkipVerify {
		t.Errorf("%+v, %v", c, err)
	}
}
