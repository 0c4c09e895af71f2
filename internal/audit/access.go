package audit

import (
	"context"
	"time"
)

// Access says who looked at a student's data.
type Access struct {
	ID       string    `json:"id"` // unique; the recorder makes one where there is none
	At       time.Time `json:"at"` // zero: when it was recorded
	Tenant   string    `json:"tenant_id"`
	Actor    string    `json:"actor"`
	Student  string    `json:"student"`  // whose data it was
	Resource string    `json:"resource"` // such as "task 0199…"
	Route    string    `json:"route"`    // such as "GET /api/v1/tasks/{id}"
	IP       string    `json:"ip"`
}

// AccessRecorder puts on record who looked at a student's data. It is safe for concurrent use.
type AccessRecorder interface {
	// RecordAccess waits for the broker for at most two seconds. Empty fields are taken from the context: see WithFrom. Errors:
	// Invalid names the field; Unavailable and Timeout when it is not on record.
	RecordAccess(ctx context.Context, a Access) error
}

// AccessFilter says which accesses to list, newest first. Empty fields take all.
type AccessFilter struct {
	Tenant  string // required
	Student string
	Actor   string
	From    *time.Time // inclusive
	To      *time.Time // exclusive
	Cursor  string     // the Next of the page before
	Limit   int        // 1 to MaxPage; DefaultPage when 0
}

// AccessPage is a page of accesses.
type AccessPage struct {
	Accesses []Access
	Next     string // the next page's Cursor; empty on the last one
}

// AccessReader lists accesses. What was recorded within the last second may be missing. It is safe for concurrent use.
type AccessReader interface {
	// ListAccesses returns a page. Errors: Invalid names the field; Unavailable, Timeout.
	ListAccesses(ctx context.Context, f AccessFilter) (AccessPage, error)
}

// Check returns an Invalid fault when a cannot be put on record.
func (a Access) Check() error {
	for name, value := range map[string]string{
		"id": a.ID, "tenant_id": a.Tenant, "actor": a.Actor, "student": a.Student, "resource": a.Resource, "route": a.Route, "ip": a.IP,
	} {
		if err := checkField(name, value); err != nil {
			return err
		}
	}
	return nil
}
