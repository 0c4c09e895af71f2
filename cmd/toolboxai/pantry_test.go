package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// Whoever stores by the API, however much, pushes out nothing of what agents know, and fills no more than a list of answers. Neither
// finds what is the other's.
func TestPantry_IsBoundedAndApartFromAgents(t *testing.T) {
	t.Parallel()
	local := llm.NewLocalAnswers()
	index, err := llm.NewSemantic(llm.SemanticConfig{Embedder: llm.OfflineEmbedder{}, Vectors: local, Answers: local})
	if err != nil {
		t.Fatal(err)
	}
	p := pantry{&caches{answers: local, index: index, generation: func(context.Context, string) (string, error) { return "", nil }}}
	agents := llm.Similar{Scope: "school", Space: "agents", Texts: []string{"how plants grow in spring"}, Key: "k"}
	for _, err := range []error{local.Keep(t.Context(), "school", "k", llm.Answer{Text: "of an agent"}, time.Hour), index.Add(t.Context(), agents, llm.Answer{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	store := func(prompt string) {
		if err := p.Store(t.Context(), "school", api.CacheQuestion{Prompt: prompt}, "of the API", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	store(agents.Texts[0])
	first, _, err := index.Search(t.Context(), agents)
	if err != nil || first.Answer.Text != "of an agent" {
		t.Errorf("%+v, %v", first, err)
	}
	var oldest llm.Vector
	if all, _, err := local.Since(t.Context(), pantryOf("school"), ""); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	} else {
		oldest = all[0]
	}
	for n := range llm.MaxVectors {
		store(fmt.Sprint("a prompt of its own, number ", n))
	}
	if found, ok, err := index.Search(t.Context(), agents); err != nil || !ok || found.Answer.Text != "of an agent" {
		t.Errorf("an agent's answer was pushed out: %+v, %v", found, err)
	}
	if _, there, _ := local.Answer(t.Context(), pantryOf("school"), oldest.Key); there {
		t.Error("an answer that nothing leads to is kept")
	}
	if s, err := p.Stats(t.Context(), "school"); err != nil || s.Entries != llm.MaxVectors+1 {
		t.Errorf("%+v, %v", s, err)
	}
	other, err := p.Search(t.Context(), "college", api.CacheQuestion{Prompt: "a prompt of its own, number 7"})
	if err != nil || other.Hit {
		t.Errorf("another tenant finds %+v, %v", other, err)
	}
}
