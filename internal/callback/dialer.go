package callback

import (
	"context"
	"net"
)

// Dialer returns the DialContext of a transport that connects to the addresses that requests of ours may go to: public ones, and those of
// allow. Each connection resolves its name anew and is held against the rules with the address that it is made to. A nil resolver is
// net.DefaultResolver. URLs are for CheckURL; redirects must not be followed without it.
func Dialer(allow *Allow, resolver Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	d := &dialer{allow: allow, resolver: resolver, dial: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}}
	return d.connect
}
