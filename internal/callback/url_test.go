package callback_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func allow(t testing.TB, text string) *callback.Allow {
	t.Helper()
	a, err := callback.ParseAllow(text)
	must(t, err)
	return a
}

// refused are URLs that no callback goes to, however they are written.
func refused() []string {
	return []string{
		// No URL of a receiver.
		"", "/", "hooks.example.org", "https:", "https://", "https:///path", "https:hooks.example.org", "//hooks.example.org/", "https://?x",
		"ftp://hooks.example.org/", "file:///etc/passwd", "gopher://hooks.example.org/", "http://hooks.example.org/", "javascript:alert(1)", "unix:///run/x.sock",
		"https://hooks.example.org/" + strings.Repeat("a", callback.MaxURL), "https://hooks.example.org/a b", "https://hooks.example.org/\r\nX: y", "https://hooks.example.org/\x00",
		" https://hooks.example.org/", "https://hooks.example.org\\@127.0.0.1/", "https://hóoks.example.org/", "https://ⓛocalhost.example.org/", "https://%/",
		"https://user@hooks.example.org/", "https://user:pass@hooks.example.org/", "https://@hooks.example.org/", "https://hooks.example.org@127.0.0.1/", "https://hooks.example.org/#x", "https://hooks.example.org/#",
		// Ports.
		"https://hooks.example.org:22/", "https://hooks.example.org:80/", "https://hooks.example.org:6379/", "https://hooks.example.org:0/", "https://hooks.example.org:65536/", "https://hooks.example.org:/",
		"https://hooks.example.org:0443/", "https://hooks.example.org:443x/", "https://hooks.example.org:-443/",
		// Names of this machine or network.
		"https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/", "https://db/", "https://printer.local/", "https://metadata.google.internal/", "https://router.home.arpa/", "https://nas.lan/",
		"https://localhost.localdomain/", "https://-a.example.org/", "https://a..example.org/", "https://example.org./", "https://" + strings.Repeat("a", 64) + ".example.org/", "https://*.example.org/", "https://a,b.example.org/",
		// IPv4, plain and in other spellings.
		"https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://0x7f000001/", "https://2130706433/", "https://017700000001/", "https://127.0.0.1./",
		"https://127.0.0.01/", "https://127.000.000.001/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://a.0x7f/", "https://x.127/", "https://%31%32%37.0.0.1/", "https://127%2e0%2e0%2e1/",
		"https://0.0.0.0/", "https://0/", "https://0.1.2.3/", "https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/", "https://172.31.255.254/", "https://192.168.1.1/",
		"https://100.64.0.1/", "https://100.127.255.255/", "https://100.100.100.200/", "https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/", "https://168.63.129.16/", "https://192.0.0.1/", "https://192.0.0.192/",
		"https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/", "https://198.18.0.1/", "https://198.19.255.255/", "https://192.88.99.1/", "https://224.0.0.1/", "https://239.255.255.250/", "https://240.0.0.1/", "https://255.255.255.255/",
		// IPv6, plain and as a disguise of IPv4.
		"https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::]/", "https://[::1%25lo]/", "https://[fe80::1%25eth0]/", "https://[fe80::1]/", "https://[febf::1]/", "https://[fec0::1]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/",
		"https://[ff02::1]/", "https://[ff0e::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:8.8.8.8]/", "https://[::ffff:a9fe:a9fe]/", "https://[::127.0.0.1]/", "https://[::7f00:1]/",
		"https://[::ffff:0:127.0.0.1]/", "https://[::ffff:0:7f00:1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a00:1]/", "https://[64:ff9b::a9fe:a9fe]/", "https://[64:ff9b:1::a00:1]/", "https://[64:ff9b:1::808:808]/", "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/",
		"https://[2001:0:53aa:64c:0:fffe:80ff:fffe]/", "https://[2001:db8::1]/", "https://[3fff::1]/", "https://[2001:2::1]/", "https://[2001:20::1]/", "https://[100::1]/", "https://[4000::1]/", "https://[5f00::1]/", "https://[2606:4700::5efe:7f00:1]/", "https://[2606:4700::200:5efe:a00:1]/",
		"https://[2606:4700:0:0:0:0:0:1111]/", "https://[2606:4700::1111/", "https://2606:4700::1111/",
	}
}

// good are URLs of public receivers.
func good() []string {
	return []string{
		"https://hooks.example.org", "https://hooks.example.org/", "https://hooks.example.org:443/a/b?c=d&e=%20f", "https://HOOKS.example.org:8443/", "HTTPS://hooks.example.org/", "https://xn--bcher-kva.example/", "https://a_b.example.org/",
		"https://1.1.1.1/", "https://8.8.8.8:8443/", "https://[2606:4700::1111]/", "https://[2a00:1450:4001:81b::200e]:443/x", "https://0x.example.org/", "https://1password.com/", "https://172.32.0.1/", "https://100.128.0.1/", "https://192.0.1.1/", "https://[64:ff9b::808:808]/",
	}
}

func TestCheckURL_RefusesWhatIsNoPublicReceiver(t *testing.T) {
	t.Parallel()
	for _, text := range refused() {
		for name, a := range map[string]*callback.Allow{"nothing": nil, "something else": allow(t, "other.school.example:9000, 10.9.0.0/16")} {
			_, err := callback.CheckURL("callback_url", text, a)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "callback_url") {
				t.Errorf("%q, allowed is %s: got %v", text, name, err)
			}
		}
	}
	if n := len(refused()); n < 60 {
		t.Errorf("the table has %d entries", n)
	}
	for _, text := range good() {
		if _, err := callback.CheckURL("url", text, nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCheckURL_TakesWhatTheOperatorAllows(t *testing.T) {
	t.Parallel()
	a := allow(t, "Hooks.Internal:9000 db, 10.1.0.0/16,\nfd00:7::/64,192.168.7.7,[fd00:8::1]")
	for text, ok := range map[string]bool{
		"http://hooks.internal:9000/x": true, "https://hooks.internal/": true, "http://HOOKS.internal/": true, "http://db/": true, "https://db:8443/": true,
		"http://hooks.internal:9001/": false, "http://sub.hooks.internal/": false, "http://db:9000/": false, "http://user@db/": false,
		"https://10.1.2.3/": true, "https://10.2.0.1/": false, "http://10.1.2.3/": false, "https://10.1.2.3:9000/": false,
		"https://[fd00:7::9]/": true, "https://[fd00:9::9]/": false, "https://192.168.7.7/": true, "https://192.168.7.8/": false, "https://[fd00:8::1]/": true,
	} {
		if _, err := callback.CheckURL("url", text, a); (err == nil) != ok {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestCheckURL_TakesAnyPortWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	a := allow(t, "localhost:*")
	for text, ok := range map[string]bool{
		"http://localhost:3000/": true, "http://localhost/": true, "https://LocalHost:65535/x": true,
		"http://localhost:0/": false, "http://localhost:/": false, "http://a.localhost:3000/": false, "http://127.0.0.1:3000/": false, "https://hooks.example.org:3000/": false,
	} {
		if _, err := callback.CheckURL("url", text, a); (err == nil) != ok {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestParseAllow_NamesTheEntryThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"10.0.0.0/33", "a..b", "-", "host:0", "host:*x", "10.0.0.1:*", "host:65536", "host:x", "fe80::1%eth0", "::ffff:10.0.0.0/104", "https://host", "a/b", "127.1", "*.example.org"} {
		if _, err := callback.ParseAllow("good.example.org," + entry); err == nil || !strings.Contains(err.Error(), entry) {
			t.Errorf("%s: got %v", entry, err)
		}
	}
	if _, err := callback.ParseAllow(strings.Repeat("a,", 257)); err == nil {
		t.Error("a list without end is taken")
	}
}

func TestReach_KnowsWhatIsPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"8.8.8.8": "", "2606:4700::1111": "", "::ffff:8.8.8.8": "", "64:ff9b::808:808": "", "::ffff:10.0.0.1": "private", "64:ff9b::a00:1": "private", "::ffff:127.0.0.1": "loopback",
		"127.255.255.255": "loopback", "::1": "loopback", "fe80::1": "link-local", "169.254.169.254": "link-local", "64:ff9b::a9fe:a9fe": "link-local", "fd00::1": "private", "ff02::1": "multicast",
		"2002:808:808::1": "an IPv4 address in an IPv6 one", "100.64.0.1": "shared by a carrier (CGNAT)", "2001:db8::1": "reserved", "9.255.255.255": "", "11.0.0.0": "", "172.15.255.255": "", "198.17.255.255": "", "198.20.0.0": "",
	} {
		if got := callback.ReachOf(text); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// What passes goes to the host that the URL shows, and nowhere that an address of the table stands for.
func FuzzCheckURL(f *testing.F) {
	for _, text := range append(refused(), good()...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := callback.CheckURL("url", text, nil)
		if err != nil {
			return
		}
		again, err := callback.CheckURL("url", u.String(), nil)
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q becomes %q, which becomes %v (%v)", text, u, again, err)
		}
		back, err := url.Parse(u.String())
		if err != nil || back.Scheme != "https" || back.User != nil || back.Hostname() != strings.ToLower(back.Hostname()) {
			t.Fatalf("%q: %v (%v)", text, back, err)
		}
		if port := back.Port(); port != "" && port != "443" && port != "8443" {
			t.Fatalf("%q has port %s", text, port)
		}
		addr, err := netip.ParseAddr(back.Hostname())
		if err == nil && (addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() || addr.Is4In6() || addr.Zone() != "") {
			t.Fatalf("%q goes to %s", text, addr)
		}
		if last := back.Hostname()[strings.LastIndex(back.Hostname(), ".")+1:]; err != nil && strings.Trim(last, "0123456789") == "" {
			t.Fatalf("%q ends in a number", text)
		}
	})
}
