package redis

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url  string
		tls  bool
		want goredis.UniversalOptions
	}{
		{"redis://localhost", false, goredis.UniversalOptions{Addrs: []string{"localhost:6379"}}},
		{"redis://10.0.0.1:7000/3", false, goredis.UniversalOptions{Addrs: []string{"10.0.0.1:7000"}, DB: 3}},
		{"rediss://u%40x:p%3Aw%2F%25@h/", true, goredis.UniversalOptions{Addrs: []string{"h:6379"}, Username: "u@x", Password: "p:w/%"}},
		{"redis://:a@b:c@h", false, goredis.UniversalOptions{Addrs: []string{"h:6379"}, Password: "a@b:c"}},
		{"redis://[::1]:7000", false, goredis.UniversalOptions{Addrs: []string{"[::1]:7000"}}},
		{"redis://[fe80::1]", false, goredis.UniversalOptions{Addrs: []string{"[fe80::1]:6379"}}},
		{"redis+sentinel://:pw@a,b:1,[::1]:2/mymaster?db=4&sentinel_user=su&sentinel_password=s%26p", false,
			goredis.UniversalOptions{Addrs: []string{"a:26379", "b:1", "[::1]:2"}, MasterName: "mymaster", DB: 4,
				Password: "pw", SentinelUsername: "su", SentinelPassword: "s&p"}},
		{"rediss+cluster://a:1,b:2", true, goredis.UniversalOptions{Addrs: []string{"a:1", "b:2"}, IsClusterMode: true}},
		{"redis+cluster://one", false, goredis.UniversalOptions{Addrs: []string{"one:6379"}, IsClusterMode: true}},
	} {
		got, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if (got.TLSConfig != nil) != c.tls {
			t.Errorf("%s: TLS is %v", c.url, got.TLSConfig != nil)
		}
		got.TLSConfig = nil
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s is\n%+v, want\n%+v", c.url, *got, c.want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, u := range []string{"", "localhost:6379", "http://h", "redis://", "redis://h:x", "redis://h:99999", "redis://::1",
		"redis://a,b", "redis://h/x", "redis://h/-1", "redis://h?db=1", "redis://h#f", "redis+sentinel://h", "redis+sentinel://h/m?x=1",
		"redis+sentinel://h/m?db=x", "redis+cluster://a,b/1", "redis+cluster://a,", "redis+x://h", "redisx://h",
		"redis://secret%zz@h", "redis://u:secret%zz@h", "redis://u:secret@h:x", "redis://u:secret@h/%zz", "redis://u:secret@h?%zz=1"} {
		err := ParseURL(u)
		if !errors.Is(err, ErrBadURL) {
			t.Errorf("%q: %v", u, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error gives the password away: %v", u, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis+sentinel://u:p@a:1,b/m?db=1")
	f.Add("redis://[::1]:5/3")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseURL(s)
		if err != nil {
			return
		}
		if len(o.Addrs) == 0 || slices.Contains(o.Addrs, "") {
			t.Fatalf("%q gives no address", s)
		}
	})
}
