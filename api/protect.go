package api

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Limits is what a connection is allowed. Zero fields take the defaults.
type Limits struct {
	HeaderTime  time.Duration // for the head of a request; 5 s
	ReadTime    time.Duration // for a whole request; 30 s. Streams, batches and replays lift it once they have read
	WriteTime   time.Duration // from the end of the head to the end of the answer; 90 s, more than the longest request may work. Streams set their own for each frame
	IdleTime    time.Duration // between two requests; 120 s
	HeaderBytes int           // of a request's head; 32 KiB
	URLBytes    int           // of a request's path and query; 8 KiB
}

func (l *Limits) complete() error {
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{{&l.HeaderTime, 5 * time.Second}, {&l.ReadTime, 30 * time.Second}, {&l.WriteTime, 90 * time.Second}, {&l.IdleTime, 120 * time.Second}} {
		if *d.of < 0 {
			return fmt.Errorf("Config.Limits: a time may not be negative")
		}
		if *d.of == 0 {
			*d.of = d.otherwise
		}
	}
	if l.HeaderBytes < 0 || l.URLBytes < 0 {
		return fmt.Errorf("Config.Limits: a size may not be negative")
	}
	if l.HeaderBytes == 0 {
		l.HeaderBytes = 32 << 10
	}
	if l.URLBytes == 0 {
		l.URLBytes = 8 << 10
	}
	return nil
}

// policyData is for answers in JSON: nothing is loaded, by nobody framed. Pages have policies of their own.
const policyData = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// hstsValue is two years, as lists of preloaded sites want it.
const hstsValue = "max-age=63072000; includeSubDomains"

// protect sets the headers that keep browsers from doing with an answer what it is not meant for.
func (s *Server) protect(h http.Header, r *http.Request) {
	h.Set(echo.HeaderXContentTypeOptions, "nosniff")
	h.Set(echo.HeaderXFrameOptions, "DENY")
	h.Set(echo.HeaderReferrerPolicy, "no-referrer")
	h.Set(echo.HeaderContentSecurityPolicy, policyData)
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set(echo.HeaderCacheControl, "no-store")
	if s.cfg.Production || s.encrypted(r) {
		h.Set(echo.HeaderStrictTransportSecurity, hstsValue)
	}
}

// encrypted reports whether the client's connection is TLS: to us, or as a trusted proxy says to itself.
func (s *Server) encrypted(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !strings.EqualFold(r.Header.Get(echo.HeaderXForwardedProto), "https") {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(s.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) })
}

// checkURL refuses what no client of ours sends and what would look like something else in a log or a name.
func (s *Server) checkURL(r *http.Request) error {
	if n := len(r.URL.Path) + len(r.URL.RawQuery); n > s.cfg.Limits.URLBytes || len(r.RequestURI) > s.cfg.Limits.URLBytes {
		return echo.NewHTTPError(http.StatusRequestURITooLong, fmt.Sprintf("the URL has more than %d bytes", s.cfg.Limits.URLBytes))
	}
	if strings.ContainsFunc(r.URL.Path, isControl) {
		return fault.New(fault.NotFound, "there is no such route: the path holds control characters")
	}
	return nil
}

// isControl reports whether c is a control character, or one that is not valid UTF-8.
func isControl(c rune) bool { return c < 0x20 || c >= 0x7f && c < 0xa0 || c == 0xfffd }

// cors answers preflights and marks answers for the allowed origins. Credentials are headers that a page sets itself, never cookies.
func cors(origins []string) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins: origins,
		AllowMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowHeaders: []string{
			"Authorization", headerAPIKey, headerTenant, "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "X-Request-ID", "traceparent",
			"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name",
		},
		ExposeHeaders: []string{
			"Location", "ETag", "X-Request-ID", "Idempotent-Replayed", "Retry-After", "WWW-Authenticate",
			"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy",
		},
		MaxAge: 600,
	})
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// docsPolicy is what the pages of Swagger UI need, and nothing else: of the scripts in page, those that are there now.
func docsPolicy(page []byte) string {
	scripts := "'self'"
	for _, found := range inlineScript.FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(found[1])
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
		"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}
