// Package vet finds what is dangerous or careless in Luau source.
package vet

// Severity says what follows from a finding.
type Severity string

// The severities.
const (
	Deny Severity = "deny" // the script must not be used
	Flag Severity = "flag" // somebody should look at it
)

// Context is where a script runs.
type Context string

// The contexts.
const (
	Server Context = "ServerScript"
	Client Context = "LocalScript"
	Module Context = "ModuleScript"
)

// Finding is one place in a script that breaks a rule. Lines and columns count from 1, columns in bytes; the end is exclusive.
type Finding struct {
	Rule      string // "require-by-id"; "syntax" for source that does not parse
	Severity  Severity
	Line      int
	Column    int
	EndLine   int
	EndColumn int
	Why       string // what can happen, in one sentence
	Mend      string // what to write instead, in one sentence
}

// Check returns what is wrong with a script, by position, at most 100 findings. Source that does not parse gives one finding of rule "syntax",
// with Deny, and those that can be made without a tree.
func Check(source string, where Context) []Finding {
	return nil
}
