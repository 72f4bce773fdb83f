package stratum

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// banFile is the file's content.
type banFile struct {
	Version int          `json:"version"`
	Bans    []Ban        `json:"bans"`
	Known   []netip.Addr `json:"known"` // with a proven hashrate: after a restart too all their rigs get in
}

const (
	banFileVersion = 1
	maxKnownSaved  = 1 << 14
	maxBanFile     = 16 << 20
)

// Close writes what is not written yet.
func (b *Bans) Close() error {
	b.mu.Lock()
	b.dirty = true // addresses may have been met since
	b.mu.Unlock()
	return b.save(0)
}

// save replaces the file if it is older than age.
func (b *Bans) save(age time.Duration) error {
	if b.opts.File == "" {
		return nil
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	now := time.Now()
	if now.Sub(b.saved) < age {
		return nil
	}
	doc := banFile{Version: banFileVersion}
	b.known.each(func(ip netip.Addr, a acquaintance) bool {
		if a.proven {
			doc.Known = append(doc.Known, ip)
		}
		return len(doc.Known) < maxKnownSaved
	})
	b.mu.Lock()
	dirty := b.dirty
	doc.Bans, b.dirty = b.list(now), false
	b.mu.Unlock()
	if !dirty {
		return nil
	}
	text, err := json.Marshal(doc)
	if err == nil {
		err = replaceFile(b.opts.File, append(text, '\n'))
	}
	if err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("write bans: %w", err)
	}
	b.saved = now
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.new")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// load reads the file; none is no bans.
func (b *Bans) load(now time.Time) error {
	f, err := os.Open(b.opts.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var doc banFile
	if err := json.NewDecoder(io.LimitReader(f, maxBanFile)).Decode(&doc); err != nil {
		return fmt.Errorf("%s: %w (move it away to start without bans)", b.opts.File, err)
	}
	if doc.Version != banFileVersion {
		return fmt.Errorf("%s has version %d, this release knows %d", b.opts.File, doc.Version, banFileVersion)
	}
	for _, ban := range doc.Bans {
		if ban.Prefix.IsValid() && now.Before(ban.Until) {
			ban.Prefix = plainPrefix(ban.Prefix)
			if err := b.add(ban, now); err != nil {
				return err
			}
		}
	}
	for _, ip := range doc.Known {
		b.known.put(ip, acquaintance{authorized: true, proven: true})
	}
	return nil
}

// WriteNFTables writes the bans of whole addresses as commands for nft -f: two sets of table inet adit,
// banned4 and banned6, each element with the time that is left, for a rule such as
//
//	ip saddr @banned4 tcp dport 3333 drop
func (b *Bans) WriteNFTables(w io.Writer) error {
	now := time.Now()
	text := "add table inet adit\n" +
		"add set inet adit banned4 { type ipv4_addr; flags interval,timeout; auto-merge; }\n" +
		"add set inet adit banned6 { type ipv6_addr; flags interval,timeout; auto-merge; }\n" +
		"flush set inet adit banned4\nflush set inet adit banned6\n"
	for _, ban := range b.List() {
		if ban.Account != nil {
			continue
		}
		set := "banned4"
		if ban.Prefix.Addr().Is6() {
			set = "banned6"
		}
		text += fmt.Sprintf("add element inet adit %s { %s timeout %ds }\n", set, ban.Prefix, max(1, int(ban.Until.Sub(now).Seconds())))
	}
	_, err := io.WriteString(w, text)
	return err
}
