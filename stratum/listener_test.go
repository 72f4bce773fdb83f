package stratum_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
	"github.com/rs/zerolog"
)

// writeCertificate puts a self-signed certificate for 127.0.0.1 with a serial number into dir.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "pool"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func withTLS(t *testing.T, only bool) func(*stratum.Options) {
	t.Helper()
	cert, err := stratum.OpenCertificate(firstOf(writeCertificate(t, t.TempDir(), 1)))
	if err != nil {
		t.Fatal(err)
	}
	return func(o *stratum.Options) { o.TLS, o.TLSOnly = cert.Config(), only }
}

func firstOf(cert, key string) (string, string, zerolog.Logger) { return cert, key, zerolog.Nop() }

func dialTLS(t *testing.T, addr string) *stratumtest.Client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return stratumtest.NewClient(t, tls.Client(nc, &tls.Config{InsecureSkipVerify: true})) // self-signed
}

// One port takes TLS and plain text.
func TestTLSAndPlain(t *testing.T) {
	s, p := serve(t, withTLS(t, false))
	for _, c := range []*stratumtest.Client{dialTLS(t, s.Addr), stratumtest.Dial(t, s.Addr)} {
		c.Open("testa")
		accepted(c, c.Find(&c.Rig.Job))
		p.Refresh()
		c.Expect(stratumtest.Notify)
	}
	if n := len(p.Shares()); n != 2 {
		t.Errorf("%d shares", n)
	}
	c := dialTLS(t, s.Addr) // drained like any other
	c.Open("testb")
	s.Stop(t)
	c.Closed()
}

func TestTLSOnly(t *testing.T) {
	s, _ := serve(t, withTLS(t, true))
	dialTLS(t, s.Addr).Open("testa")
	c := stratumtest.Dial(t, s.Addr)
	io.WriteString(c, "{}\n")
	c.Closed()
	closed(t, s.Server, stratum.CloseNoTLS)
	c = stratumtest.Dial(t, s.Addr) // a record, and then none that is TLS
	io.WriteString(c, "\x16\x03\x01\x00\x05hello")
	c.Closed()
	if _, err := stratum.New(stratum.Options{Pool: stratumtest.NewPool(pool.SchemePPLNS, false), Dialect: v1.New(), Limits: stratumtest.Limits(), TLSOnly: true}); err == nil {
		t.Error("TLS without a certificate")
	}
}

// A new certificate is used without a restart; a broken one leaves the old one in use.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, 1)
	synctest.Test(t, func(t *testing.T) {
		c, err := stratum.OpenCertificate(certFile, keyFile, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		f := func(want int64) {
			t.Helper()
			time.Sleep(6 * time.Second)
			got, err := c.Config().GetCertificate(nil)
			if err != nil || got.Leaf.SerialNumber.Int64() != want {
				t.Errorf("serial %v, %v; want %d", got.Leaf.SerialNumber, err, want)
			}
		}
		f(1)
		writeCertificate(t, dir, 2)
		f(2)
		if err := os.WriteFile(certFile, []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		f(2)
		os.Remove(keyFile)
		f(2)
		writeCertificate(t, dir, 3)
		f(3)
	})
	if _, err := stratum.OpenCertificate(filepath.Join(dir, "none"), keyFile, zerolog.Nop()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// P2: a handshake that does not come to its end is not waited for.
func TestTLSDeadline(t *testing.T) {
	s, _ := serve(t, withTLS(t, false), func(o *stratum.Options) { o.Handshake = 50 * time.Millisecond })
	for i, begin := range []string{"", "\x16", "\x16\x03\x01\x01\x00"} {
		c := stratumtest.Dial(t, s.Addr)
		io.WriteString(c, begin)
		c.Closed()
		await(t, func() bool { return s.Stats().Closed["handshake-timeout"] == uint64(i+1) }, func() string {
			return fmt.Sprintf("after %q: %v", begin, s.Stats().Closed)
		})
	}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func fromProxies(o *stratum.Options) { o.ProxyFrom = loopback }

// behind connects through a proxy for a source address.
func behind(t *testing.T, addr, source string) *stratumtest.Client {
	t.Helper()
	c := stratumtest.Dial(t, addr)
	family, to := "TCP4", "192.0.2.1"
	if netip.MustParseAddr(source).Is6() {
		family, to = "TCP6", "2001:db8::1"
	}
	fmt.Fprintf(c, "PROXY %s %s %s 5555 3333\r\n", family, source, to)
	return c
}

func proxyV2(command byte, source, to netip.AddrPort, extra int) []byte {
	family := byte(0x11)
	if source.Addr().Is6() {
		family = 0x21
	}
	var body []byte
	body = append(body, source.Addr().AsSlice()...)
	body = append(body, to.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, source.Port())
	body = binary.BigEndian.AppendUint16(body, to.Port())
	body = append(body, make([]byte, extra)...)
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// Behind a trusted proxy an address counts that the header names: once, first, in both versions, before
// TLS, in one packet with the first line or byte by byte.
func TestProxyHeader(t *testing.T) {
	s, _ := serve(t, fromProxies, withTLS(t, false), func(o *stratum.Options) { o.MaxPerIP = 1 })
	behind(t, s.Addr, "198.51.100.7").Open("testa")
	behind(t, s.Addr, "198.51.100.8").Open("testa")
	behind(t, s.Addr, "198.51.100.7").Closed()
	closed(t, s.Server, stratum.ClosePerIP)
	behind(t, s.Addr, "2001:db8:1:2::1").Open("testa") // a /64 counts as one
	behind(t, s.Addr, "2001:db8:1:3::1").Open("testa")
	behind(t, s.Addr, "2001:db8:1:2::2").Closed()

	to := netip.MustParseAddrPort("192.0.2.1:3333")
	c := stratumtest.Dial(t, s.Addr)
	for _, b := range proxyV2(1, netip.MustParseAddrPort("198.51.100.9:5555"), to, 300) {
		c.Write([]byte{b})
	}
	c.Open("testa")
	c = stratumtest.Dial(t, s.Addr)
	c.Write(proxyV2(1, netip.MustParseAddrPort("198.51.100.9:5555"), to, 0))
	c.Closed()
	c = stratumtest.Dial(t, s.Addr) // the proxy's own: nothing is counted for loopback
	c.Write(append(proxyV2(0, netip.MustParseAddrPort("198.51.100.9:5555"), to, 0), `{"id":8,"method":"mining.ping"}`+"\n"...))
	c.Expect(`{"id":8,"result":"pong","error":null}`)
	c.Open("testa")
	c = stratumtest.Dial(t, s.Addr)
	io.WriteString(c, "PROXY UNKNOWN\r\n")
	c.Open("testa")

	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(nc, "PROXY TCP4 198.51.100.20 192.0.2.1 1 2\r\n")
	stratumtest.NewClient(t, tls.Client(nc, &tls.Config{InsecureSkipVerify: true})).Open("testa")

	for _, bad := range []string{"{}\n", "PROXY TCP4 198.51.100.7\r\n", "PROXY TCP4 198.51.100.300 192.0.2.1 1 2\r\n", "\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x00"} {
		before := s.Stats().Closed["no-proxy"]
		c := stratumtest.Dial(t, s.Addr)
		io.WriteString(c, bad)
		c.Closed()
		await(t, func() bool { return s.Stats().Closed["no-proxy"] == before+1 }, func() string { return fmt.Sprintf("%q: %v", bad, s.Stats().Closed) })
	}
}

// P10: who is no trusted proxy cannot speak for another address: the header is a line that is no request.
func TestProxySpoof(t *testing.T) {
	s, _ := serve(t, func(o *stratum.Options) { o.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	c := behind(t, s.Addr, "198.51.100.7")
	c.Expect(`{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	c.Open("testa")

	s, _ = serve(t, fromProxies, func(o *stratum.Options) { o.MaxPerIP = 1 }) // nor twice
	behind(t, s.Addr, "198.51.100.7").Open("testa")
	c = behind(t, s.Addr, "198.51.100.8")
	io.WriteString(c, "PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n")
	c.Expect(`{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	c.Open("testa")
}

func TestIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6 loopback: ", err)
	}
	s := stratumtest.StartOn(t, ln, stratum.Options{Pool: stratumtest.NewPool(pool.SchemePPLNS, true), Dialect: v1.New()})
	stratumtest.Dial(t, s.Addr).Open("testa")
}

// 5 000 rigs that come back to an address which has shown a hashrate all get in; an address that has not is
// capped.
func TestProvenHashrateIsNotCapped(t *testing.T) {
	rigs := 5000
	if raceEnabled || testing.Short() {
		rigs = 500
	}
	file := filepath.Join(t.TempDir(), "bans.json")
	bans, err := stratum.OpenBans(stratum.BanOptions{File: file})
	if err != nil {
		t.Fatal(err)
	}
	options := func(o *stratum.Options) { o.MaxPerIP, o.Bans = 2, bans }
	s, _ := serve(t, fromProxies, options)
	c := behind(t, s.Addr, "198.51.100.7")
	c.Open("testfarm.0")
	behind(t, s.Addr, "198.51.100.7").Open("testfarm.1")
	behind(t, s.Addr, "198.51.100.7").Closed()
	for range 16 {
		accepted(c, c.Find(&c.Rig.Job))
	}
	behind(t, s.Addr, "198.51.100.7").Open("testfarm.2")
	s.Stop(t) // the power is cut, here too
	if err := bans.Close(); err != nil {
		t.Fatal(err)
	}
	if bans, err = stratum.OpenBans(stratum.BanOptions{File: file}); err != nil {
		t.Fatal(err)
	}
	s, _ = serve(t, fromProxies, options)
	farm := make([]*stratumtest.Client, rigs)
	for i := range farm {
		farm[i] = behind(t, s.Addr, "198.51.100.7")
		fmt.Fprintf(farm[i], `{"id":1,"method":"mining.subscribe","params":["x"]}`+"\n"+`{"id":2,"method":"mining.authorize","params":["testfarm.%d"]}`+"\n", i)
	}
	for i := range farm {
		farm[i].Line()
		farm[i].Expect(authorized)
		firstJob(farm[i])
	}
	behind(t, s.Addr, "198.51.100.8").Open("testa")
	behind(t, s.Addr, "198.51.100.8").Open("testb")
	behind(t, s.Addr, "198.51.100.8").Closed()
}

// When all places are taken, who has been here longest without work makes room; who has work stays.
func TestEviction(t *testing.T) {
	s, _ := serve(t, func(o *stratum.Options) { o.MaxConns = 4 })
	worker := stratumtest.Dial(t, s.Addr)
	worker.Open("testa")
	var idle []*stratumtest.Client
	for i := range 4 {
		c := stratumtest.Dial(t, s.Addr)
		c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
		if idle = append(idle, c); i == 3 {
			idle[0].Closed()
		}
	}
	closed(t, s.Server, stratum.CloseEvicted)
	idle[1].Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
	worker.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
}
