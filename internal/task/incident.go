package task

import (
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Incident is one trouble: the dead letters with the same fingerprint on which nobody has decided yet.
type Incident struct {
	Fingerprint string       `json:"fingerprint"`
	Cause       events.Cause `json:"cause"`
	Kinds       []string     `json:"kinds"`   // of the tasks, sorted
	Pattern     string       `json:"pattern"` // the error with its values taken out: see Pattern; clipped to MaxSample
	Sample      string       `json:"sample"`  // the error of the last one, clipped to MaxSample
	Count       int          `json:"count"`
	FirstSeen   time.Time    `json:"first_seen"` // when the first of them failed
	LastSeen    time.Time    `json:"last_seen"`
	Tasks       []string     `json:"tasks"` // ids of the last ones, at most MaxSampleTasks, the last one first
}

// What an Incident shows of its dead letters.
const (
	MaxSample      = 2 << 10 // bytes
	MaxSampleTasks = 5
)

// IncidentFilter chooses the dead letters that incidents are made of. Zero fields choose all; Tenant is required.
type IncidentFilter struct {
	Tenant       string
	UserID       string
	Kinds        []string
	Causes       []events.Cause
	Fingerprint  string
	Search       string     // words that the error holds, as in Filter
	FailedAfter  *time.Time // exclusive, as both are
	FailedBefore *time.Time
	Order        IncidentOrder
	Cursor       string // IncidentPage.Next of the page before
	Limit        int    // 1 to MaxPage; 0 takes DefaultPage
}

// IncidentOrder says which incident comes first.
type IncidentOrder string

const (
	ByLastSeen IncidentOrder = "last_seen" // the one that was seen last; also when Order is empty
	ByCount    IncidentOrder = "count"     // the one with the most dead letters
)

// IncidentPage is one page of incidents. One that changes its place in the order while pages are read may be missed or come
// twice.
type IncidentPage struct {
	Incidents []Incident
	Next      string // cursor of the next page; empty on the last one
}
