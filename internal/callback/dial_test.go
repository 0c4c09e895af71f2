package callback_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// answers is a resolver that changes its answer: the last one stays.
type answers struct {
	mu    sync.Mutex
	lists [][]string
	asked int
}

func (a *answers) LookupNetIP(context.Context, string, string) (addrs []netip.Addr, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.lists[min(a.asked, len(a.lists)-1)]
	a.asked++
	for _, text := range list {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	if addrs == nil {
		err = &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return addrs, err
}

// dialled counts the addresses that were dialled. No test connects to a public one.
type dialled struct {
	mu    sync.Mutex
	addrs []string
}

func (d *dialled) dial(ctx context.Context, socket *net.Dialer, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.addrs = append(d.addrs, address)
	d.mu.Unlock()
	if !strings.HasPrefix(address, "127.") && !strings.HasPrefix(address, "[::1]") {
		return nil, errors.New("public: not dialled in a test")
	}
	return socket.DialContext(ctx, network, address)
}

func (d *dialled) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.addrs...)
}

// tlsReceiver is a receiver on loopback that speaks TLS, with a certificate for example.com.
func tlsReceiver(t *testing.T) (hits func() int, roots *x509.CertPool, port string) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return func() int { mu.Lock(); defer mu.Unlock(); return n }, roots, port
}

// rebinding has an endpoint whose public name comes to mean this machine, and tries to deliver to it twice.
func rebinding(t *testing.T, lists [][]string, unchecked bool) (hits int, last string, addrs []string) {
	t.Helper()
	count, roots, port := tlsReceiver(t)
	k := kitOn(t, pgtest.New(t))
	// The certificate of the test server is for example.com.
	id, _ := k.endpoint("https://rebind.example.com/hook")
	var d dialled
	k.runner = k.newRunner(callback.RunnerConfig{Resolver: &answers{lists: lists}, Roots: roots})
	k.runner.DialWith(func(ctx context.Context, socket *net.Dialer, network, address string) (net.Conn, error) {
		if h, p, _ := net.SplitHostPort(address); p == "443" { // where the receiver really listens
			address = net.JoinHostPort(h, port)
		}
		return d.dial(ctx, socket, network, address)
	})
	if unchecked {
		k.runner.Uncheck()
	}
	if _, err := k.service.Test(t.Context(), tenant, id); err != nil {
		t.Fatal(err)
	}
	k.round()
	k.finish("task-1", "")
	for range 8 {
		k.clock.move(k.clock.Now().Add(3 * time.Hour))
		k.round()
	}
	return count(), k.log(callback.DeliveryFilter{TaskID: "task-1"})[0].LastError, d.all()
}

func TestDial_HoldsAgainstANameThatChangesItsMeaning(t *testing.T) {
	t.Parallel()
	for name, lists := range map[string][][]string{
		"loopback":       {{"93.184.216.34"}, {"127.0.0.1"}},
		"mapped":         {{"93.184.216.34"}, {"::ffff:127.0.0.1"}},
		"IPv6":           {{"2606:4700::1111"}, {"::1"}},
		"NAT64":          {{"93.184.216.34"}, {"64:ff9b::7f00:1"}},
		"metadata":       {{"93.184.216.34"}, {"169.254.169.254"}},
		"to and fro":     {{"93.184.216.34"}, {"127.0.0.1"}, {"93.184.216.34"}, {"127.0.0.1"}},
		"one of several": {{"93.184.216.34"}, {"10.0.0.1", "127.0.0.1", "fe80::1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hits, last, addrs := rebinding(t, lists, false)
			if hits > 0 {
				t.Errorf("the receiver on this machine was reached %d times", hits)
			}
			if !strings.Contains(last, "not go to") || len(addrs) == 0 {
				t.Errorf("the log says %q, dialled %v", last, addrs)
			}
			for _, addr := range addrs {
				if !strings.HasPrefix(addr, "93.184.216.34:") && !strings.HasPrefix(addr, "[2606:4700::1111]:") {
					t.Errorf("dialled %s", addr)
				}
			}
		})
	}
}

// The control: without the check in dial the same test reaches the server on this machine.
func TestDial_WithoutItsCheckReachesThisMachine(t *testing.T) {
	t.Parallel()
	if hits, last, addrs := rebinding(t, [][]string{{"93.184.216.34"}, {"127.0.0.1"}}, true); hits == 0 {
		t.Errorf("not reached (%q, dialled %v): the test looks at the wrong place", last, addrs)
	}
}

// The last look is at the socket's own address, whatever came between.
func TestDial_LooksAtTheAddressThatIsDialled(t *testing.T) {
	t.Parallel()
	count, roots, port := tlsReceiver(t)
	k := kitOn(t, pgtest.New(t))
	id, _ := k.endpoint("https://hooks.example.com/")
	k.runner = k.newRunner(callback.RunnerConfig{Resolver: &answers{lists: [][]string{{"93.184.216.34"}}}, Roots: roots})
	k.runner.DialWith(func(ctx context.Context, socket *net.Dialer, network, _ string) (net.Conn, error) {
		return socket.DialContext(ctx, network, "127.0.0.1:"+port) // as if the address had changed behind the first check
	})
	_, err := k.service.Test(t.Context(), tenant, id)
	must(t, err)
	k.round()
	if d := k.only(); count() != 0 || d.State != callback.Dead || !strings.Contains(d.LastError, "loopback") {
		t.Errorf("reached %d times, %+v", count(), d)
	}
}

func TestDial_TakesGoodAddressesAmongBadOnes(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	var d dialled
	k.runner = k.newRunner(callback.RunnerConfig{Resolver: &answers{lists: [][]string{{"169.254.169.254", "fe80::1", "0.0.0.0", "127.0.0.1", "ff02::1"}}}})
	k.runner.DialWith(d.dial)
	k.endpoint(r.url("/"))
	k.finish("task-1", "")
	k.round()
	if got := d.all(); len(r.requests()) == 0 || len(got) == 0 {
		t.Errorf("%d requests, dialled %v", len(r.requests()), got)
	}
	for _, addr := range d.all() {
		if !strings.HasPrefix(addr, "127.0.0.1:") {
			t.Errorf("dialled %s", addr)
		}
	}
}

// A name that an operator allows opens no more than what services of theirs have.
func TestDial_DoesNotFollowAnAllowedNameToMetadata(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	k.endpoint(r.url("/"))
	for _, addr := range []string{"169.254.169.254", "168.63.129.16", "fe80::1", "0.0.0.0", "224.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"} {
		k.runner = k.newRunner(callback.RunnerConfig{Resolver: &answers{lists: [][]string{{addr}}}})
		var d dialled
		k.runner.DialWith(d.dial)
		k.finish("task-"+strings.NewReplacer(".", "-", ":", "-").Replace(addr), "")
		k.round()
		if got := d.all(); len(got) > 0 {
			t.Errorf("%s: dialled %v", addr, got)
		}
		k.clock.move(k.clock.Now().Add(time.Minute))
	}
	if n := len(r.requests()); n > 0 {
		t.Errorf("%d requests came", n)
	}
}

// A proxy of the environment would resolve names for itself.
func TestSend_UsesNoProxy(t *testing.T) {
	proxy := receive(t, status(http.StatusOK))
	r := receive(t, nil)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	k := newKit(t, r)
	k.endpoint(r.url("/"))
	k.finish("task-1", "")
	k.round()
	if len(proxy.requests()) > 0 || len(r.requests()) == 0 {
		t.Errorf("%d requests to the proxy, %d to the receiver", len(proxy.requests()), len(r.requests()))
	}
}
