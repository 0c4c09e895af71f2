package campaign_test

import (
	"encoding/json"
	"testing"

	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestMerge_FollowsItsRFC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ input, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":12345678901234567890,"f":1.10}`, `{}`, `{"f":1.10,"n":12345678901234567890}`},
		{`{"code":"a < b && c"}`, `{}`, `{"code":"a < b && c"}`},
	} {
		got, err := campaign.Merge(json.RawMessage(c.input), json.RawMessage(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %s is %s, want %s: %v", c.input, c.patch, got, c.want, err)
		}
	}
}

func FuzzMerge_GivesAnObjectOrAnError(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":null}}`)
	f.Add(`[]`, `{"a":[]}`)
	f.Fuzz(func(t *testing.T, input, patch string) {
		got, err := campaign.Merge(json.RawMessage(input), json.RawMessage(patch))
		if err != nil {
			return
		}
		if got[0] != '{' || task.CheckJSON("", got) != nil {
			t.Fatalf("%q with %q is %q", input, patch, got)
		}
		again, err := campaign.Merge(got, json.RawMessage(patch))
		if err != nil || string(again) != string(got) {
			t.Fatalf("%q with %q is %q, and twice %q: %v", input, patch, got, again, err)
		}
	})
}
