package stratum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Errors of parseProxyHeader.
var (
	errProxyMore = errors.New("the PROXY header is not whole yet")
	errProxyBad  = errors.New("not a PROXY header")
)

// proxyV2 begins every header of version 2.
const proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"

// maxProxyHeader is the longest header taken: version 1 has at most 107 bytes, version 2 with its
// extensions rarely more than some hundred.
const maxProxyHeader = 16 + 2048

// parseProxyHeader reads the PROXY protocol's header at the start of b, version 1 or 2 (haproxy's
// proxy-protocol.txt, sections 2.1 and 2.2): the source address, not valid when the proxy speaks for itself
// or does not say, and the header's length.
func parseProxyHeader(b []byte) (source netip.AddrPort, size int, err error) {
	switch {
	case startsSame(b, proxyV2):
		return parseProxyV2(b)
	case startsSame(b, "PROXY "):
		return parseProxyV1(b)
	}
	return source, 0, errProxyBad
}

// startsSame reports whether b and prefix are the same as far as both go.
func startsSame(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

// parseProxyV1 reads "PROXY TCP4 source destination port port\r\n", TCP6 likewise, or "PROXY UNKNOWN…\r\n".
func parseProxyV1(b []byte) (source netip.AddrPort, size int, err error) {
	const longest = 107
	end := bytes.Index(b[:min(len(b), longest)], []byte("\r\n"))
	switch {
	case end < 0 && len(b) < longest:
		return source, 0, errProxyMore
	case end < 0:
		return source, 0, errProxyBad
	}
	size = end + 2
	f := strings.Split(string(b[:end]), " ")
	if f[1] == "UNKNOWN" {
		return source, size, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return source, 0, errProxyBad
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		ip, err := netip.ParseAddr(f[2+i])
		if err != nil || ip.Zone() != "" || ip.Is4() != (f[1] == "TCP4") {
			return source, 0, errProxyBad
		}
		port, err := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != f[4+i] {
			return source, 0, errProxyBad
		}
		ends[i] = netip.AddrPortFrom(ip, uint16(port))
	}
	return ends[0], size, nil
}

// parseProxyV2 reads signature, version and command, family, length, addresses and extensions; the last
// are passed over.
func parseProxyV2(b []byte) (source netip.AddrPort, size int, err error) {
	if len(b) < 16 {
		return source, 0, errProxyMore
	}
	version, command, family, protocol := b[12]>>4, b[12]&15, b[13]>>4, b[13]&15
	n := int(binary.BigEndian.Uint16(b[14:]))
	size = 16 + n
	if version != 2 || command > 1 || family > 3 || protocol > 2 || size > maxProxyHeader {
		return source, 0, errProxyBad
	}
	if len(b) < size {
		return source, 0, errProxyMore
	}
	body := b[16:size]
	width := [...]int{0, 4, 16, 0}[family]
	if command == 0 || width == 0 || protocol != 1 { // LOCAL, UNSPEC, unix or datagrams
		return source, size, nil
	}
	if n < 2*width+4 {
		return source, 0, errProxyBad
	}
	ip, _ := netip.AddrFromSlice(body[:width])
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(body[2*width:])), size, nil
}
