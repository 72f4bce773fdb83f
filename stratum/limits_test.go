package stratum

import (
	"net"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	at := time.Unix(1000, 0)
	b := newBucket(10, 3, at)
	f := func(after, want time.Duration) {
		t.Helper()
		at = at.Add(after)
		if got := b.take(at); got != want {
			t.Errorf("wait %v, want %v", got, want)
		}
	}
	f(0, 0)
	f(0, 0)
	f(0, 0)
	f(0, 100*time.Millisecond)
	f(100*time.Millisecond, 100*time.Millisecond) // the token that came was owed
	f(200*time.Millisecond, 0)
	f(time.Hour, 0) // no more than the burst is kept
	f(0, 0)
	f(0, 0)
	f(0, 100*time.Millisecond)
	f(-time.Hour, 200*time.Millisecond) // a clock that is set back gives nothing
}

func TestOrigin(t *testing.T) {
	f := func(ip, want string) {
		t.Helper()
		if got := origin(addrPort(&net.TCPAddr{IP: net.ParseIP(ip), Port: 5})).String(); got != want {
			t.Errorf("%s is counted under %s, want %s", ip, got, want)
		}
	}
	f("192.0.2.7", "192.0.2.7")
	f("::ffff:192.0.2.7", "192.0.2.7")
	f("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")
	f("2001:db8:1:2::1", "2001:db8:1:2::")
	f("2001:db8:1:3::1", "2001:db8:1:3::")
	if origin(addrPort(&net.UnixAddr{Name: "x"})).IsValid() {
		t.Error("a pipe has an address")
	}
}
