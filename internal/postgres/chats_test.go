package postgres_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/chat/chattest"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

func TestChats_AreAStore(t *testing.T) {
	t.Parallel()
	chattest.Run(t, func(t *testing.T) chat.Store { return postgres.NewChats(open(t, postgres.Config{})) })
}

// What is older than a tenant keeps tasks is deleted, but for a message that is being answered; another tenant's stays.
func TestChats_AgeAsTasksDo(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	s := postgres.NewChats(db)
	for _, o := range []chat.Owner{{Tenant: "school", UserID: "ada"}, {Tenant: "other", UserID: "ada"}} {
		for _, id := range []string{"done-" + o.Tenant, "open-" + o.Tenant} {
			if err := s.Create(t.Context(), chattest.Conversation(o, id, 0), 10); err != nil {
				t.Fatal(err)
			}
			m, err := s.Add(t.Context(), o, chattest.Message(id, "m-of-"+id), []byte(`{}`), "", 10)
			if err != nil {
				t.Fatal(err)
			}
			if m.State = chat.Answered; id == "done-"+o.Tenant {
				if err := s.Settle(t.Context(), o, m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, want := range []int{1, 0} {
		if n, err := db.DeleteTurns(t.Context(), "school", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), 10); n != want || err != nil {
			t.Errorf("%d deleted, %v, want %d", n, err, want)
		}
	}
	left := chat.Owner{Tenant: "school", UserID: "ada"}
	if _, err := s.Message(t.Context(), left, "done-school", "m-of-done-school"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := s.Message(t.Context(), left, "open-school", "m-of-open-school"); err != nil {
		t.Error(err)
	}
}

// The tasks of a deleted conversation's turns are known until the janitor has deleted them.
func TestChats_WhatIsDeletedIsNotedForTheJanitor(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	s := postgres.NewChats(db)
	o := chat.Owner{Tenant: "school", UserID: "ada"}
	for _, id := range []string{"c1", "c2"} {
		if err := s.Create(t.Context(), chattest.Conversation(o, id, 0), 10); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(t.Context(), o, chattest.Message(id, "m-of-"+id), []byte(`{}`), "", 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), chat.Owner{Tenant: "school", UserID: "eve"}, "c2"); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), o, "c1"); err != nil {
		t.Fatal(err)
	}
	found, err := db.DeletedTurns(t.Context(), time.Now().Add(time.Minute), 10)
	if err != nil || len(found) != 1 || found[0] != (privacy.DeletedTurn{Tenant: "school", Task: "task-of-m-of-c1"}) {
		t.Fatal(found, err)
	}
	if err := db.DropTurn(t.Context(), found[0]); err != nil {
		t.Fatal(err)
	}
	if found, err = db.DeletedTurns(t.Context(), time.Now().Add(time.Minute), 10); err != nil || len(found) != 0 {
		t.Error(found, err)
	}
}
