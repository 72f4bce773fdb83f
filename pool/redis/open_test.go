package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/journal"
)

func TestOpenChecksDurability(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		fix  string // in the error; "" when the server will do
		warn string
	}{
		{"append only", []string{"--appendonly", "yes"}, "", ""},
		{"snapshots", []string{"--save", "60 1"}, "", "appendonly yes"},
		{"nothing", []string{"--appendonly", "no"}, "CONFIG SET appendonly yes", ""},
		{"evicting", []string{"--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"}, "CONFIG SET maxmemory-policy noeviction", ""},
		{"evicting what expires", []string{"--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"}, "noeviction", ""},
		{"no CONFIG", []string{"--appendonly", "yes", "--rename-command", "CONFIG", ""}, "", "does not let adit read"},
		{"CONFIG not permitted", []string{"--appendonly", "yes", "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-config"}, "", "does not let adit read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startReal(t, c.args...)
			var log bytes.Buffer
			r, err := Open(t.Context(), Options{URL: s.url, Log: zerolog.New(&log)})
			if err == nil {
				r.Close()
			}
			switch {
			case c.fix == "" && err != nil:
				t.Fatal(err)
			case c.fix != "" && (!errors.Is(err, ErrVolatile) || !strings.Contains(err.Error(), c.fix)):
				t.Fatalf("error is %v, want one with %q", err, c.fix)
			case !strings.Contains(log.String(), c.warn) || c.warn == "" && log.Len() > 0:
				t.Fatalf("log is %q, want %q", log.String(), c.warn)
			}
			r, err = Open(t.Context(), Options{URL: s.url, AllowVolatile: true, Log: zerolog.Nop()})
			must(t, err)
			r.Close()
		})
	}
}

func TestOpenUnreachable(t *testing.T) {
	url := fmt.Sprintf("redis://u:secret@127.0.0.1:%d", freePort(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Open(ctx, Options{URL: url, Log: zerolog.Nop()})
	if err == nil || strings.Contains(err.Error(), "secret") || ctx.Err() != nil {
		t.Fatalf("error is %v", err)
	}
}

func TestOpenSentinel(t *testing.T) {
	master := startReal(t, durable...)
	addr := strings.TrimPrefix(master.url, "redis://")
	host, port, _ := strings.Cut(addr, ":")
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor main %s %s 1\n", host, port), 0o600))
	sentinel := startReal(t, "sentinel", conf)
	r, err := Open(t.Context(), Options{URL: "redis+sentinel" + strings.TrimPrefix(sentinel.url, "redis") + "/main", Log: zerolog.Nop()})
	must(t, err)
	defer r.Close()
	p, err := r.Pool(t.Context(), "main", "")
	must(t, err)
	if got := master.raw.HGet(t.Context(), p.k.meta(), "identity").Val(); got != p.Identity() {
		t.Fatalf("master holds identity %q, want %q", got, p.Identity())
	}
}

func TestIdentity(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		r := s.open(t)
		p, err := r.Pool(ctx, "main", "")
		must(t, err)
		again, err := r.Pool(ctx, "main", p.Identity())
		must(t, err)
		if again.Identity() != p.Identity() || len(p.Identity()) < 32 {
			t.Fatalf("identity went from %q to %q", p.Identity(), again.Identity())
		}
		if other, err := r.Pool(ctx, "other", ""); err != nil || other.Identity() == p.Identity() {
			t.Fatalf("another pool has %q, %v", other.Identity(), err)
		}
		must(t, p.Health(ctx))
		if _, err := r.Pool(ctx, "main", "somebody else"); !errors.Is(err, ErrWrongServer) {
			t.Fatalf("a wrong server was opened: %v", err)
		}
		for _, id := range []string{"", "Main", "a:b", "a}", "x/y", strings.Repeat("a", 33)} {
			if _, err := r.Pool(ctx, id, ""); err == nil {
				t.Errorf("pool id %q was taken", id)
			}
		}

		// the server is emptied while the pool runs: the next write makes it the same one again
		s.flush(t)
		must(t, p.Health(ctx))
		must(t, p.PublishCandidate(ctx, candidate(1)))
		if got := s.raw.HGetAll(ctx, p.k.meta()).Val(); got["identity"] != p.Identity() || got["format"] != formatVersion {
			t.Fatalf("meta is %v after a loss", got)
		}

		// the address leads to another server while the pool runs: nothing is written there
		must(t, s.raw.HSet(ctx, p.k.meta(), "identity", "another").Err())
		before := s.raw.Keys(ctx, "*").Val()
		if err := p.Health(ctx); !errors.Is(err, ErrWrongServer) {
			t.Fatalf("health is %v", err)
		}
		b := newBook()
		b.credits(1, 1)
		_, appendErr := p.Append(ctx, "e", 1, 0, []journal.Block{entry(0, 1, []byte("x"))})
		_, leaseErr := p.Acquire(ctx, "A")
		for what, err := range map[string]error{"append": appendErr, "lease": leaseErr,
			"candidate": p.PublishCandidate(ctx, candidate(2)), "ack": p.AckCandidate(ctx, "1-0"),
			"mirror": b.rollForward(ctx, p), "trim": p.Trim(ctx, toyStream, 1)} {
			if !errors.Is(err, ErrWrongServer) {
				t.Errorf("%s on a wrong server: %v", what, err)
			}
		}
		if after := s.raw.Keys(ctx, "*").Val(); len(after) != len(before) {
			t.Errorf("keys went from %q to %q", before, after)
		}

		must(t, s.raw.HSet(ctx, poolKeys("newer").meta(), "format", "9").Err())
		if _, err := r.Pool(ctx, "newer", ""); !errors.Is(err, ErrFormat) {
			t.Fatalf("data of a newer version was opened: %v", err)
		}
	})
}

// TestEmbeddedExpires makes sure that time passes in the in-process Redis.
func TestEmbeddedExpires(t *testing.T) {
	s := startEmbedded(t)
	must(t, s.raw.Set(t.Context(), "k", "v", 20*time.Millisecond).Err())
	eventually(t, "a key expires", func() bool { return s.raw.Exists(t.Context(), "k").Val() == 0 })
}

func TestEmbeddedCloses(t *testing.T) {
	e, err := StartEmbedded()
	must(t, err)
	r, err := Open(t.Context(), Options{URL: e.URL(), AllowVolatile: true, Log: zerolog.Nop()})
	must(t, err)
	defer r.Close()
	p, err := r.Pool(t.Context(), "main", "")
	must(t, err)
	e.Close()
	if err := p.Health(t.Context()); err == nil {
		t.Fatal("a closed server answers")
	}
}
