package pusher

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Config of a Client. AppID, Key and Secret are required, the rest has defaults.
type Config struct {
	AppID  string
	Key    string
	Secret string

	Cluster string // Pusher's cluster; default us2; not used when Host is set
	Host    string // name or address of another server of the same API; default: the cluster's
	Port    int    // default: that of the scheme

	// Plaintext switches TLS off, for a server of one's own on the same machine. It is the opposite of a switch for TLS so
	// that the zero value is the safe one. Pusher's own service is never called in plain text.
	Plaintext bool

	Timeout time.Duration // of one request, with its answer; default 5 s

	// HTTPClient lends its Transport; its other fields are not used. Default: a transport of the Client's own.
	HTTPClient *http.Client
}

// resolve checks c, fills in its defaults and returns the host to call, with the port where one is set.
func (c *Config) resolve() (host string, err error) {
	var bad []fault.Detail
	check := func(ok bool, field, reason string) {
		if !ok {
			bad = append(bad, fault.Detail{Field: field, Reason: reason})
		}
	}
	// The library puts both into a URL without escaping them.
	token := regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	check(token.MatchString(c.AppID), "AppID", "must be letters, digits, _ and -")
	check(token.MatchString(c.Key), "Key", "must be letters, digits, _ and -")
	check(c.Secret != "", "Secret", "is missing")
	check(c.Port >= 0 && c.Port <= 65535, "Port", "must be 1 to 65535")
	check(c.Timeout >= 0, "Timeout", "must not be negative")
	check(c.Host != "" || !c.Plaintext, "Plaintext", "needs a Host of one's own")
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Cluster == "" {
		c.Cluster = "us2"
	}
	check(token.MatchString(c.Cluster), "Cluster", "must be letters, digits, _ and -")

	host = c.Host
	if host == "" {
		host = "api-" + c.Cluster + ".pusher.com"
	}
	name := host
	switch {
	case c.Port != 0:
		host = net.JoinHostPort(host, strconv.Itoa(c.Port))
	case net.ParseIP(host) != nil && net.ParseIP(host).To4() == nil:
		host = "[" + host + "]"
	}
	u, err := url.Parse("https://" + host)
	check(err == nil && u.Hostname() == name && u.Host == host, "Host", "must be a name or an address, without scheme, port and path")
	if bad != nil {
		return "", fault.InvalidFields(bad)
	}
	return host, nil
}

// newTransport is net/http's default with room for all of a notifier's senders, which all call the same host.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    3 * time.Second,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
