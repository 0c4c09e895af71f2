package ask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"text/template"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// Config is what an Author needs.
type Config struct {
	Client  llm.Client
	Kind    string // "quiz": the first half of every purpose
	Version int    // of the kind's prompts, from 1
	Files   fs.FS  // holds the folder prompts
}

// Author asks a model for the parts of one kind's results. It is immutable and safe for concurrent use.
type Author struct {
	client    llm.Client
	tools     Tools // nil: none are offered
	kind      string
	number    int
	version   string            // "quiz/1"
	systems   map[string]string // the instructions of each prompt
	templates map[string]*template.Template
	schemas   map[string]json.RawMessage
	answers   map[string]*jsonschema.Schema // the schemas, compiled
}

var errNoPrompts = errors.New("there are no prompts")

// Version returns the version of the prompts, from 1, for work that differs between versions.
func (a *Author) Version() int { return a.number }

// NewAuthor reads and checks the prompts of one kind and version.
func NewAuthor(cfg Config) (*Author, error) {
	if cfg.Client == nil || cfg.Files == nil || cfg.Kind == "" || cfg.Version < 1 {
		return nil, errors.New("author: Client, Kind, Version and Files are required")
	}
	a := &Author{
		client: cfg.Client, kind: cfg.Kind, number: cfg.Version, version: fmt.Sprintf("%s/%d", cfg.Kind, cfg.Version),
		systems: map[string]string{}, templates: map[string]*template.Template{}, schemas: map[string]json.RawMessage{},
		answers: map[string]*jsonschema.Schema{},
	}
	if e, ok := cfg.Client.(equipped); ok {
		a.client, a.tools = e.Client, e.tools
	}
	suffix := fmt.Sprintf(".v%d.md", cfg.Version)
	files, err := fs.Glob(cfg.Files, "prompts/*"+suffix)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("author: kind %s, version %d: %w", cfg.Kind, cfg.Version, errors.Join(err, errNoPrompts))
	}
	for _, file := range files {
		if err := a.load(cfg.Files, file, strings.TrimSuffix(path.Base(file), suffix)); err != nil {
			return nil, fmt.Errorf("author: %s: %w", file, err)
		}
	}
	return a, nil
}

func (a *Author) load(files fs.FS, file, name string) error {
	text, err := fs.ReadFile(files, file)
	if err != nil {
		return err
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{"data": fence}).Parse(string(text))
	if err != nil {
		return err
	}
	if t.Lookup("system") == nil || t.Lookup("prompt") == nil {
		return errors.New(`the parts "system" and "prompt" are required`)
	}
	var system bytes.Buffer
	if err := t.ExecuteTemplate(&system, "system", nil); err != nil {
		return err
	}
	if strings.Contains(system.String(), "<no value>") {
		return errors.New(`the part "system" may not show data`)
	}
	a.systems[name], a.templates[name] = strings.TrimSpace(system.String()), t
	a.schemas[name], err = fs.ReadFile(files, strings.TrimSuffix(file, ".md")+".schema.json")
	if errors.Is(err, fs.ErrNotExist) { // it is answered in words: see Converse
		delete(a.schemas, name)
		return nil
	}
	if err != nil {
		return err
	}
	a.answers[name], err = compile(name, a.schemas[name])
	return err
}

func compile(name string, schema json.RawMessage) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	return c.Compile(name)
}

// fence shows a value as JSON between tags. The encoder escapes < and >, so that nothing inside can close the fence.
func fence(name string, v any) (string, error) {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return "", err
	}
	return "<" + name + ">\n" + string(data) + "\n</" + name + ">", nil
}

// Render returns the instructions and the prompt for an input, as a model gets them.
func (a *Author) Render(prompt string, input any) (system, text string, err error) {
	t, ok := a.templates[prompt]
	if !ok {
		return "", "", fmt.Errorf("kind %s has no prompt %q", a.kind, prompt)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "prompt", input); err != nil {
		return "", "", fmt.Errorf("render prompt %s of kind %s: %w", prompt, a.kind, err)
	}
	return a.systems[prompt], strings.TrimSpace(b.String()), nil
}

func (a *Author) request(prompt string, input any) (llm.Request, error) {
	system, text, err := a.Render(prompt, input)
	if err != nil {
		return llm.Request{}, err
	}
	data, err := json.Marshal(input)
	if err != nil {
		return llm.Request{}, fmt.Errorf("encode the input of prompt %s: %w", prompt, err)
	}
	return llm.Request{
		Purpose: a.kind + "." + prompt, Version: a.version, System: system, Prompt: text, Input: data, Schema: a.schemas[prompt],
	}, nil
}
