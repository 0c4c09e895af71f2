package privacy_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

// model answers with what says returns, and remembers what it was asked.
type model struct {
	asked llm.Request
	says  func(llm.Request) (string, error)
}

func (m *model) Describe() string { return "test model" }

func (m *model) Complete(_ context.Context, req llm.Request) (llm.Response, error) {
	m.asked = req
	text, err := m.says(req)
	if req.OnDelta != nil {
		for _, r := range text { // the worst way to cut it
			req.OnDelta(string(r))
		}
	}
	return llm.Response{Text: text}, err
}

func about(t testing.TB, names ...string) context.Context {
	return llm.WithCaller(t.Context(), llm.Caller{Names: names})
}

func echo(req llm.Request) (string, error) { return req.Prompt, nil }

func TestPseudonyms_HideWhoItIsAbout(t *testing.T) {
	t.Parallel()
	const prompt = "Write for ADA LOVELACE (ada.l@school.example, +44 20 7946 0958 or 555-867-5309). Ada's friend José Núñez likes adages; Art and Adam do too."
	m := &model{says: echo}
	var streamed strings.Builder
	resp, err := privacy.NewPseudonyms(m).Complete(about(t, "ADA LOVELACE", "José Núñez"), llm.Request{System: "Be brief.", Prompt: prompt, Input: json.RawMessage(`{}`), OnDelta: func(s string) { streamed.WriteString(s) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"LOVELACE", "José", "Núñez", "school.example", "7946", "867"} {
		if strings.Contains(m.asked.Prompt+m.asked.System+string(m.asked.Input), secret) {
			t.Errorf("the model was told %q: %s", secret, m.asked.Prompt)
		}
	}
	for _, word := range []string{"adages", "Art and Adam"} {
		if !strings.Contains(m.asked.Prompt, word) {
			t.Errorf("%q is no name, and the model was not told: %s", word, m.asked.Prompt)
		}
	}
	if !strings.HasPrefix(m.asked.System, "Be brief.") || !strings.Contains(m.asked.System, "PERSON_1") {
		t.Errorf("the instructions are %q", m.asked.System)
	}
	if resp.Text != prompt || streamed.String() != prompt {
		t.Errorf("came back as %q, streamed as %q", resp.Text, streamed.String())
	}
}

// The control: without the wrapper the model is told everything.
func TestPseudonyms_AreWhatHides(t *testing.T) {
	t.Parallel()
	m := &model{says: echo}
	if _, err := m.Complete(about(t, "Ada Lovelace"), llm.Request{Prompt: "for Ada Lovelace"}); err != nil || !strings.Contains(m.asked.Prompt, "Lovelace") {
		t.Errorf("asked %q (%v)", m.asked.Prompt, err)
	}
}

func TestPseudonyms_LeaveARequestWithNobodyInItAlone(t *testing.T) {
	t.Parallel()
	m := &model{says: func(llm.Request) (string, error) { return "PERSON_1 rules", nil }}
	resp, err := privacy.NewPseudonyms(m).Complete(t.Context(), llm.Request{System: "s", Prompt: "In 1914-1918 and 1 000 000 others", Input: json.RawMessage(`1`)})
	if err != nil || resp.Text != "PERSON_1 rules" || m.asked.System != "s" || m.asked.Prompt != "In 1914-1918 and 1 000 000 others" || string(m.asked.Input) != "1" {
		t.Errorf("asked %+v, got %+v (%v)", m.asked, resp, err)
	}
}

func TestPseudonyms_PutNamesBackIntoJSON(t *testing.T) {
	t.Parallel()
	const name = `Max "The <Brain>" O'Neil`
	m := &model{says: func(llm.Request) (string, error) { return `{"text":"person_1 wins, PERSON_1's day"}`, nil }}
	quoted, _ := json.Marshal(name)
	resp, err := privacy.NewPseudonyms(m).Complete(about(t, name), llm.Request{Prompt: string(quoted), Schema: json.RawMessage(`{}`)})
	var got struct{ Text string }
	if err != nil || json.Unmarshal([]byte(resp.Text), &got) != nil || got.Text != name+" wins, "+name+"'s day" {
		t.Errorf("got %q (%v)", resp.Text, err)
	}
	if m.asked.Prompt != `"PERSON_1"` {
		t.Errorf("asked %s", m.asked.Prompt)
	}
}

func TestPseudonyms_DoNotTakeWhatTheTextSaysAlready(t *testing.T) {
	t.Parallel()
	m := &model{says: echo}
	const prompt = "PERSON_1 and EMAIL_1 are variables of Ada Lovelace, ada@school.example"
	resp, err := privacy.NewPseudonyms(m).Complete(about(t, "Ada Lovelace"), llm.Request{Prompt: prompt})
	if err != nil || resp.Text != prompt || m.asked.Prompt != "PERSON_1 and EMAIL_1 are variables of PERSON_2, EMAIL_2" {
		t.Errorf("asked %q, got %q (%v)", m.asked.Prompt, resp.Text, err)
	}
}

func TestPseudonyms_RestoreWhatARepairIsTold(t *testing.T) {
	t.Parallel()
	m := &model{says: func(llm.Request) (string, error) { return "", &llm.InvalidOutputError{LastText: "PERSON_1 is no JSON"} }}
	_, err := privacy.NewPseudonyms(m).Complete(about(t, "Ada Lovelace"), llm.Request{Prompt: "Ada Lovelace"})
	var bad *llm.InvalidOutputError
	if !errors.As(err, &bad) || bad.LastText != "Ada Lovelace is no JSON" {
		t.Errorf("got %v", err)
	}
}

// Whatever is hidden comes back, and nobody who was named is told.
func TestPseudonyms_GiveBackWhatTheyTook(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[A-Z][a-zé]{2,8} [A-Z][a-z]{2,8}`), 0, 6).Draw(rt, "names")
		words := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom(append([]string{"", " ", "PERSON_", "EMAIL", "_1", "x", "é", ".", "ann@b.example", "+49 30 1234567", "\n", "s", "S", `\n`, `\u00e9`, `\`}, names...)), rapid.String())).Draw(rt, "words")
		prompt := strings.ToValidUTF8(strings.Join(words, rapid.SampledFrom([]string{" ", ""}).Draw(rt, "between")), "")
		m := &model{says: echo}
		var streamed strings.Builder
		resp, err := privacy.NewPseudonyms(m).Complete(about(t, names...), llm.Request{Prompt: prompt, OnDelta: func(s string) { streamed.WriteString(s) }})
		if err != nil {
			rt.Fatal(err)
		}
		if !strings.EqualFold(resp.Text, prompt) || streamed.String() != resp.Text {
			rt.Fatalf("%q went out as %q and came back as %q, streamed as %q", prompt, m.asked.Prompt, resp.Text, streamed.String())
		}
		for _, name := range names {
			if strings.Contains(" "+m.asked.Prompt+" ", " "+name+" ") {
				rt.Fatalf("%q was told: %q", name, m.asked.Prompt)
			}
		}
	})
}

// The rules see the originals, and what they find wrong goes to the model under pseudonyms.
func TestPseudonyms_RepairUnderPseudonyms(t *testing.T) {
	t.Parallel()
	var prompts []string
	m := &model{says: func(req llm.Request) (string, error) {
		prompts = append(prompts, req.Prompt)
		return "PERSON_1 and new@mail.example", nil
	}}
	var judged []string
	_, rounds, err := llm.CompleteValid(about(t, "Ada Lovelace"), privacy.NewPseudonyms(m), llm.Request{Prompt: "for Ada Lovelace"}, func(text string) []fault.Detail {
		judged = append(judged, text)
		if len(judged) == 1 {
			return []fault.Detail{{Field: "answer", Reason: "Ada Lovelace and new@mail.example may not stand there"}}
		}
		return nil
	})
	if err != nil || rounds != 2 || judged[0] != "Ada Lovelace and new@mail.example" {
		t.Errorf("%d rounds, judged %q, %v", rounds, judged, err)
	}
	if strings.Contains(prompts[1], "Lovelace") || !strings.Contains(prompts[1], "PERSON_1 and EMAIL_1 may not") {
		t.Errorf("the repair says %s", prompts[1])
	}
}

func TestPseudonyms_HideInConversationsAndTools(t *testing.T) {
	t.Parallel()
	ctx := llm.WithCaller(t.Context(), llm.Caller{Names: []string{"Ada Byron"}})
	var sent llm.Request
	client := privacy.NewPseudonyms(clientFunc(func(req llm.Request) (llm.Response, error) {
		sent = req
		return llm.Response{Calls: []llm.ToolCall{{ID: "2", Name: "mail", Arguments: []byte(`{"to":"PERSON_1"}`)}}}, nil
	}))
	turns := []llm.Message{
		{Role: llm.RoleUser, Text: "Write to Ada Byron."},
		{Role: llm.RoleAssistant, Calls: []llm.ToolCall{{ID: "1", Name: "find", Arguments: []byte(`{"who":"Ada Byron"}`)}}},
		{Role: llm.RoleTool, Call: "1", Text: "Ada Byron is ada@example.org"},
	}
	resp, err := client.Complete(ctx, llm.Request{Messages: turns})
	if err != nil || string(resp.Calls[0].Arguments) != `{"to":"Ada Byron"}` {
		t.Errorf("%s, %v", resp.Calls[0].Arguments, err)
	}
	told := sent.Messages[0].Text + string(sent.Messages[1].Calls[0].Arguments) + sent.Messages[2].Text
	if told != `Write to PERSON_1.{"who":"PERSON_1"}PERSON_1 is EMAIL_1` {
		t.Errorf("the model was told %q", told)
	}
	if turns[2].Text != "Ada Byron is ada@example.org" || string(turns[1].Calls[0].Arguments) != `{"who":"Ada Byron"}` {
		t.Errorf("the caller's turns were changed: %+v", turns)
	}
}

type clientFunc func(llm.Request) (llm.Response, error)

func (f clientFunc) Describe() string { return "test model" }

func (f clientFunc) Complete(_ context.Context, req llm.Request) (llm.Response, error) { return f(req) }

// Prompts show inputs as JSON, where a name at the beginning of a line stands behind a backslash and a letter; and some languages put an s behind
// a name without an apostrophe.
func TestPseudonyms_HideBehindEscapesAndWithEndings(t *testing.T) {
	t.Parallel()
	quoted := func(s string) string { data, _ := json.Marshal(s); return string(data) }
	for name, prompt := range map[string]string{
		"NewLine": quoted("Students:\nAda Lovelace\nADA LOVELACE"),
		"Part":    quoted("Students:\n\tAda\r\nLovelace"),
		"Address": quoted("Write to\nada@school.example\nand <ada@school.example>"),
		"Quote":   quoted(`C:\Ada Lovelace, "Ada Lovelace"`),
		"Ending":  "Ada Lovelaces Aufgabe, Adas Heft",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{says: echo}
			resp, err := privacy.NewPseudonyms(m).Complete(about(t, "Ada Lovelace"), llm.Request{Prompt: prompt})
			if err != nil || !strings.EqualFold(resp.Text, prompt) {
				t.Errorf("%s came back as %s (%v)", prompt, resp.Text, err)
			}
			for _, secret := range []string{"ada", "lovelace", "school"} {
				if strings.Contains(strings.ToLower(m.asked.Prompt), secret) {
					t.Errorf("the model was told %q: %s", secret, m.asked.Prompt)
				}
			}
			if strings.HasPrefix(prompt, `"`) && !json.Valid([]byte(m.asked.Prompt)) {
				t.Errorf("what was JSON is none: %s", m.asked.Prompt)
			}
		})
	}
}
