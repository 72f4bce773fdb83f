package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/adit-pool/adit/pool"
)

// Lock is what a key file is encrypted to: a passphrase, or an age identity file. One of them is set.
type Lock struct {
	Passphrase   string
	IdentityFile string // of AGE-SECRET-KEY-1 lines

	work int // scrypt work factor as a power of two, 0 for age's own; set by tests
}

// ErrLocked reports a passphrase or identity that does not open a key file.
var ErrLocked = errors.New("wrong passphrase or identity for this key file")

// maxKeyFile bounds key and identity files, bytes.
const maxKeyFile = 64 << 10

// CreateKey makes a random key, writes it to path, encrypted by age (https://age-encryption.org/v1) and
// readable by the owner alone, and returns it. A file that exists is never overwritten. With an identity
// file that does not exist, one is made, mode 0600: whoever has both files has the money.
func CreateKey(path string, params *pool.Params, typ KeyType, lock Lock) (*Key, error) {
	k, err := newKey(params, typ)
	if err != nil {
		return nil, err
	}
	plain, err := k.marshal()
	if err != nil {
		return nil, err
	}
	if err := seal(path, plain, lock); err != nil {
		return nil, err
	}
	return OpenKey(path, params, lock) // what cannot be read back is of no use
}

// seal encrypts a key into a new file.
func seal(path string, plain []byte, lock Lock) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("make key file %s: %w: it may be the only way to what it opens, move it away by hand", path, os.ErrExist)
	}
	recipient, err := lock.recipient()
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	text := armor.NewWriter(&sealed)
	w, err := age.Encrypt(text, recipient)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = errors.Join(w.Close(), text.Close())
	}
	if err != nil {
		return fmt.Errorf("encrypt key file: %w", err)
	}
	if err := writeNew(path, sealed.Bytes()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}

// OpenKey decrypts a key file. It fails with [ErrLocked] when the lock does not fit and with [ErrKeyFile]
// when the key is for another coin or network.
func OpenKey(path string, params *pool.Params, lock Lock) (*Key, error) {
	plain, err := unseal(path, lock)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(plain, params)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// unseal decrypts a key file.
func unseal(path string, lock Lock) ([]byte, error) {
	sealed, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	identities, err := lock.identities()
	if err != nil {
		return nil, err
	}
	plain, err := decrypt(sealed, identities)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return plain, nil
}

func decrypt(sealed []byte, identities []age.Identity) ([]byte, error) {
	var r io.Reader = bytes.NewReader(sealed)
	if bytes.HasPrefix(bytes.TrimLeft(sealed, " \t\r\n"), []byte(armor.Header)) {
		r = armor.NewReader(r)
	}
	opened, err := age.Decrypt(r, identities...)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return nil, ErrLocked
	case err != nil:
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(opened, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return plain, nil
}

// recipient is what the lock encrypts to.
func (l Lock) recipient() (age.Recipient, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Passphrase != "" {
		r, err := age.NewScryptRecipient(l.Passphrase)
		if err != nil {
			return nil, fmt.Errorf("use passphrase: %w", err)
		}
		if l.work != 0 {
			r.SetWorkFactor(l.work)
		}
		return r, nil
	}
	if _, err := os.Lstat(l.IdentityFile); errors.Is(err, os.ErrNotExist) {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, fmt.Errorf("make identity: %w", err)
		}
		text := fmt.Sprintf("# opens the payout key; keep it apart from the key file\n# public key: %s\n%s\n", id.Recipient(), id)
		if err := writeNew(l.IdentityFile, []byte(text)); err != nil {
			return nil, fmt.Errorf("write identity file: %w", err)
		}
		return id.Recipient(), nil
	}
	identities, err := l.identities()
	if err != nil {
		return nil, err
	}
	for _, id := range identities {
		if x, ok := id.(*age.X25519Identity); ok {
			return x.Recipient(), nil
		}
	}
	return nil, fmt.Errorf("identity file %s holds no AGE-SECRET-KEY-1 line", l.IdentityFile)
}

// identities are what the lock decrypts with.
func (l Lock) identities() ([]age.Identity, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Passphrase != "" {
		id, err := age.NewScryptIdentity(l.Passphrase)
		if err != nil {
			return nil, fmt.Errorf("use passphrase: %w", err)
		}
		return []age.Identity{id}, nil
	}
	text, err := readLimited(l.IdentityFile)
	if err != nil {
		return nil, fmt.Errorf("read identity file: %w", err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		// age's error may repeat the line
		return nil, fmt.Errorf("identity file %s is not a list of AGE-SECRET-KEY-1 lines", l.IdentityFile)
	}
	return ids, nil
}

func (l Lock) check() error {
	if (l.Passphrase == "") == (l.IdentityFile == "") {
		return errors.New("a key file needs a passphrase or an identity file, one of them")
	}
	return nil
}

// writeNew writes a file that must not exist, mode 0600, durably and in one step: after a crash it is
// whole or not there.
func writeNew(path string, content []byte) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+name+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // fails when path exists
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(b) > maxKeyFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	return b, err
}
