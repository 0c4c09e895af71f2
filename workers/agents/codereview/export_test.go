package codereview

// NewWithRules is New with other rules.
var NewWithRules = newAgent
