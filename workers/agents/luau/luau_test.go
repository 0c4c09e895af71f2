package luau_test

import (
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/workers/agents/luau"
)

func texts(t *testing.T, code string) []string {
	t.Helper()
	tokens, problem := luau.Tokens(code)
	if problem != nil {
		t.Fatalf("%v in %q", problem, code)
	}
	var out []string
	for _, token := range tokens {
		out = append(out, token.Text)
	}
	return out
}

func TestTokens_RespectsStringsAndComments(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		`local x = 1 -- end end`:              "local|x|=|1",
		"a --[[ end\n do ]] b":                "a|b",
		"a --[==[ ]] ]==] b":                  "a|b",
		`s = "it's \" end" t`:                 `s|=|it's \" end|t`,
		`s = 'a\'b'`:                          `s|=|a\'b`,
		"s = [[ function\n end ]] t":          "s|=| function\n end |t",
		"s = [=[ ]] ]=] t":                    "s|=| ]] |t",
		"x = 1_000 + 0xFF - 1e-5 .. 2.5":      "x|=|1_000|+|0xFF|-|1e-5|..|2.5",
		"t[1]..'x'":                           "t|[|1|]|..|x",
		"x += 1; y //= 2":                     "x|+=|1|;|y|//=|2",
		"`a {b} c {d.e(`{f}`)} g`":            "a |{|b|}| c |{|d|.|e|(||{|f|}||)|}| g",
		"`{ {1, 2}[1] }`":                     "|{|{|1|,|2|}|[|1|]|}|",
		"x = a :: number -> b":                "x|=|a|::|number|->|b",
		"s = \"a\\z  \n  b\" t":               "s|=|a\\z  \n  b|t",
		"if a ~= b then return ... end --":    "if|a|~=|b|then|return|...|end",
		"local function f<T>(x: T?): {T} end": "local|function|f|<|T|>|(|x|:|T|?|)|:|{|T|}|end",
	} {
		if got := strings.Join(texts(t, code), "|"); got != want {
			t.Errorf("%q:\n got %s\nwant %s", code, got, want)
		}
	}
}

func TestTokens_NamesTheLineOfWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"a\nb = \"x":             "line 2: a string does not end",
		"\"x\ny\"":               "line 1: a string does not end on its line",
		"a\n\n[[ x":              "line 3: a long string or comment does not end",
		"--[[ x":                 "line 1: a long string or comment does not end",
		"`a {b":                  "line 1: an expression in a string does not end",
		"a\n$":                   "line 2: '$' is no part of Luau",
		strings.Repeat("`{", 40): "line 1: interpolated strings nest too deep",
	} {
		if _, problem := luau.Tokens(code); problem == nil || problem.String() != want {
			t.Errorf("%q: got %v, want %s", code, problem, want)
		}
	}
}

func balanced(t *testing.T, code string) []luau.Problem {
	t.Helper()
	tokens, problem := luau.Tokens(code)
	if problem != nil {
		t.Fatalf("%v in %q", problem, code)
	}
	return luau.Balanced(tokens)
}

func TestBalanced_AcceptsLuau(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"",
		"function f() end",
		"local f = function() return 1 end",
		"for i = 1, 3 do print(i) end while x do y() end",
		"repeat x() until y",
		"if a then b() elseif c then d() else e() end",
		"local x = if a then b else c",
		"local x = if a then b elseif c then d else e f()",
		"local x = if a then if b then c else d else e",
		"return if a then 1 else 2",
		"f(if a then 1 else 2, if b then 3 else 4)",
		"local x = if a then function() if b then c() end end else nil if d then e() end",
		"x = y if a then b() end",
		"f() if a then b() end",
		"local t: Array<number>\nif a then b() end",
		"x = { a = function() end, [1] = if q then 1 else 2 }",
		"local s = `{if a then 1 else 2} end`",
		"if (if a then b else c) then d() end",
		"while if a then b else c do d() end",
		"x = a > if b then 1 else 2",
		"if a then return end if b then return end",
	} {
		if problems := balanced(t, code); len(problems) > 0 {
			t.Errorf("%q: %v", code, problems)
		}
	}
}

func TestBalanced_NamesWhatIsNotClosed(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"function f()":               `line 1: "function" is not closed`,
		"if a then\nb()":             `line 1: "if" is not closed`,
		"end":                        `line 1: "end" closes nothing`,
		"f(\n{ a }":                  `line 1: "(" is not closed`,
		"f(a))":                      `line 1: ")" closes nothing`,
		"f(a]":                       `line 1: "]" comes before "(" of line 1 is closed`,
		"repeat x() end":             `line 1: "end" comes before "repeat" of line 1 is closed`,
		"if a b() end":               `line 1: "end" comes before "if" of line 1 is closed`,
		"then":                       `line 1: "then" without an "if"`,
		"else":                       `line 1: "else" without an "if … then"`,
		"local x = if a then b\nend": `line 2: "end" comes before the "else" of the expression "if" in line 1`,
		"do do end":                  `line 1: "do" is not closed`,
		"until x":                    `line 1: "until" closes nothing`,
	} {
		problems := balanced(t, code)
		if len(problems) == 0 || problems[0].String() != want {
			t.Errorf("%q: got %v, want %s", code, problems, want)
		}
	}
}

func forbidden(t *testing.T, code string) int {
	t.Helper()
	tokens, problem := luau.Tokens(code)
	if problem != nil {
		t.Fatalf("%v in %q", problem, code)
	}
	return len(luau.Forbidden(tokens))
}

func TestForbidden_FindsTheDangers(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		`loadstring("x")()`, `getfenv()`, `setfenv(1, {})`, `local s = game:GetService("HttpService")`, `game.HttpService`,
		"game:GetService(`InsertService`)", `game:GetService [[TeleportService]]`, `game.MarketplaceService`, `_G.x = 1`, `shared.x = 1`,
		`require(12345)`, `require((0x10))`, `local l = loadstring`, "print(`{_G.x}`)",
	} {
		if forbidden(t, code) != 1 {
			t.Errorf("%q is let through", code)
		}
	}
	for _, code := range []string{
		"-- loadstring\nprint(1)", `print("loadstring is bad")`, `require(script.Parent.Module)`, `x.shared = 1`, `local HttpServiceName = 1`,
		`print("HttpService is off")`, `require("./lib")`,
	} {
		if forbidden(t, code) != 0 {
			t.Errorf("%q is refused", code)
		}
	}
}

func TestReturns_LooksOutsideBlocks(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"local M = {} return M":                             true,
		"local M = {} function M.f() return 1 end":          false,
		"local M = { f = function() return 1 end }":         false,
		"if a then return 1 end":                            false,
		"local M = {} function M.f() return 1 end return M": true,
		"return": false,
	} {
		tokens, _ := luau.Tokens(code)
		if got := luau.Returns(tokens); got != want {
			t.Errorf("%q: got %v", code, got)
		}
	}
}

// FuzzTokens checks that no source text stops the reader, and that lines only grow.
func FuzzTokens(f *testing.F) {
	for _, code := range []string{"local x = `a {b} c`", "--[==[ x ]==]", "if a then b else c end", "\"\\z \n x\"", "[=[", "1e+5..2", "`{`{`"} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code string) {
		tokens, _ := luau.Tokens(code)
		line := 1
		for _, token := range tokens {
			if token.Kind != luau.String && token.Line < line {
				t.Fatalf("line %d comes after line %d", token.Line, line)
			}
			line = max(line, token.Line)
		}
		luau.Balanced(tokens)
		luau.Forbidden(tokens)
		luau.Returns(tokens)
	})
}

// FuzzQuote checks that a quoted text is one string, whatever it holds.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, "\n", "]] --[[", "\x00\x01", "é日本", "\\\"", "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens, problem := luau.Tokens("x = " + luau.Quote(s) + " y")
		if problem != nil || len(tokens) != 4 || tokens[2].Kind != luau.String || tokens[3].Text != "y" || tokens[3].Line != 1 {
			t.Fatalf("%q gives %v (%v)", s, tokens, problem)
		}
		tokens, problem = luau.Tokens(luau.Comment(s) + "\ny")
		if problem != nil || len(tokens) != 1 || tokens[0].Line != 2 {
			t.Fatalf("the comment of %q gives %v (%v)", s, tokens, problem)
		}
	})
}
