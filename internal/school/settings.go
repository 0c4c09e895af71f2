package school

import (
	"encoding/json"
	"fmt"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Settings are what is decided for a tenant. What JSON does not say is as in DefaultSettings; the zero value is not.
type Settings struct {
	RetentionDays RetentionDays `json:"retention_days"`
	Pseudonyms    bool          `json:"pseudonyms"` // models are told of people under other names
}

// RetentionDays is for how many days things are kept; 0: for ever.
type RetentionDays struct {
	Tasks  int `json:"tasks"`  // finished ones, from when they were submitted
	Audit  int `json:"audit"`  // entries of the audit log
	Access int `json:"access"` // entries about who looked at a student's data
}

// maxRetention is a hundred years, in days.
const maxRetention = 36_500

// DefaultSettings returns the settings of a tenant for which nothing was decided.
func DefaultSettings() Settings { return Settings{Pseudonyms: true} }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Settings) UnmarshalJSON(data []byte) error {
	type plain Settings
	read := plain(DefaultSettings())
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("decode settings: %w", err)
	}
	*s = Settings(read)
	return nil
}

// Check returns an Invalid fault that names every field out of its bounds.
func (s Settings) Check() error {
	var wrong []fault.Detail
	for _, days := range []struct {
		name string
		n    int
	}{{"tasks", s.RetentionDays.Tasks}, {"audit", s.RetentionDays.Audit}, {"access", s.RetentionDays.Access}} {
		if days.n < 0 || days.n > maxRetention {
			wrong = append(wrong, fault.Detail{Field: "settings.retention_days." + days.name, Reason: fmt.Sprintf("must be 0 to %d", maxRetention)})
		}
	}
	if len(wrong) > 0 {
		return fault.InvalidFields(wrong)
	}
	return nil
}
