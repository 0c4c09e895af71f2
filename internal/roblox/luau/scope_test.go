package luau_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

func TestResolve_TellsWhatNamesStandFor(t *testing.T) {
	t.Parallel()
	source := `local x = 1
local function f(p)
	x = p
	return function() return x + p + g end
end
do local x = x print(x) end
for i = 1, 2 do print(i) end
function t:m() return self end
repeat local y = f(1) until y
f = nil`
	scopes := luau.Resolve(parse(t, source))
	var got []string
	for _, v := range scopes.Vars {
		line := fmt.Sprintf("%s of line %d: %d uses, %d assignments", v.Local.Name, v.Local.Span().Start.Line, len(v.Uses), len(v.Assignments))
		if v.Captured {
			line += ", captured"
		}
		for _, use := range v.Uses {
			line += fmt.Sprintf(" %d/%d", use.Span().Start.Line, use.Binding())
		}
		got = append(got, line)
	}
	want := []string{
		"x of line 1: 3 uses, 1 assignments, captured 3/4 4/4 6/2",
		"f of line 2: 2 uses, 1 assignments 9/2 10/2",
		"p of line 2: 2 uses, 0 assignments, captured 3/3 4/4",
		"x of line 6: 1 uses, 0 assignments 6/2",
		"i of line 7: 1 uses, 0 assignments 7/2",
		"self of line 8: 1 uses, 0 assignments 8/3",
		"y of line 9: 1 uses, 0 assignments 9/2",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
	if len(scopes.Globals["print"]) != 2 || len(scopes.Globals["g"]) != 1 || len(scopes.Globals["x"]) != 0 || len(scopes.Globals["t"]) != 1 {
		t.Errorf("globals: %v", scopes.Globals)
	}
}

func TestResolve_FindsValues(t *testing.T) {
	t.Parallel()
	f := parse(t, "local a, b, c = 'one', f()\nlocal d\nlocal function g() end\nh = 1\nfunction k() end\nd = 2\nprint(a, b, c, d, g, h)")
	scopes := luau.Resolve(f)
	values := map[string]bool{}
	for _, arg := range f.Body.Stats[6].(*luau.CallStat).Call.(*luau.CallExpr).Args {
		n := arg.(*luau.NameExpr)
		values[n.Name] = scopes.Constant(n) != nil
	}
	if want := map[string]bool{"a": true, "b": true, "c": false, "d": false, "g": true, "h": false}; !reflect.DeepEqual(values, want) {
		t.Errorf("got %v", values)
	}
	a := scopes.Of(f.Body.Stats[0].(*luau.LocalStat).Locals[0])
	if s, ok := luau.StringValue(a.Init); !ok || s != "one" {
		t.Errorf("a is %v", a.Init)
	}
	if c := scopes.Of(f.Body.Stats[0].(*luau.LocalStat).Locals[2]); c.Rest == nil {
		t.Error("c is not known to be a further result")
	}
	if len(scopes.Assigned["h"]) != 1 || len(scopes.Assigned["k"]) != 1 {
		t.Errorf("assigned: %v", scopes.Assigned)
	}
}
