package edge

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
	"github.com/adit-pool/adit/pool/journal"
)

const (
	recordVersion = 1 + format.Raise
	recordSuffix  = ".candidate"
	tmpSuffix     = ".tmp"
	maxRecord     = 64 << 20 // bytes of a record file
)

// record is the first line of a candidate's file.
type record struct {
	Version   int            `json:"version"`
	Candidate pool.Candidate `json:"candidate"`
	// Journalled says that Candidate.Share.Seq is final; before that a restart looks the share up.
	Journalled bool `json:"journalled"`
	// Result is what the nodes said in the end, "" while they are still asked.
	Result  string       `json:"result"`
	Settled bool         `json:"settled"` // the ledger has it
	Nodes   []nodeAnswer `json:"nodes"`
}

// nodeAnswer is the last word of one node.
type nodeAnswer struct {
	Name     string `json:"name"`
	Result   string `json:"result"`
	Reason   string `json:"reason,omitempty"`
	Attempts int    `json:"attempts"`
	final    bool   // asked no more
	result   pool.SubmitResult
}

// encode writes the two lines. blockHex is kept between calls.
func (r *record) encode(blockHex []byte) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(line)+len(blockHex)+2)
	out = append(append(out, line...), '\n')
	return append(append(out, blockHex...), '\n'), nil
}

// decodeRecord reads a file's content; every part must be there.
func decodeRecord(content []byte) (r record, block []byte, err error) {
	line, rest, ok := bytes.Cut(content, []byte{'\n'})
	digits, end, whole := bytes.Cut(rest, []byte{'\n'})
	if !ok || !whole || len(end) > 0 {
		return r, nil, errors.New("candidate record is not two whole lines")
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, nil, fmt.Errorf("candidate record: %w", err)
	}
	if r.Version < 1 || r.Version > recordVersion {
		return r, nil, fmt.Errorf("candidate record of version %d, this program reads 1 to %d", r.Version, recordVersion)
	}
	block = make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(block, digits); err != nil {
		return r, nil, fmt.Errorf("candidate record: block: %w", err)
	}
	return r, block, nil
}

// recordFile is a candidate's place on disk.
type recordFile struct {
	mu       sync.Mutex // guards all below, and the file
	revision uint64     // newest one written
	removed  bool
}

// write replaces the file unless a newer revision stands there, or it was removed.
func (f *recordFile) write(fs journal.FS, dir, name string, revision uint64, content []byte, written func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removed || revision <= f.revision {
		return nil
	}
	f.revision = revision
	return writeRecord(fs, dir, name, content, written)
}

// remove deletes the file for good.
func (f *recordFile) remove(fs journal.FS, dir, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removed = true
	return fs.Remove(dir + "/" + name)
}

// writeRecord writes a file whole or not at all. written, which may be nil, is called as soon as
// write(2) has returned, before anything is synced.
func writeRecord(fs journal.FS, dir, name string, content []byte, written func()) error {
	f, err := fs.Open(dir+"/"+name+tmpSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if written != nil {
		written()
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(dir+"/"+name+tmpSuffix, dir+"/"+name); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// readRecords returns what is in dir. A record that was being replaced counts in its old form; one that
// was written for the first time counts when it is whole. What cannot be read is handed to damaged.
func readRecords(fs journal.FS, dir string, found func(r record, block []byte), damaged func(path string, err error)) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	have := make(map[string]bool)
	for _, tmp := range []bool{false, true} {
		for _, file := range names {
			name := strings.TrimSuffix(file, tmpSuffix)
			if (name != file) != tmp || !strings.HasSuffix(name, recordSuffix) || have[name] {
				continue
			}
			r, block, err := readRecord(fs, dir+"/"+file)
			if err == nil && r.Candidate.Hash.String()+recordSuffix != name {
				err = fmt.Errorf("names block %v", r.Candidate.Hash)
			}
			if err != nil {
				damaged(dir+"/"+file, err)
				continue
			}
			have[name] = true
			found(r, block)
		}
	}
	return nil
}

func readRecord(fs journal.FS, path string) (r record, block []byte, err error) {
	f, err := fs.Open(path, os.O_RDONLY)
	if err != nil {
		return r, nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return r, nil, err
	}
	if size > maxRecord {
		return r, nil, fmt.Errorf("candidate record has %d bytes", size)
	}
	content := make([]byte, size)
	if _, err := f.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return r, nil, err
	}
	return decodeRecord(content)
}
