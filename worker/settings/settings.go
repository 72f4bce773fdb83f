// Package settings is what a rig's owner chooses, by flags or in a small TOML
// file with the same names, and its checks.
package settings

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/adit-pool/adit/worker"
	"github.com/adit-pool/adit/worker/machine"
)

// Settings are those of adit mine. New has the defaults.
type Settings struct {
	Pools     []Pool   `toml:"pool"`
	Algorithm string   `toml:"algorithm"`
	Devices   []string `toml:"devices"`   // names; empty: the processor and every verified card
	Threads   int      `toml:"threads"`   // of the processor; 0: one for each CPU
	Affinity  string   `toml:"affinity"`  // CPUs for the threads, such as "0,2-5"
	Intensity int      `toml:"intensity"` // percent of the time
	Limit     float64  `toml:"limit"`     // hashes per second of all devices; 0: none
	Heat      float64  `toml:"temperature_limit"`
	Suggest   float64  `toml:"suggest_difficulty"`
	Rolling   bool     `toml:"version_rolling"`
	CA        string   `toml:"tls_ca"`       // file
	Insecure  bool     `toml:"tls_insecure"` // take any certificate
	Listen    string   `toml:"listen"`
	Plain     bool     `toml:"plain"`
	LogLevel  string   `toml:"log_level"`
}

// Pool is where to mine and as whom.
type Pool struct {
	URL      string `toml:"url"`
	User     string `toml:"user"`
	Password string `toml:"password"`
}

// New has the defaults.
func New() Settings {
	return Settings{Algorithm: "sha256d", Intensity: 100, Rolling: true, LogLevel: "warn"}
}

// Load reads a file over what s has. An unknown name is an error with its line.
func (s *Settings) Load(file string) error {
	const most = 1 << 20
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if len(text) > most {
		return fmt.Errorf("read settings: %s is larger than %d bytes", file, most)
	}
	return s.parse(file, text)
}

func (s *Settings) parse(file string, text []byte) error {
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	err := d.Decode(s)
	if err == nil {
		return nil
	}
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		row, _ := unknown.Errors[0].Position()
		return fmt.Errorf("%s:%d: unknown setting %q", file, row, strings.Join(unknown.Errors[0].Key(), "."))
	case errors.As(err, &wrong):
		row, _ := wrong.Position()
		return fmt.Errorf("%s:%d: %w", file, row, err)
	}
	return fmt.Errorf("%s: %w", file, err)
}

// SetPools sets the pools from flags: the first user and password are for all
// pools that have none of their own.
func (s *Settings) SetPools(urls, users, passwords []string) error {
	if len(urls) > 0 {
		s.Pools = nil
		for _, u := range urls {
			s.Pools = append(s.Pools, Pool{URL: u})
		}
	}
	set := func(flag string, values []string, at func(*Pool) *string) error {
		if len(values) > 0 && len(values) != 1 && len(values) != len(s.Pools) {
			return fmt.Errorf("%d times --%s for %d pools: give it once, or once for each", len(values), flag, len(s.Pools))
		}
		for i := range s.Pools {
			if len(values) > 0 {
				*at(&s.Pools[i]) = values[min(i, len(values)-1)]
			}
		}
		return nil
	}
	return errors.Join(
		set("user", users, func(p *Pool) *string { return &p.User }),
		set("password", passwords, func(p *Pool) *string { return &p.Password }),
	)
}

// Tuning is how to use the devices.
func (s *Settings) Tuning() (machine.Tuning, error) {
	cpus, err := parseCPUs(s.Affinity)
	switch {
	case err != nil:
		return machine.Tuning{}, err
	case s.Threads < 0 || s.Threads > 4096:
		return machine.Tuning{}, fmt.Errorf("threads %d, want 1 to 4096, or 0 for one a processor", s.Threads)
	case s.Intensity < 1 || s.Intensity > 100:
		return machine.Tuning{}, fmt.Errorf("intensity %d, want 1 to 100 percent", s.Intensity)
	case s.Heat < 0 || math.IsNaN(s.Heat) || s.Heat > 0 && s.Heat < 30:
		return machine.Tuning{}, fmt.Errorf("temperature limit %v °C, want 30 or more, or 0 for none", s.Heat)
	}
	return machine.Tuning{Threads: s.Threads, CPUs: cpus, Intensity: s.Intensity, Limit: s.Heat}, nil
}

// Options are those for worker.Run but for what runs: kernel, devices, statistics,
// agent, log and observer.
func (s *Settings) Options() (worker.Options, error) {
	if len(s.Pools) == 0 {
		return worker.Options{}, errors.New("no pool: give --pool stratum+tcp://host:port and --user ADDRESS.worker")
	}
	if math.IsNaN(s.Limit) || s.Limit < 0 {
		return worker.Options{}, fmt.Errorf("limit %v hashes per second, want a number above zero", s.Limit)
	}
	config, err := s.tls()
	if err != nil {
		return worker.Options{}, err
	}
	first := s.Pools[0]
	o := worker.Options{
		Pool: first.URL, User: first.User, Password: first.Password,
		TLS: config, Suggest: s.Suggest, NoRolling: !s.Rolling, Stats: new(worker.Stats),
	}
	for _, p := range s.Pools[1:] {
		o.Backups = append(o.Backups, worker.Pool{URL: p.URL, User: p.User, Password: p.Password})
	}
	if s.Limit > 0 {
		o.Limit = worker.NewLimit(s.Limit)
	}
	return o, nil
}

// tls is nil for the system's certificates.
func (s *Settings) tls() (*tls.Config, error) {
	switch {
	case s.CA != "" && s.Insecure:
		return nil, errors.New("tls_ca and tls_insecure exclude one another")
	case s.Insecure:
		return &tls.Config{InsecureSkipVerify: true}, nil // the owner asked for it
	case s.CA == "":
		return nil, nil
	}
	text, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, fmt.Errorf("read tls_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read tls_ca: %s holds no certificate in PEM", s.CA)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// parseCPUs reads "0,2-5"; empty is nil.
func parseCPUs(list string) ([]int, error) {
	const most = 1024 // processors that Linux' usual mask has
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.ParseUint(low, 10, 16)
		to := from
		if err == nil && ranged {
			to, err = strconv.ParseUint(high, 10, 16)
		}
		if err != nil || to < from || to >= most {
			return nil, fmt.Errorf("affinity %q: %q is neither a processor nor a range of them, such as 0,2-5", list, part)
		}
		for n := from; n <= to; n++ {
			cpus = append(cpus, int(n))
		}
	}
	return cpus, nil
}
