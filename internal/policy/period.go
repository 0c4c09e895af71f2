package policy

import "time"

// Bounds returns the first moment of the period that at is in and that of the next one, in UTC. Of a Period that is none, both
// are zero.
func (p Period) Bounds(at time.Time) (start, end time.Time) {
	year, month, day := at.UTC().Date()
	switch p {
	case Day:
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC), time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
	case Month:
		return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC), time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}, time.Time{}
}

// Valid reports whether p is one of the periods.
func (p Period) Valid() bool { return p == Day || p == Month }

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return s == ScopeTenant || s == ScopeUser || s == ScopeWorkflow }
