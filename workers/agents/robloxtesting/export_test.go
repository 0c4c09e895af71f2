package robloxtesting

// NewWithRules is New with other rules.
var NewWithRules = newAgent
