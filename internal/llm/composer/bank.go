package composer

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed bank/*.json
var bankFiles embed.FS

// bank is what the composer knows, by subject.
type bank struct {
	subjects map[string]*subject // by the lower-case name and its aliases
}

// subject is what the composer knows of one subject.
type subject struct {
	Name      string     `json:"subject"`
	Aliases   []string   `json:"aliases"`
	Terms     []term     `json:"terms"`
	Facts     []fact     `json:"facts"`
	Questions []question `json:"questions"`
	Sequences []sequence `json:"sequences"`

	common map[string]bool // stems that more than one entry in five is about
}

// mark says what an entry is about and for whom.
type mark struct {
	Topics string `json:"topics"` // key words
	Grades string `json:"grades"` // "3-8"; K is 0

	topics   []string // stems
	words    []string // stems of the entry's own text
	from, to int
}

// term is a word of the subject.
type term struct {
	Term  string `json:"term"`
	Means string `json:"means"` // a phrase, without a period
	mark
}

// fact is a sentence with the word in brackets that a question may leave out.
type fact struct {
	Say string `json:"say"`
	mark
}

// question is a question with its answer. A closed one makes no sense without its options.
type question struct {
	Ask    string   `json:"ask"`
	Answer string   `json:"answer"`
	Wrong  []string `json:"wrong"`
	Why    string   `json:"why"`
	Closed bool     `json:"closed"`
	mark
}

// sequence is a list in its right order: any part of it is in the right order as well.
type sequence struct {
	Order string   `json:"order"` // by what: "planets, from the nearest to the farthest from the Sun"
	Items []string `json:"items"`
	mark
}

func openBank() (*bank, error) {
	b := &bank{subjects: map[string]*subject{}}
	files, err := fs.Glob(bankFiles, "bank/*.json")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := bankFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s := &subject{}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(s); err != nil {
			return nil, fmt.Errorf("composer: %s: %w", file, err)
		}
		if err := s.index(); err != nil {
			return nil, fmt.Errorf("composer: %s: %w", file, err)
		}
		for _, name := range append([]string{s.Name}, s.Aliases...) {
			b.subjects[strings.ToLower(name)] = s
		}
	}
	return b, nil
}

// subject returns what is known of a subject, or nil.
func (b *bank) subject(name string) *subject {
	return b.subjects[strings.ToLower(strings.TrimSpace(name))]
}

func (s *subject) index() error {
	for i := range s.Terms {
		if err := s.Terms[i].read(s.Terms[i].Term + " " + s.Terms[i].Means); err != nil {
			return err
		}
	}
	for i := range s.Facts {
		if err := s.Facts[i].read(s.Facts[i].Say); err != nil {
			return err
		}
	}
	for i := range s.Questions {
		if err := s.Questions[i].read(s.Questions[i].Ask + " " + s.Questions[i].Answer); err != nil {
			return err
		}
	}
	for i := range s.Sequences {
		if err := s.Sequences[i].read(s.Sequences[i].Order); err != nil {
			return err
		}
	}
	s.count()
	return nil
}

// count finds out which stems are common.
func (s *subject) count() {
	about, all := map[string]int{}, s.marks()
	for _, m := range all {
		for _, stem := range m.topics {
			about[stem]++
		}
	}
	s.common = map[string]bool{}
	for stem, n := range about {
		s.common[stem] = 5*n > len(all)
	}
}

func (s *subject) marks() []mark {
	var all []mark
	for _, t := range s.Terms {
		all = append(all, t.mark)
	}
	for _, f := range s.Facts {
		all = append(all, f.mark)
	}
	for _, q := range s.Questions {
		all = append(all, q.mark)
	}
	for _, q := range s.Sequences {
		all = append(all, q.mark)
	}
	return all
}

// read fills in what is derived from the text of the entry.
func (m *mark) read(text string) error {
	m.topics, m.words = stems(m.Topics), stems(text)
	from, to, ok := strings.Cut(strings.Replace(m.Grades, "K", "0", 1), "-")
	var err error
	if ok {
		if m.from, err = strconv.Atoi(from); err == nil {
			m.to, err = strconv.Atoi(to)
		}
	}
	if !ok || err != nil {
		return fmt.Errorf("grades %q of %q are no range", m.Grades, text)
	}
	return nil
}

// statement returns the sentence of a fact and the word that a question may leave out.
func (f fact) statement() (sentence, word string) {
	before, rest, _ := strings.Cut(f.Say, "[")
	word, after, _ := strings.Cut(rest, "]")
	return before + word + after, word
}

// blanked returns the sentence with a blank for the word.
func (f fact) blanked() string {
	before, rest, _ := strings.Cut(f.Say, "[")
	_, after, _ := strings.Cut(rest, "]")
	return before + "____" + after
}
