package callback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// explain says for people what an answer that is none of 2xx was. It holds nothing of the URL, of the answer's body, or of our
// network.
func explain(a answer) string {
	switch {
	case a.status >= 300 && a.status < 400:
		return fmt.Sprintf("answered %d: redirects are not followed", a.status)
	case a.status != 0:
		return strings.TrimSpace(fmt.Sprintf("answered %d %s", a.status, http.StatusText(a.status)))
	}
	var (
		refused   *refusedError
		wrong     *urlError
		unknown   *resolveError
		cert      *tls.CertificateVerificationError
		handshake tls.RecordHeaderError
		alert     tls.AlertError
		errno     syscall.Errno
		slow      net.Error
	)
	switch err := a.err; {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &wrong):
		return bounded(wrong.Error())
	case errors.As(err, &unknown):
		return "the host name could not be resolved"
	case errors.As(err, &cert):
		return bounded("the certificate is not valid: " + cert.Err.Error())
	case errors.As(err, &handshake):
		return "the receiver does not speak TLS"
	case errors.As(err, &alert):
		return bounded("TLS failed: " + alert.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed without an answer"
	case errors.As(err, &errno):
		return bounded("the connection failed: " + errno.Error())
	}
	return "the request failed, or its answer is no HTTP"
}

// bounded returns s in at most MaxError bytes, without control characters.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if len(s) > MaxError {
		s = strings.ToValidUTF8(s[:MaxError-len("…")], "") + "…"
	}
	return s
}
