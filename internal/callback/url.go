package callback

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxURL is the length of the longest URL, in bytes.
const MaxURL = 2048

// CheckURL returns the URL of a receiver, or an Invalid fault that says what is wrong with the field. It asks no resolver: a name that
// passes may still have an address that no request goes to. Good is
//
//   - https, or http where allow names the host, with no user name or password and no fragment;
//   - a host name in ASCII of at least two labels, of which the last is not a number and is none that means this machine or this network,
//     unless allow names it; or an address in its usual form that is public, or in a network that allow names;
//   - no port, 443 or 8443, or one that allow has for the name.
func CheckURL(field, text string, allow *Allow) (*url.URL, error) {
	u, why := checkURL(text, allow)
	if why != "" {
		return nil, fault.InvalidField(field, "%s", why)
	}
	return u, nil
}

func checkURL(text string, allow *Allow) (_ *url.URL, why string) {
	if text == "" || len(text) > MaxURL {
		return nil, "must be a URL of 1 to " + strconv.Itoa(MaxURL) + " bytes"
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f || text[i] == '\\' {
			return nil, "must be a URL in ASCII without spaces, control characters and backslashes"
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return nil, "must be a URL such as https://hooks.example.org/toolboxai"
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !allow.byName(host)):
		return nil, "must begin with https://"
	case u.User != nil || strings.Contains(u.Host, "@"):
		return nil, "must not hold a user name or password"
	case strings.Contains(text, "#"):
		return nil, "must not have a fragment"
	}
	if why := allow.checkHost(host); why != "" {
		return nil, "has a host that " + why
	}
	port, ok := portOf(u)
	if !ok || !allow.port(host, port) {
		return nil, "must have no port, 443 or 8443"
	}
	u.Host = strings.ToLower(u.Host)
	return u, ""
}

// portOf returns the port of a URL, also where it is the scheme's.
func portOf(u *url.URL) (uint16, bool) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return 0, false
		}
		if u.Scheme == "http" {
			return 80, true
		}
		return 443, true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0 && text[0] != '0'
}

// checkHost says what is wrong with the host of a URL, or returns "".
func (a *Allow) checkHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		switch {
		case addr.Zone() != "" || addr.Is4In6() || addr.String() != host:
			return "is an address in an unusual form"
		case a.refuse(host, addr) != public:
			return "is an address that callbacks do not go to (" + string(reachOf(addr)) + ")"
		}
		return ""
	}
	if why := checkName(host); why != "" {
		return why
	}
	if !a.byName(host) && inside(host) {
		return "is a name of this machine or network"
	}
	return ""
}

// checkName says why a text in small letters is no host name, or returns "".
func checkName(name string) string {
	if name == "" || len(name) > maxHost {
		return "has no name of 1 to 253 characters"
	}
	last := name
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "is no host name"
		}
		last = label
	}
	// What ends in a number is an address to many resolvers, however it is written: 127.1, 0x7f.1, 2130706433.
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "ends in a number, but is no address"
	}
	return ""
}

// inside reports whether a name means this machine or network whatever it resolves to.
func inside(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range [...]string{".localhost", ".local", ".internal", ".localdomain", ".home.arpa", ".lan", ".intranet"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}
