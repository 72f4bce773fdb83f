package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/worker"
	"github.com/adit-pool/adit/worker/machine"
	"github.com/adit-pool/adit/worker/monitor"
	"github.com/adit-pool/adit/worker/settings"
	"github.com/adit-pool/adit/worker/view"
)

// mineActions are what adit mine may do instead of mining.
type mineActions struct {
	list      bool
	benchmark bool
	verify    string
	time      time.Duration
}

func mineCommand() *cobra.Command {
	var (
		s                     = settings.New()
		file                  string
		pools, users, secrets []string
		actions               mineActions
	)
	cmd := &cobra.Command{
		Use:   "mine --pool stratum+tcp://host:port --user ADDRESS.worker",
		Short: "Mine for a Stratum V1 pool with this machine's processors and cards",
		Example: `  adit mine --pool stratum+tcp://127.0.0.1:3333 --user ADDRESS.rig1
  adit mine --pool stratum+ssl://pool.example:3334 --pool stratum+tcp://backup.example:3333 --user ADDRESS.rig1
  adit mine --config rig.toml
  adit mine --list-devices
  adit mine --benchmark --algorithm scrypt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				if err := loadUnderFlags(&s, file, cmd.Flags()); err != nil {
					return err
				}
			}
			if err := s.SetPools(pools, users, secrets); err != nil {
				return err
			}
			m, err := machine.Look(s.Algorithm)
			if err != nil {
				return err
			}
			defer m.Close()
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			switch {
			case actions.list:
				return listDevices(out, m)
			case actions.verify != "":
				return verifyDevice(ctx, out, m, actions)
			case actions.benchmark:
				return benchmark(ctx, out, m, &s, actions.time)
			}
			return mine(ctx, m, &s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "a TOML file with these settings; flags go over it")
	f.StringArrayVar(&pools, "pool", nil, "stratum+tcp://host:port, or stratum+ssl:// for TLS; again for each backup")
	f.StringArrayVar(&users, "user", nil, "the name to mine under, usually ADDRESS.worker; once, or once for each pool")
	f.StringArrayVar(&secrets, "password", nil, "pools read options from it, such as d=1024 (default x)")
	f.StringVar(&s.Algorithm, "algorithm", s.Algorithm, "proof of work: sha256d or scrypt")
	f.StringSliceVar(&s.Devices, "devices", nil, "devices by name, such as cpu,gpu0 (default the processor and every verified card)")
	f.IntVar(&s.Threads, "threads", 0, "search threads of the processor; 0 is one for each")
	f.StringVar(&s.Affinity, "affinity", "", "processors for the threads, in turn, such as 0,2-5")
	f.IntVar(&s.Intensity, "intensity", s.Intensity, "percent of the time that devices search")
	f.Float64Var(&s.Limit, "limit", 0, "hashes per second of all devices at most; 0 is no limit")
	f.Float64Var(&s.Heat, "temperature-limit", 0, "°C at which a device is slowed down; 0 is no limit")
	f.Float64Var(&s.Suggest, "suggest-difficulty", 0, "difficulty to suggest to the pool; 0 is none")
	f.BoolVar(&s.Rolling, "version-rolling", s.Rolling, "offer the pool to roll version bits (BIP310)")
	f.StringVar(&s.CA, "tls-ca", "", "file with the certificates to trust instead of the system's")
	f.BoolVar(&s.Insecure, "tls-insecure", false, "take any certificate: whoever sits between can steal the shares")
	f.StringVar(&s.Listen, "listen", "", "address for /status (JSON) and /metrics (Prometheus), such as :4077 on this machine only")
	f.BoolVar(&s.Plain, "plain", false, "lines instead of the live view")
	f.StringVar(&s.LogLevel, "log-level", s.LogLevel, "debug, info, warn or error")
	f.BoolVar(&actions.list, "list-devices", false, "list the devices and end")
	f.BoolVar(&actions.benchmark, "benchmark", false, "measure the devices without a pool and end")
	f.StringVar(&actions.verify, "verify-device", "", "compare a card's results with the processor's, keep the report and end")
	f.DurationVar(&actions.time, "time", 10*time.Second, "how long to measure or verify")
	cmd.MarkFlagsMutuallyExclusive("list-devices", "benchmark", "verify-device")
	return cmd
}

// loadUnderFlags reads file into s and sets the flags given anew, over it.
func loadUnderFlags(s *settings.Settings, file string, flags *pflag.FlagSet) error {
	given := map[*pflag.Flag][]string{}
	flags.Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[f] = list.GetSlice()
		} else {
			given[f] = []string{f.Value.String()}
		}
	})
	if err := s.Load(file); err != nil {
		return err
	}
	for f, values := range given {
		var err error
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = list.Replace(values)
		} else {
			err = f.Value.Set(values[0])
		}
		if err != nil {
			return fmt.Errorf("flag --%s: %w", f.Name, err)
		}
	}
	return nil
}

// mine runs the rig with a live view on a terminal, else with lines.
func mine(ctx context.Context, m *machine.Machine, s *settings.Settings) error {
	o, err := s.Options()
	if err != nil {
		return err
	}
	tuning, err := s.Tuning()
	if err != nil {
		return err
	}
	if o.Devices, err = m.Devices(s.Devices, tuning); err != nil {
		return err
	}
	o.Kernel, o.Agent = m.Kernel(), "adit/"+version
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // the view outlives the rig, to sum it up
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	var listening *monitor.Server
	if s.Listen != "" {
		if listening, err = monitor.Listen(s.Listen, o.Stats); err != nil {
			return err
		}
	}
	var show interface{ Run(context.Context) }
	screen, unwatch := (*view.Screen)(nil), func() {}
	if !s.Plain {
		screen, unwatch = view.NewScreen(os.Stdout, o.Stats)
	}
	defer unwatch()
	if screen != nil {
		o.Observer, show = screen.Event, screen
		o.Log = newLog(zerolog.ConsoleWriter{Out: screen, NoColor: true, TimeFormat: time.TimeOnly}, s.LogLevel, "")
	} else {
		plain := view.NewPlain(os.Stdout, o.Stats)
		o.Observer, show = plain.Event, plain
		o.Log = newLog(os.Stderr, s.LogLevel, "console")
	}
	for _, note := range m.Notes() {
		o.Log.Info().Msg(note)
	}
	if listening != nil {
		o.Log.Info().Stringer("address", listening.Addr()).Msg("monitor listens")
		parts.Go(func() {
			if err := listening.Run(running); err != nil {
				o.Log.Error().Str(pool.EventField, pool.EventRigEnded).Err(err).Msg("monitor ended")
			}
		})
	}
	parts.Go(func() { show.Run(running) })
	return worker.Run(ctx, o)
}

// listDevices says of each part whether it would mine.
func listDevices(out io.Writer, m *machine.Machine) error {
	for _, p := range m.Parts() {
		state := "verified"
		switch {
		case p.Off != "":
			state = "unusable: " + p.Off
		case !p.Verified:
			state = "unverified and off: adit mine --algorithm " + m.Kernel().Name() + " --verify-device " + p.Name
		case p.Name != "cpu" && p.Kind == "cpu":
			state = "verified; a processor, used only by --devices"
		}
		fmt.Fprintf(out, "%-6s %s\n       %s, %s\n", p.Name, p.Model, p.Path, state)
		if p.Driver != "" {
			fmt.Fprintf(out, "       %s, %s\n", p.Kind, p.Driver)
		}
		if p.Sensor == nil {
			continue
		}
		if r, err := p.Sensor.Read(); err == nil && r.Temperature != nil {
			fmt.Fprintf(out, "       %.0f °C\n", *r.Temperature)
		}
	}
	for _, note := range m.Notes() {
		fmt.Fprintf(out, "note   %s\n", note)
	}
	return nil
}

func verifyDevice(ctx context.Context, out io.Writer, m *machine.Machine, a mineActions) error {
	report, err := m.Verify(ctx, a.verify, a.time)
	if report.Device != "" {
		fmt.Fprintln(out, report)
	}
	return err
}

// benchmark measures the devices chosen, all together as they would mine.
func benchmark(ctx context.Context, out io.Writer, m *machine.Machine, s *settings.Settings, d time.Duration) error {
	tuning, err := s.Tuning()
	if err != nil {
		return err
	}
	devices, err := m.Devices(s.Devices, tuning)
	if err != nil {
		return err
	}
	results, err := worker.Measure(ctx, m.Kernel(), devices, time.Second, d)
	sum := 0.0
	for _, r := range results {
		fmt.Fprintf(out, "%-6s %12s  %s %s, %d errors\n", r.Name, view.Hashrate(r.Hashrate), m.Kernel().Name(), r.Path, r.Errors)
		sum += r.Hashrate
	}
	if len(results) > 1 {
		fmt.Fprintf(out, "%-6s %12s\n", "all", view.Hashrate(sum))
	}
	return err
}
