package devnode

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// litecoinRegtestMagic opens every message of Litecoin's regtest network.
const litecoinRegtestMagic = "\xfa\xbf\xb5\xda"

// peerStub is the one peer that a lonely node of the Core family needs before
// its getblocktemplate answers (-9 without): it shakes hands and answers pings,
// and has no blocks. The node dials it, so it needs no free port of the node's.
//
// A message is magic (4) | command (12, zero padded) | length (4, little endian)
// | first 4 bytes of sha256d(payload) | payload.
type peerStub struct {
	listener net.Listener
	cancel   context.CancelFunc
	wg       sync.WaitGroup // accept and one serve for each connection
}

func startPeerStub() (*peerStub, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen as the node's peer: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &peerStub{listener: l, cancel: cancel}
	p.wg.Go(func() { p.accept(ctx) })
	return p, nil
}

func (p *peerStub) addr() string { return p.listener.Addr().String() }

func (p *peerStub) close() {
	p.cancel()
	p.listener.Close()
	p.wg.Wait()
}

func (p *peerStub) accept(ctx context.Context) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.wg.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			_ = servePeer(conn) // the node dials again
		})
	}
}

// servePeer speaks until the connection ends.
func servePeer(conn net.Conn) error {
	for {
		conn.SetDeadline(time.Now().Add(10 * time.Minute)) // the node pings every two
		command, payload, err := readMessage(conn)
		if err != nil {
			return err
		}
		switch command {
		case "version":
			err = writeMessage(conn, "version", versionPayload())
			if err == nil {
				err = writeMessage(conn, "verack", nil)
			}
		case "ping":
			err = writeMessage(conn, "pong", payload)
		}
		if err != nil {
			return err
		}
	}
}

// readMessage returns the payload of pings only and skips all others.
func readMessage(r io.Reader) (command string, payload []byte, err error) {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", nil, err
	}
	command = string(bytes.TrimRight(head[4:16], "\x00"))
	size := binary.LittleEndian.Uint32(head[16:])
	if string(head[:4]) != litecoinRegtestMagic || size > 4<<20 || command == "ping" && size != 8 {
		return "", nil, fmt.Errorf("peer sent no valid message")
	}
	if command != "ping" {
		_, err = io.CopyN(io.Discard, r, int64(size))
		return command, nil, err
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r, payload)
	return command, payload, err
}

func writeMessage(w io.Writer, command string, payload []byte) error {
	b := make([]byte, 24, 24+len(payload))
	copy(b, litecoinRegtestMagic)
	copy(b[4:16], command)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(payload)))
	first := sha256.Sum256(payload)
	sum := sha256.Sum256(first[:])
	copy(b[20:], sum[:4])
	_, err := w.Write(append(b, payload...))
	return err
}

// versionPayload is protocol 70015, no services, height 0, no relay.
func versionPayload() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 70015)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(time.Now().Unix()))
	b = append(b, make([]byte, 2*26)...) // both addresses unknown
	var nonce [8]byte
	rand.Read(nonce[:])
	b = append(b, nonce[:]...)
	const agent = "/adit-devnode/"
	b = append(b, byte(len(agent)))
	b = append(b, agent...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return append(b, 0)
}
