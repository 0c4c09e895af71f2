package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net/textproto"

	gomail "github.com/wneessen/go-mail"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// failure makes a fault of why a mail was not sent. Of the server's answer it keeps the code alone: the text likes to repeat addresses,
// and the library adds them.
func failure(ctx context.Context, err error) error {
	var (
		sent    *gomail.SendError
		answer  *textproto.Error
		unknown *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Timeout, "the mail server took too long")
	case ctx.Err() != nil:
		return fault.New(fault.Canceled, "sending the mail was given up")
	case errors.As(err, &unknown):
		return fault.After(tryLater, "the mail server's certificate is not trusted")
	case errors.As(err, &sent) && sent.ErrorCode() != 0:
		return refusal(sent.ErrorCode(), sent.IsTemp())
	case errors.As(err, &answer): // before there was a mail: what it says about us may change
		return refusal(answer.Code, true)
	case errors.As(err, &sent):
		return fault.After(tryLater, "the mail server broke off the connection")
	}
	return fault.After(tryLater, "the mail server cannot be used: it is away, or offers no TLS or no way to sign in")
}

func refusal(code int, temporary bool) error {
	if temporary {
		return fault.After(tryLater, "the mail server does not take the mail now (%d)", code)
	}
	return fault.New(fault.Invalid, "the mail server refuses the mail (%d)", code)
}
