package callback

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Resolver finds the addresses of a host. net.DefaultResolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Bounds of a connection.
const (
	resolveWait  = 5 * time.Second
	connectWait  = 5 * time.Second
	maxAddresses = 16 // of a name that are looked at
	maxDialled   = 3  // of them that are tried
)

// refusedError says that a host must not be called where it is.
type refusedError struct{ reach reach }

func (e *refusedError) Error() string {
	return "the host has an address that callbacks do not go to (" + string(e.reach) + ")"
}

// dialer connects to receivers. Each connection resolves the name anew and is made to an address that was held against the rules,
// so that a name that changes its meaning between a check and its use gains nothing.
type dialer struct {
	allow     *Allow
	resolver  Resolver
	dial      func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)
	unchecked bool // only a negative control sets it
}

// connect is the DialContext of the transport.
func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	good, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	socket := &net.Dialer{Timeout: connectWait, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return d.last(host, address)
	}}
	var failed error
	for _, addr := range good {
		conn, err := d.dial(ctx, socket, network, net.JoinHostPort(addr.String(), port))
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

// addresses returns where a host may be called. There is at least one when there is no error.
func (d *dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	all := make([]netip.Addr, 1)
	var err error
	if all[0], err = netip.ParseAddr(host); err != nil {
		ctx, cancel := context.WithTimeout(ctx, resolveWait)
		defer cancel()
		if all, err = d.resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, &resolveError{err}
		}
	}
	var good []netip.Addr
	var refused error = &resolveError{errors.New("it has no address")}
	for _, addr := range all[:min(len(all), maxAddresses)] {
		if r := d.refuse(host, addr); r != public {
			refused = &refusedError{r}
		} else if len(good) < maxDialled {
			good = append(good, addr.Unmap())
		}
	}
	if len(good) == 0 {
		return nil, refused
	}
	return good, nil
}

// last looks at the address that a socket is about to connect to: nothing between the first look and this one may have changed it.
func (d *dialer) last(host, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if r := d.refuse(host, to.Addr()); r != public {
		return &refusedError{r}
	}
	return nil
}

func (d *dialer) refuse(host string, addr netip.Addr) reach {
	if d.unchecked {
		return public
	}
	return d.allow.refuse(host, addr)
}

// resolveError is a name that could not be resolved.
type resolveError struct{ err error }

func (e *resolveError) Error() string { return e.err.Error() }
func (e *resolveError) Unwrap() error { return e.err }
