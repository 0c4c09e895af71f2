package vet_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
)

func rulesOf(findings []vet.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Rule)
	}
	return out
}

func TestRules_FindTheBadExampleAndNotTheGoodOne(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range vet.Rules() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			bad := vet.Check(r.Bad, vet.Server)
			i := slices.IndexFunc(bad, func(f vet.Finding) bool { return f.Rule == r.ID })
			if i < 0 {
				t.Fatalf("%q gives %v", r.Bad, rulesOf(bad))
			}
			if f := bad[i]; f.Severity != r.Severity || f.Why == "" || f.Mend != r.Mend || f.Line < 1 || f.Column < 1 || f.EndLine < f.Line {
				t.Errorf("%+v", f)
			}
			good := vet.Check(r.Good, vet.Server)
			if slices.ContainsFunc(good, func(f vet.Finding) bool { return f.Rule == r.ID || f.Severity == vet.Deny }) {
				t.Errorf("%q gives %v", r.Good, good)
			}
		})
		if seen[r.ID] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(r.ID) {
			t.Errorf("the id %q is used twice or is not in kebab case", r.ID)
		}
		seen[r.ID] = true
	}
}

func TestCheck_SaysWhere(t *testing.T) {
	t.Parallel()
	got := vet.Check("local a = 1\n\tlocal m = require(123)\nloadstring(a)", vet.Server)
	want := []vet.Finding{
		{Rule: "require-by-id", Severity: vet.Deny, Line: 2, Column: 12, EndLine: 2, EndColumn: 24},
		{Rule: "loadstring", Severity: vet.Deny, Line: 3, Column: 1, EndLine: 3, EndColumn: 11},
	}
	for i := range got {
		got[i].Why, got[i].Mend = "", ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheck_KeepsWhatDeniesWhenThereIsMuch(t *testing.T) {
	t.Parallel()
	handler := "game:GetService('RunService').Heartbeat:Connect(print)\n"
	got := vet.Check(strings.Repeat(handler, 300)+"loadstring('x')\n"+strings.Repeat(handler, 300), vet.Server)
	if len(got) != 100 || !slices.Contains(rulesOf(got), "loadstring") {
		t.Errorf("%d findings: %v", len(got), rulesOf(got))
	}
	if !slices.IsSortedFunc(got, func(a, b vet.Finding) int { return a.Line - b.Line }) {
		t.Error("they are not in their order")
	}
}

func TestCheck_ChecksTheTextAlsoWhereItDoesNotParse(t *testing.T) {
	t.Parallel()
	got := rulesOf(vet.Check("--!nocheck\nif then"+strings.Repeat(" ", 150)+"x()", vet.Server))
	if diff := cmp.Diff([]string{"nocheck", "syntax", "hidden-code"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheck_TellsLocalsAndFieldsFromGlobals has names that mean something only as globals.
func TestCheck_TellsLocalsAndFieldsFromGlobals(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"local shared = {} shared.x = 1", "local M = {} M.require = print M.require(5)", "local function loadstring(s) return s end loadstring('x')",
		"local t = { shared = 1, _G = 2 } print(t.shared, t._G)", "local debug = {} debug.anything = 1", "for shared = 1, 3 do print(shared) end",
		"local x: typeof(require(script.Parent.M)) = nil", "local plugin = script.Plugin print(plugin.Name)",
	} {
		if got := vet.Check(source, vet.Server); len(got) > 0 {
			t.Errorf("%q gives %v", source, got)
		}
	}
	for source, want := range map[string]string{
		"do local shared = {} end shared.x = 1": "global-table", "local function f(require) end require(5)": "require-by-id",
		"local function loadstring() end do loadstring() end print(getfenv)": "environment",
	} {
		if got := rulesOf(vet.Check(source, vet.Server)); !slices.Equal(got, []string{want}) {
			t.Errorf("%q gives %v, want %s", source, got, want)
		}
	}
}

// TestCheck_TakesItsTime measures scripts that are made to be slow to evaluate.
func TestCheck_TakesItsTime(t *testing.T) {
	t.Parallel()
	nested := strings.Repeat("f(", 150) + "1" + strings.Repeat(")", 150)
	for name, source := range map[string]string{
		"ManyCalls":       "local function f(x) return x end\n" + strings.Repeat("f(f)\n", 40000),
		"ManyAliases":     aliases(6000),
		"BigTable":        "local t = {" + strings.Repeat("'a',", 30000) + "}\n" + strings.Repeat("print(t[1], t[x])\n", 6000),
		"ManyWrites":      "local t = {}\n" + strings.Repeat("t.x = t.x .. t.y\n", 10000),
		"Doubling":        "local a = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n" + strings.Repeat("a = a .. a\n", 15000),
		"NestedCalls":     "local function f(x) return x end\nlocal y = " + nested,
		"NestedFunctions": strings.Repeat("local function f() ", 180) + strings.Repeat(" end", 180),
		"ManyFunctions":   strings.Repeat("local function f(x) return string.char(x) end print(workspace[f(1)])\n", 180),
		"ManyLoops":       strings.Repeat("while true do f() end\n", 10000),
		"Blanks":          strings.Repeat(" ", vet.MaxSource-1) + "x",
		"LongString":      "print('" + strings.Repeat("aG9x7", 50000) + "')",
		"JoinedTable":     "local t = {" + strings.Repeat("'abc',", 20000) + "}\n" + strings.Repeat("print(table.concat(t))\n", 5000),
		"AccountTable":    "local t = {" + strings.Repeat("[x] = 1,", 13000) + "}\nlocal p = game.Players:GetPlayers()[1]\n" + strings.Repeat("print(t[p.UserId])\n", 5500),
		"TablesInLoops":   "local t = {" + strings.Repeat("'abc',", 17000) + "}\n" + strings.Repeat("for _, v in t do print(v) end\n", 4500),
		"NestedLoops":     strings.Repeat("while true do ", 400) + strings.Repeat("g(1)\n", 25000) + strings.Repeat(" end", 400),
		"LoopsOverBig":    "function f()\n" + strings.Repeat("print(1)\n", 13000) + "end\n" + strings.Repeat("while true do f() end\n", 5000),
		"FramesOfBig":     "function f()\n" + strings.Repeat("print(1)\n", 13000) + "end\n" + strings.Repeat("x.Heartbeat:Connect(f)\n", 5000),
		"WritesInBig":     "function f(g)\n" + strings.Repeat("print(1)\n", 13000) + "end\n" + strings.Repeat("f(function() s:SetAsync(1) end)\n", 3500),
		"ManyComments":    strings.Repeat("--[[ x ]]", 28000),
	} {
		t.Run(name, func(t *testing.T) { // one at a time, so that each has a processor
			if len(source) > vet.MaxSource {
				source = source[:strings.LastIndexByte(source[:vet.MaxSource], '\n')]
			}
			began := time.Now()
			vet.Check(source, vet.Server)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%d bytes took %v", len(source), took)
			} else {
				t.Logf("%d bytes took %v", len(source), took)
			}
		})
	}
}

func aliases(n int) string {
	var b strings.Builder
	b.WriteString("local t = {}\nt.a0 = game\n")
	for i := range n {
		b.WriteString(strings.NewReplacer("N", strconv.Itoa(i+1), "M", strconv.Itoa(i)).Replace("t.aN = t.aM\n"))
	}
	return b.String()
}

// FuzzCheck looks for sources that stop it or take it beyond its bounds.
func FuzzCheck(f *testing.F) {
	for _, r := range vet.Rules() {
		if len(r.Bad) < 4<<10 {
			f.Add(r.Bad)
		}
		f.Add(r.Good)
	}
	f.Add("\xff\xfe-- \xe2\x80")
	f.Add("print('\\")
	f.Add("local a = a a = a .. a a()")
	f.Fuzz(func(t *testing.T, source string) {
		for _, where := range []vet.Context{vet.Server, vet.Client} {
			findings := vet.Check(source, where)
			if len(findings) > 100 {
				t.Fatalf("%d findings", len(findings))
			}
			for _, finding := range findings {
				if finding.Line < 1 || finding.Column < 1 || finding.Why == "" || finding.Mend == "" {
					t.Fatalf("%+v", finding)
				}
			}
			if diff := cmp.Diff(findings, vet.Check(source, where)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	source := `
local Players = game:GetService("Players")
local remote = game.ReplicatedStorage:WaitForChild("Buy")
local PRICES = { Sword = 50, Shield = 80 }
remote.OnServerEvent:Connect(function(player, item)
	if typeof(item) ~= "string" then return end
	local price = PRICES[item]
	if price and player.leaderstats.Coins.Value >= price then
		player.leaderstats.Coins.Value -= price
	end
end)
for _, player in Players:GetPlayers() do print(player.Name) end
`
	b.SetBytes(int64(len(source)))
	for b.Loop() {
		vet.Check(source, vet.Server)
	}
}
