package mail_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/mail"
)

func TestMessage_CheckNamesTheField(t *testing.T) {
	t.Parallel()
	good := mail.Message{To: "ada@school.example", Subject: "Hello", Text: "Hello\nAda"}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, changes := range map[string][]func(*mail.Message){
		"to": {
			func(m *mail.Message) { m.To = "" },
			func(m *mail.Message) { m.To = "Ada <ada@school.example>" },
			func(m *mail.Message) { m.To = "ada@school.example\r\nBcc: all@school.example" },
			func(m *mail.Message) { m.To = "ada@school.example, eve@school.example" },
			func(m *mail.Message) { m.To = strings.Repeat("a", 300) + "@school.example" },
		},
		"subject": {
			func(m *mail.Message) { m.Subject = "" },
			func(m *mail.Message) { m.Subject = "Hello\r\nBcc: all@school.example" },
			func(m *mail.Message) { m.Subject = strings.Repeat("a", 201) },
			func(m *mail.Message) { m.Subject = "\xff" },
		},
		"text": {
			func(m *mail.Message) { m.Text = "" },
			func(m *mail.Message) { m.Text = "a\x00b" },
			func(m *mail.Message) { m.Text = strings.Repeat("a", 64<<10+1) },
		},
	} {
		for i, change := range changes {
			m := good
			change(&m)
			var invalid *fault.Error
			if err := m.Check(); !errors.As(err, &invalid) || invalid.Kind != fault.Invalid || invalid.Details[0].Field != field {
				t.Errorf("%s %d: got %v", field, i, err)
			}
		}
	}
}

func TestPrinter_PrintsTheWholeMail(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := mail.NewPrinter(&out)
	if err := p.Send(t.Context(), mail.Message{To: "ada@school.example", Subject: "Hello", Text: "Follow https://x.example/#token=t"}); err != nil {
		t.Fatal(err)
	}
	if want := "--- mail to ada@school.example ---\nSubject: Hello\n\nFollow https://x.example/#token=t\n--- end of mail ---\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if err := p.Send(t.Context(), mail.Message{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
	if err := mail.NewPrinter(broken{}).Send(t.Context(), mail.Message{To: "a@b.example", Subject: "s", Text: "t"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed") }
