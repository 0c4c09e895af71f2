package callback

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of an allow list.
const (
	maxAllowed = 256
	maxHost    = 253 // characters of a host name
	anyPort    = 0   // stands for all ports; no URL has it
)

// Allow lists the exceptions from the rule that callbacks go to public addresses by https. The zero value and nil make none. It is
// immutable.
type Allow struct {
	names    map[string][]uint16 // ports by name
	networks []netip.Prefix
}

// ParseAllow reads a list as CALLBACK_ALLOW has it: entries separated by commas or white space, at most 256.
//
//   - A network (10.1.0.0/16, fd00:7::/64) or an address: receivers may have addresses in it.
//   - A host name (hooks.school.example), optionally with a port: the receiver of exactly this name may be spoken to by http as well, may
//     have a private, loopback or CGNAT address, and may listen on that port, or on any where it is *, beside the usual ones. A name
//     never opens link-local addresses, where clouds have their metadata: that takes a network.
//
// The error names the entry that is wrong.
func ParseAllow(text string) (*Allow, error) {
	a := &Allow{names: map[string][]uint16{}}
	entries := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	if len(entries) > maxAllowed {
		return nil, fmt.Errorf("it has %d entries, at most %d are allowed", len(entries), maxAllowed)
	}
	for _, entry := range entries {
		if err := a.add(strings.ToLower(entry)); err != nil {
			return nil, fmt.Errorf("entry %.80q %w", entry, err)
		}
	}
	return a, nil
}

func (a *Allow) add(entry string) error {
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		if addr.Zone() != "" {
			return errors.New("has a zone")
		}
		addr = addr.Unmap()
		a.networks = append(a.networks, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	if strings.Contains(entry, "/") {
		network, err := netip.ParsePrefix(entry)
		if err != nil || network.Addr().Is4In6() {
			return errors.New("is no network, such as 10.1.0.0/16")
		}
		a.networks = append(a.networks, network.Masked())
		return nil
	}
	name, port, found := strings.Cut(entry, ":")
	if why := checkName(name); why != "" {
		return errors.New("is no address, network or host name: it " + why)
	}
	ports := []uint16{80}
	if found {
		n, err := strconv.ParseUint(port, 10, 16)
		if (err != nil || n == 0) && port != "*" {
			return errors.New("has a port that is none")
		}
		ports = append(ports, uint16(n)) // anyPort for *
	}
	a.names[name] = append(a.names[name], ports...)
	return nil
}

// byName reports whether a name is an entry.
func (a *Allow) byName(host string) bool {
	if a == nil {
		return false
	}
	_, ok := a.names[host]
	return ok
}

// port reports whether receivers of the name may listen on a port.
func (a *Allow) port(host string, port uint16) bool {
	return port == 443 || port == 8443 || a.byName(host) && (slices.Contains(a.names[host], port) || slices.Contains(a.names[host], anyPort))
}

// refuse says why a host must not be called at an address, or returns "".
func (a *Allow) refuse(host string, addr netip.Addr) reach {
	r := reachOf(addr)
	if r == public || r.local() && a.byName(host) {
		return public
	}
	if a != nil && addr.Zone() == "" {
		for _, form := range [...]netip.Addr{addr.Unmap(), plain(addr)} {
			if slices.ContainsFunc(a.networks, func(n netip.Prefix) bool { return n.Contains(form) }) {
				return public
			}
		}
	}
	return r
}
