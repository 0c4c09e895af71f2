package callback

import "net/netip"

// reach says what kind of address a receiver has.
type reach string

const (
	public    reach = "" // the only kind that needs no exception
	private   reach = "private"
	loopback  reach = "loopback"
	shared    reach = "shared by a carrier (CGNAT)"
	linkLocal reach = "link-local"
	multicast reach = "multicast"
	disguised reach = "an IPv4 address in an IPv6 one"
	reserved  reach = "reserved"
)

// local reports whether a name that an operator allows may have such an address. What no service of theirs has, such as the
// link-local address of a cloud's metadata, needs an entry of its own.
func (r reach) local() bool { return r == private || r == loopback || r == shared }

// special are the networks that no public receiver is in, from IANA's special-purpose registries; the first that holds an address
// counts. IPv6 addresses outside of 2000::/3 are reserved without an entry here.
var special = []struct {
	network netip.Prefix
	reach   reach
}{
	{netip.MustParsePrefix("0.0.0.0/8"), reserved}, // "this network": Linux takes 0.0.0.0 for loopback
	{netip.MustParsePrefix("10.0.0.0/8"), private},
	{netip.MustParsePrefix("100.64.0.0/10"), shared},
	{netip.MustParsePrefix("127.0.0.0/8"), loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), linkLocal},   // metadata of most clouds
	{netip.MustParsePrefix("168.63.129.16/32"), linkLocal}, // Azure's agent, on a public address
	{netip.MustParsePrefix("172.16.0.0/12"), private},
	{netip.MustParsePrefix("192.0.0.0/24"), reserved},
	{netip.MustParsePrefix("192.0.2.0/24"), reserved},   // documentation
	{netip.MustParsePrefix("192.88.99.0/24"), reserved}, // relays of 6to4
	{netip.MustParsePrefix("192.168.0.0/16"), private},
	{netip.MustParsePrefix("198.18.0.0/15"), reserved},   // benchmarks
	{netip.MustParsePrefix("198.51.100.0/24"), reserved}, // documentation
	{netip.MustParsePrefix("203.0.113.0/24"), reserved},  // documentation
	{netip.MustParsePrefix("224.0.0.0/4"), multicast},
	{netip.MustParsePrefix("240.0.0.0/4"), reserved}, // with the broadcast address

	{netip.MustParsePrefix("::1/128"), loopback},
	{netip.MustParsePrefix("::/128"), reserved},
	{netip.MustParsePrefix("::/96"), disguised},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), disguised}, // IPv4-translated
	{netip.MustParsePrefix("64:ff9b:1::/48"), disguised},  // local NAT64
	{netip.MustParsePrefix("2001::/23"), reserved},        // protocols: Teredo, benchmarks, ORCHID
	{netip.MustParsePrefix("2001:db8::/32"), reserved},    // documentation
	{netip.MustParsePrefix("2002::/16"), disguised},       // 6to4
	{netip.MustParsePrefix("3fff::/20"), reserved},        // documentation
	{netip.MustParsePrefix("fc00::/7"), private},
	{netip.MustParsePrefix("fe80::/10"), linkLocal},
	{netip.MustParsePrefix("fec0::/10"), private}, // site-local of old
	{netip.MustParsePrefix("ff00::/8"), multicast},
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
)

// reachOf classifies an address. One that stands for an IPv4 address is what that is: IPv4-mapped, which resolvers use for plain IPv4,
// and of the well-known prefix of NAT64, which is how hosts in a network of IPv6 alone reach the rest.
func reachOf(addr netip.Addr) reach {
	if !addr.IsValid() || addr.Zone() != "" {
		return linkLocal
	}
	addr = plain(addr)
	for _, s := range special {
		if s.network.Contains(addr) {
			return s.reach
		}
	}
	switch {
	case addr.Is4():
		return public
	case !globalUnicast.Contains(addr):
		return reserved
	}
	if isatap := addr.As16(); isatap[8]&0xfc == 0 && isatap[9] == 0 && isatap[10] == 0x5e && isatap[11] == 0xfe {
		return disguised
	}
	return public
}

// plain returns the IPv4 address that addr stands for, or addr.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		raw := addr.As16()
		return netip.AddrFrom4([4]byte(raw[12:]))
	}
	return addr
}
