package vet

import "strings"

// sourceRules are about how the source is written.
var sourceRules = []Rule{
	{"syntax", Deny, "the source does not parse", "correct the syntax at this place",
		"if true then print(1)", "if true then print(1) end"},
	{"too-long", Deny, "a source of more than 256 KiB is not read", "split it into modules",
		strings.Repeat("print(1)\n", MaxSource/9+1), "print(1)"},
	{"nocheck", Deny, "--!nocheck switches off the type checks that would show mistakes and tricks", "write --!strict or leave it out",
		"--!nocheck\nprint(1)", "--!strict\nprint(1)"},
	{"hidden-code", Deny, "code stands so far to the right that a reader does not see it", "begin a new line for each statement, below one another",
		"print(1)" + strings.Repeat(" ", 120) + "print(2)", "print(1)\nprint(2)"},
	{"invisible-text", Deny, "a character misleads the reader", "write visible letters of one alphabet",
		"print(\"admin\u202e\")", "print(\"пример: é, 日本\")"},
	{"escaped-text", Deny, "letters are written as numbers, which hides a name", "write the text as it reads",
		`print("\104\101\108\108\111")`, `print("hello \226\128\147 \27[0m")`},
	{"encoded-data", Deny, "a long encoded text or table of bytes can carry code that nobody has read", "write data as tables with names, and leave pictures and sounds to assets",
		`print("` + strings.Repeat("aG9Wc2x7Qk", 20) + `")`, `print("` + strings.Repeat("All of this is prose that a person can read. ", 10) + `")`},
}
