package apikey

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxName  = 100 // characters
	maxAllow = 32  // entries of an allow list
)

// tidy returns s in the form in which it is kept, or an Invalid fault that names every field that is wrong. role is that of whom the key
// is to act for.
func (s Spec) tidy(role auth.Role, now time.Time) (Spec, error) {
	var wrong []fault.Detail
	add := func(field, reason string) { wrong = append(wrong, fault.Detail{Field: field, Reason: reason}) }
	s.Name = strings.TrimSpace(s.Name)
	if n := utf8.RuneCountInString(s.Name); n < 1 || n > maxName || !utf8.ValidString(s.Name) || strings.ContainsFunc(s.Name, unicode.IsControl) {
		add("name", "must have 1 to 100 characters, none of them a control character")
	}
	s.Scopes = slices.Compact(slices.Sorted(slices.Values(s.Scopes)))
	if len(s.Scopes) == 0 {
		add("scopes", "must name at least one")
	}
	for _, scope := range s.Scopes {
		switch {
		case !scope.Valid():
			add("scopes", "names what is no scope")
		case !slices.Contains(role.Scopes(), scope):
			add("scopes", "names "+string(scope)+", for which the role "+string(role)+" has no use")
		}
	}
	var ok bool
	if s.IPs, ok = tidyAll(s.IPs, tidyPrefix); !ok {
		add("ips", "must be at most 32 addresses or networks, such as 192.0.2.0/24")
	}
	if s.Origins, ok = tidyAll(s.Origins, tidyOrigin); !ok {
		add("origins", "must be at most 32 origins, such as https://school.example")
	}
	if s.PerMinute < 0 || s.PerMinute > MaxPerMinute {
		add("per_minute", "must be 0 to 10000")
	}
	if s.ExpiresAt != nil {
		at := s.ExpiresAt.UTC().Truncate(time.Microsecond)
		if s.ExpiresAt = &at; !at.After(now) || at.Sub(now) > MaxLife {
			add("expires_at", "must lie in the future, at most five years ahead")
		}
	}
	if len(wrong) > 0 {
		return Spec{}, fault.InvalidFields(wrong)
	}
	return s, nil
}

// tidyAll returns what tidy makes of each entry, sorted and once each.
func tidyAll(list []string, tidy func(string) (string, bool)) ([]string, bool) {
	if len(list) > maxAllow {
		return nil, false
	}
	all := make([]string, 0, len(list))
	for _, entry := range list {
		good, ok := tidy(strings.TrimSpace(entry))
		if !ok {
			return nil, false
		}
		all = append(all, good)
	}
	slices.Sort(all)
	return slices.Compact(all), true
}

// tidyPrefix returns an address or a network as a network.
func tidyPrefix(text string) (string, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()).String(), addr.Zone() == ""
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked().String(), err == nil && !p.Addr().Is4In6()
}

// tidyOrigin returns an origin as browsers send it (RFC 6454): scheme and host in small letters, and no port that is the scheme's.
func tidyOrigin(text string) (string, bool) {
	if len(text) > 300 {
		return "", false
	}
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(u.Host, "*") {
		return "", false
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", false
	}
	host := u.Host
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if u.Scheme == scheme {
			host = strings.TrimSuffix(host, port)
		}
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":"), true
}
