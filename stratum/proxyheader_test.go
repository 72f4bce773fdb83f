package stratum

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseProxyHeader(t *testing.T) {
	f := func(header, source string, rest int, want error) {
		t.Helper()
		got, size, err := parseProxyHeader([]byte(header))
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", header, err, want)
			return
		}
		var a netip.AddrPort
		if source != "" {
			a = netip.MustParseAddrPort(source)
		}
		if err == nil && (got != a || len(header)-size != rest) {
			t.Errorf("%q: %v with %d bytes behind it, want %s with %d", header, got, len(header)-size, source, rest)
		}
	}
	f("PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n", "192.0.2.7:56324", 0, nil)
	f("PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n{}", "192.0.2.7:56324", 2, nil)
	f("PROXY TCP6 2001:db8::7 2001:db8::1 1 0\r\n", "[2001:db8::7]:1", 0, nil)
	f("PROXY UNKNOWN\r\n", "", 0, nil)
	f("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", 0, nil)
	for _, more := range []string{"", "P", "PROXY", "PROXY ", "PROXY TCP4 192.0.2.7", "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r", "\r\n\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01"} {
		f(more, "", 0, errProxyMore)
	}
	for _, bad := range []string{
		"{", "PROXI", "proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n" + strings.Repeat(" ", 107),
		"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", "PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n",
		"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n", "PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
		"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 -1 2\r\n",
		"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "PROXY TCP4 192.0.2.007 192.0.2.1 1 2\r\n", "PROXY " + strings.Repeat("x", 200),
		proxyV2 + "\x11\x11\x00\x00", proxyV2 + "\x22\x11\x00\x00", proxyV2 + "\x21\x41\x00\x00", proxyV2 + "\x21\x13\x00\x00",
		proxyV2 + "\x21\x11\x00\x0b" + strings.Repeat("x", 11), proxyV2 + "\x21\x11\xff\xff",
	} {
		f(bad, "", 0, errProxyBad)
	}
	f(proxyV2+"\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x00\x05\x00\x06!", "192.0.2.7:5", 1, nil)
	f(proxyV2+"\x20\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x00\x05\x00\x06", "", 0, nil) // LOCAL
	f(proxyV2+"\x21\x00\x00\x03xyz", "", 0, nil)                                              // UNSPEC
}

// FuzzProxyHeader: no bytes panic; a header is judged alike whole and in pieces, and what follows it does
// not matter.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n{}"))
	f.Add([]byte("PROXY TCP6 2001:db8::7 2001:db8::1 1 0\r\n"))
	f.Add([]byte(proxyV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x00\x05\x00\x06!"))
	f.Add([]byte(proxyV2 + "\x20\x21\x00\x24" + strings.Repeat("x", 36)))
	f.Fuzz(func(t *testing.T, b []byte) {
		source, size, err := parseProxyHeader(b)
		if err == nil && (size <= 0 || size > len(b) || size > maxProxyHeader) {
			t.Fatalf("size %d of %d", size, len(b))
		}
		for n := range len(b) {
			got, at, early := parseProxyHeader(b[:n])
			switch {
			case errors.Is(early, errProxyMore):
				continue
			case early == nil && (err != nil || got != source || at != size):
				t.Fatalf("%d bytes: %v %d; all: %v %d, %v", n, got, at, source, size, err)
			case early != nil && err == nil:
				t.Fatalf("%d bytes: %v; all: %v", n, early, source)
			}
			break
		}
	})
}
