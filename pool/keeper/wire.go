package keeper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool/ledger"
)

// Two ledger roles talk by HTTP over TLS 1.3. Each side shows an ed25519 key of its own and takes none but the
// one that was configured for the other: names, dates and authorities of certificates count for nothing. A
// call is POST /POOL/hello, head, follow, cut, files or put, and end, lines, list or get for one that only reads, with
// one JSON object each way.

// Key is a ledger role's identity towards the other.
type Key ed25519.PrivateKey

// MakeKey writes a new key, as 64 hex digits of its seed, to a file that must not exist yet.
func MakeKey(path string) (Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails: crypto/rand ends the program instead
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the ledger's key: %w", err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(seed))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("make the ledger's key: %w", err)
	}
	return Key(ed25519.NewKeyFromSeed(seed)), nil
}

// ReadKey reads a key that MakeKey wrote.
func ReadKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the ledger's key: %w", err)
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the ledger's key in %s is not 64 hex digits: make one with adit ledger key", path)
	}
	return Key(ed25519.NewKeyFromSeed(seed)), nil
}

// Public is what the other role is told, 64 hex digits.
func (k Key) Public() string {
	return hex.EncodeToString(ed25519.PrivateKey(k).Public().(ed25519.PublicKey))
}

// ParsePublic reads a public key.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q is not the 64 hex digits that adit ledger key printed", text)
	}
	return b, nil
}

// config is TLS for one side.
func (k Key) config(other ed25519.PublicKey) (*tls.Config, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ed25519.PrivateKey(k).Public(), ed25519.PrivateKey(k))
	if err != nil {
		return nil, fmt.Errorf("make the ledger's certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: ed25519.PrivateKey(k)}},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // VerifyConnection compares the key instead
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) > 0 {
				if key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && key.Equal(other) {
					return nil
				}
			}
			return ErrStranger
		},
	}, nil
}

// maxCall bounds a call: one ledger entry may be large.
const maxCall = 1 << 30

// The calls' bodies.
type (
	wireHead struct {
		Seq  uint64     `json:"seq"`
		Term uint64     `json:"term"`
		Hash ledger.Hex `json:"hash"`
	}
	wireCall struct {
		Term      uint64   `json:"term,omitempty"`
		Owner     string   `json:"owner,omitempty"`
		Seq       uint64   `json:"seq,omitempty"`
		Head      wireHead `json:"head"`
		Committed wireHead `json:"committed"`
		Lines     []byte   `json:"lines,omitempty"`
		Part      *Part    `json:"part,omitempty"`
		Name      string   `json:"name,omitempty"`
		Offset    int64    `json:"offset,omitempty"`
	}
	wireAnswer struct {
		Kind      string     `json:"kind,omitempty"` // of the error
		Error     string     `json:"error,omitempty"`
		Owner     string     `json:"owner,omitempty"`
		By        string     `json:"by,omitempty"`
		Term      uint64     `json:"term,omitempty"`
		Head      wireHead   `json:"head"`
		Committed wireHead   `json:"committed"`
		Files     []FileInfo `json:"files,omitempty"`
		Lines     []byte     `json:"lines,omitempty"`
		Part      *Part      `json:"part,omitempty"`
	}
)

func toWire(h ledger.Head) wireHead { return wireHead{h.Seq, h.Term, h.Hash[:]} }

func (w wireHead) head() (h ledger.Head, err error) {
	if len(w.Hash) == 0 && w.Seq == 0 {
		return h, nil
	}
	if len(w.Hash) != len(h.Hash) {
		return h, fmt.Errorf("a head with a hash of %d bytes", len(w.Hash))
	}
	return ledger.Head{Seq: w.Seq, Term: w.Term, Hash: [32]byte(w.Hash)}, nil
}

// kinds are the errors that mean the same on both sides.
var kinds = map[string]error{
	"term": ledger.ErrTerm, "forked": ledger.ErrForked, "behind": ledger.ErrBehind, "entry": ledger.ErrEntry,
	"busy": ErrBusy, "copied": ErrCopied, "secret": ErrSecret, "gone": os.ErrNotExist,
}

// Server answers for the keepers of one process.
type Server struct {
	http *http.Server
	done chan struct{} // closed when it has ended
}

// Serve answers on l, with one keeper a pool id, whoever has the other key.
func Serve(l net.Listener, key Key, other ed25519.PublicKey, keepers map[string]*Keeper) (*Server, error) {
	config, err := key.config(other)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for op, do := range map[string]func(context.Context, *Keeper, string, *wireCall, *wireAnswer) error{
		"hello": wireHello, "head": wireHeadAt, "follow": wireFollow, "cut": wireCut, "files": wireFiles, "put": wirePut,
		"end": wireEnd, "lines": wireLines, "list": wireList, "get": wireGet,
	} {
		mux.HandleFunc("POST /{pool}/"+op, func(w http.ResponseWriter, r *http.Request) {
			var call wireCall
			var answer wireAnswer
			k := keepers[r.PathValue("pool")]
			err := readCall(http.MaxBytesReader(w, r.Body, maxCall), &call)
			switch {
			case err != nil:
			case k == nil:
				err = fmt.Errorf("no ledger of pool %.40q here", r.PathValue("pool"))
			default:
				err = do(r.Context(), k, r.PathValue("pool"), &call, &answer)
			}
			if err != nil {
				answer.Error = err.Error()
				for kind, is := range kinds {
					if errors.Is(err, is) {
						answer.Kind = kind
					}
				}
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(&answer) // the caller is gone: nobody to tell
		})
	}
	s := &Server{
		http: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10},
		done: make(chan struct{}),
	}
	s.http.ErrorLog = log.New(io.Discard, "", 0) // strangers' handshakes are no news
	go func() {
		defer close(s.done)
		_ = s.http.Serve(tls.NewListener(l, config)) // ends by Stop
	}()
	return s, nil
}

// Stop ends the calls and the listener.
func (s *Server) Stop() error {
	err := s.http.Close()
	<-s.done
	return err
}

func readCall(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read a call of the other ledger: %w", err)
	}
	return nil
}

func wireHello(ctx context.Context, k *Keeper, pool string, call *wireCall, answer *wireAnswer) error {
	g, err := k.Hello(ctx, pool, call.Term, call.Owner)
	answer.Owner, answer.By, answer.Term = g.Owner, g.Standing.By, g.Standing.Term
	answer.Head, answer.Committed = toWire(g.Standing.Head), toWire(g.Standing.Committed)
	return err
}

func wireHeadAt(ctx context.Context, k *Keeper, _ string, call *wireCall, answer *wireAnswer) error {
	h, err := k.HeadAt(ctx, call.Seq)
	answer.Head = toWire(h)
	return err
}

func wireFollow(ctx context.Context, k *Keeper, _ string, call *wireCall, answer *wireAnswer) error {
	prev, err := call.Head.head()
	if err != nil {
		return err
	}
	committed, err := call.Committed.head()
	if err != nil {
		return err
	}
	h, err := k.Follow(ctx, Leader{call.Term, call.Owner}, prev, call.Lines, committed)
	answer.Head = toWire(h)
	return err
}

func wireCut(ctx context.Context, k *Keeper, _ string, call *wireCall, _ *wireAnswer) error {
	to, err := call.Head.head()
	if err != nil {
		return err
	}
	return k.Cut(ctx, Leader{call.Term, call.Owner}, to)
}

func wireFiles(ctx context.Context, k *Keeper, _ string, _ *wireCall, answer *wireAnswer) (err error) {
	answer.Files, err = k.Files(ctx)
	return err
}

func wirePut(ctx context.Context, k *Keeper, _ string, call *wireCall, _ *wireAnswer) error {
	if call.Part == nil {
		return errors.New("a call without the part of a file")
	}
	return k.Put(ctx, Leader{call.Term, call.Owner}, *call.Part)
}

func wireEnd(ctx context.Context, k *Keeper, _ string, _ *wireCall, answer *wireAnswer) error {
	h, err := k.End(ctx)
	answer.Head = toWire(h)
	return err
}

func wireLines(ctx context.Context, k *Keeper, _ string, call *wireCall, answer *wireAnswer) (err error) {
	answer.Lines, err = k.Lines(ctx, call.Seq)
	return err
}

func wireList(ctx context.Context, k *Keeper, _ string, _ *wireCall, answer *wireAnswer) (err error) {
	answer.Files, err = k.List(ctx)
	return err
}

func wireGet(ctx context.Context, k *Keeper, _ string, call *wireCall, answer *wireAnswer) error {
	p, err := k.Get(ctx, call.Name, call.Offset)
	answer.Part = &p
	return err
}

// Remote is the other ledger role of one pool, over the network.
type Remote struct {
	url    string
	client *http.Client
}

var (
	_ Peer   = (*Remote)(nil)
	_ Source = (*Remote)(nil)
)

// Dial returns the way to the other role; nothing is sent yet.
func Dial(addr, pool string, key Key, other ed25519.PublicKey) (*Remote, error) {
	config, err := key.config(other)
	if err != nil {
		return nil, err
	}
	return &Remote{"https://" + addr + "/" + pool + "/", &http.Client{Transport: &http.Transport{
		TLSClientConfig: config, TLSHandshakeTimeout: peerTime, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		DialContext: (&net.Dialer{Timeout: peerTime}).DialContext,
	}}}, nil
}

// Close ends idle connections.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

func (r *Remote) call(ctx context.Context, op string, call wireCall) (*wireAnswer, error) {
	body, err := json.Marshal(call)
	if err != nil {
		return nil, fmt.Errorf("call the other ledger: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+op, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call the other ledger: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the other ledger: %w", err)
	}
	defer resp.Body.Close()
	var answer wireAnswer
	if err := readCall(io.LimitReader(resp.Body, maxCall), &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		err := errors.New(answer.Error)
		if is := kinds[answer.Kind]; is != nil {
			err = fmt.Errorf("%w: %s", is, answer.Error)
		}
		return &answer, fmt.Errorf("the other ledger says: %w", err)
	}
	return &answer, nil
}

// Greet asks for nothing, so that a way that does not lead to the other ledger is found: an error that wraps
// [ErrStranger] is one of keys.
func (r *Remote) Greet(ctx context.Context) error {
	_, err := r.call(ctx, "end", wireCall{})
	var refused *net.OpError
	switch {
	case errors.As(err, &refused) && refused.Op == "remote error": // an alert of TLS, if it arrives before the end
		return fmt.Errorf("%w: it refuses this ledger's key: %w", ErrStranger, err)
	case errors.Is(err, ErrBusy): // it is there
		return nil
	}
	return err
}

// Hello implements [Peer].
func (r *Remote) Hello(ctx context.Context, _ string, term uint64, owner string) (g Greeting, err error) {
	answer, err := r.call(ctx, "hello", wireCall{Term: term, Owner: owner})
	if answer == nil {
		return g, err
	}
	g.Owner, g.Standing.By, g.Standing.Term = answer.Owner, answer.By, answer.Term
	var err1, err2 error
	g.Standing.Head, err1 = answer.Head.head()
	g.Standing.Committed, err2 = answer.Committed.head()
	return g, errors.Join(err, err1, err2)
}

// HeadAt implements [Peer].
func (r *Remote) HeadAt(ctx context.Context, seq uint64) (ledger.Head, error) {
	return headOf(r.call(ctx, "head", wireCall{Seq: seq}))
}

// Follow implements [Peer].
func (r *Remote) Follow(ctx context.Context, by Leader, prev ledger.Head, lines []byte, committed ledger.Head) (ledger.Head, error) {
	return headOf(r.call(ctx, "follow", wireCall{Term: by.Term, Owner: by.Owner, Head: toWire(prev), Lines: lines, Committed: toWire(committed)}))
}

func headOf(answer *wireAnswer, err error) (ledger.Head, error) {
	if err != nil {
		return ledger.Head{}, err
	}
	return answer.Head.head()
}

// Cut implements [Peer].
func (r *Remote) Cut(ctx context.Context, by Leader, to ledger.Head) error {
	_, err := r.call(ctx, "cut", wireCall{Term: by.Term, Owner: by.Owner, Head: toWire(to)})
	return err
}

// Files implements [Peer].
func (r *Remote) Files(ctx context.Context) ([]FileInfo, error) {
	answer, err := r.call(ctx, "files", wireCall{})
	if err != nil {
		return nil, err
	}
	return answer.Files, nil
}

// Put implements [Peer].
func (r *Remote) Put(ctx context.Context, by Leader, p Part) error {
	_, err := r.call(ctx, "put", wireCall{Term: by.Term, Owner: by.Owner, Part: &p})
	return err
}

// End implements [Source].
func (r *Remote) End(ctx context.Context) (ledger.Head, error) {
	return headOf(r.call(ctx, "end", wireCall{}))
}

// Lines implements [Source].
func (r *Remote) Lines(ctx context.Context, after uint64) ([]byte, error) {
	answer, err := r.call(ctx, "lines", wireCall{Seq: after})
	if err != nil {
		return nil, err
	}
	return answer.Lines, nil
}

// List implements [Source].
func (r *Remote) List(ctx context.Context) ([]FileInfo, error) {
	answer, err := r.call(ctx, "list", wireCall{})
	if err != nil {
		return nil, err
	}
	return answer.Files, nil
}

// Get implements [Source].
func (r *Remote) Get(ctx context.Context, name string, offset int64) (Part, error) {
	answer, err := r.call(ctx, "get", wireCall{Name: name, Offset: offset})
	switch {
	case err != nil:
		return Part{}, err
	case answer.Part == nil:
		return Part{}, errors.New("an answer without the part of a file")
	}
	return *answer.Part, nil
}
