package breaker

// ProcessState are the breakers of one process.
type ProcessState struct {
	Process  string  `json:"process"`
	Breakers []State `json:"breakers"` // sorted by name
}
