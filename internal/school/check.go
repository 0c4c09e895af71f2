package school

import (
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxID is the length of the longest id of anything, in bytes.
const maxID = 128

// possible reports whether anything can have this id: others are not worth a query, and some the database would choke on.
func possible(id string) bool {
	return id != "" && len(id) <= maxID && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
}

// exists returns NotFound for an id that nothing can have.
func exists(what, id string) error {
	if !possible(id) {
		return fault.New(fault.NotFound, "there is no %s %.64q", what, id)
	}
	return nil
}

// checkTenantID takes the ids that can be a token of a subject.
func checkTenantID(id string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789_-"
	if id == "" || len(id) > 64 || strings.Trim(id, allowed) != "" {
		return fault.InvalidField("id", "must have 1 to 64 characters of a-z, 0-9, _ and -")
	}
	return nil
}

func checkLimit(limit *int) error {
	if *limit == 0 {
		*limit = DefaultPage
	}
	if *limit < 1 || *limit > MaxPage {
		return fault.InvalidField("limit", "is %d, must be 1 to %d", *limit, MaxPage)
	}
	return nil
}
