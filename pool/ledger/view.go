package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/rs/zerolog"
)

// ErrView reports a Post to a book that was opened by [View].
var ErrView = errors.New("the ledger was opened for reading only")

// View reads and checks the whole book in dir without locking or changing it: a server may be at work.
// until, when not 0, is the last entry taken in. The error names file, line and offset of damage.
func View(dir, pool string, until uint64) (*Book, error) {
	path := filepath.Join(dir, fileName)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	b := &Book{
		pool: pool, log: zerolog.Nop(), file: f, until: until,
		keys: make(map[string]key), balances: make(balances),
		docs: make(map[string]map[string]docPlace), changed: make(chan struct{}),
	}
	if err := b.load(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.term = b.head.Term
	return b, nil
}

// tornView looks at a last line without its newline: one that is being written, or was when the machine
// stopped, is left out; a whole one whose newline became something else is damage.
func (b *Book) tornView(line []byte, offset int64, path string) error {
	if n := len(line); n > 0 {
		if _, _, err := parseLine(line[:n-1], b.head.Hash); err == nil {
			return fmt.Errorf("%s line %d, offset %d: %w: byte %#02x in place of the newline", path, len(b.offsets)+1, offset+int64(n)-1, ErrEntry, line[n-1])
		}
	}
	b.torn = len(line)
	return nil
}

// Torn is how many bytes stand behind the last entry of a view: an entry that was never acknowledged.
func (b *Book) Torn() int { return b.torn }

// Path is the book's file.
func (b *Book) Path() string {
	if f, ok := b.file.(*os.File); ok {
		return f.Name()
	}
	return fileName
}

// Digest is the SHA-256 of the book's whole state in one canonical form, and the entry that it stands at.
// Two books with the same digest have the same balances and documents. The form is text, one item a line:
// "balance ACCOUNT AMOUNT" for every account ever posted to, by name, then "document SET/ID RANK SHA256"
// for every document, by set and id, the sum being that of the document's text.
func (b *Book) Digest() (Head, [32]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := sha256.New()
	for _, account := range slices.Sorted(maps.Keys(b.balances)) {
		fmt.Fprintf(h, "balance %s %d\n", account, b.balances[account])
	}
	if err := b.digestDocs(h); err != nil {
		return Head{}, [32]byte{}, err
	}
	return b.head, [32]byte(h.Sum(nil)), nil
}

func (b *Book) digestDocs(h hash.Hash) error {
	for _, set := range slices.Sorted(maps.Keys(b.docs)) {
		for _, id := range slices.Sorted(maps.Keys(b.docs[set])) {
			place := b.docs[set][id]
			r, err := b.read(place.seq)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "document %s/%s %d %x\n", set, id, place.rank, sha256.Sum256(r.Entry.Body))
		}
	}
	return nil
}
