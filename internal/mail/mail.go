// Package mail sends mails to people: invitations, resets, warnings.
//
//	service ─► Queue ─► SMTP     a mail server
//	                 └► Printer  a developer who works alone
//
// Queue stands before either, so that nobody waits for a mail server, and nobody learns from the time an answer takes whether there
// was a mail to send. It lives in memory: what a crash takes is lost, and whoever waits for a mail asks for another one.
//
// Mails carry what lets people in, such as the link of a reset. No text and no address of a mail is in an error or a log line.
package mail

import (
	"context"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of a mail, in bytes.
const (
	maxAddress = 254 // RFC 5321, 4.5.3.1.3, without the brackets
	maxSubject = 200
	maxText    = 64 << 10
)

// Message is a mail in plain text.
type Message struct {
	To      string // an address, without a name
	Subject string // one line
	Text    string
}

// Sender sends mails. It is safe for concurrent use.
type Sender interface {
	// Send hands a mail over. Errors: Invalid when it is none, or when the server will never take it; Unavailable and Timeout when it may
	// go later; Canceled.
	Send(ctx context.Context, m Message) error
}

// Check returns an Invalid fault that names the field when m cannot be sent.
func (m Message) Check() error {
	if !isAddress(m.To) {
		return fault.InvalidField("to", "is no e-mail address")
	}
	if m.Subject == "" || len(m.Subject) > maxSubject || !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, unicode.IsControl) {
		return fault.InvalidField("subject", "must be one line of 1 to %d bytes", maxSubject)
	}
	if m.Text == "" || len(m.Text) > maxText || !utf8.ValidString(m.Text) || strings.ContainsRune(m.Text, 0) {
		return fault.InvalidField("text", "must be text of 1 to %d bytes", maxText)
	}
	return nil
}

func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= maxAddress && !strings.ContainsFunc(s, unicode.IsControl)
}
