package task_test

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestFingerprint_IgnoresWhatVaries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"number":     {"status 429 after 12 tries", "status 503 after 1 tries"},
		"decimal":    {"took 1.5s at 10:20:30", "took 2s at 9:00:00"},
		"uuid":       {"task 0190b1c2-7c4b-7def-8abc-0123456789ab is gone", "task FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF is gone"},
		"hex":        {"object deadbeefcafe0001 at 0x1F", "object 0123456789abcdef at 0xabc"},
		"quoted":     {`no field "a \" b" in 'x y'`, `no field "c" in ''`},
		"backtick":   {"no kind `quiz`", "no kind `terrain`"},
		"space":      {" a\n\tb ", "A b"},
		"tail":       {strings.Repeat("x ", 5000), strings.Repeat("x ", 6000)},
		"not UTF-8":  {"a\xff", "a\xfe"},
		"apostrophe": {"can't read 1, won't", "can't read 2, won't"},
	} {
		if a, b := task.Fingerprint(events.CauseBug, c[0]), task.Fingerprint(events.CauseBug, c[1]); a != b {
			t.Errorf("%s: %q has %s, %q has %s", name, c[0], a, c[1], b)
		}
	}
}

func TestFingerprint_TellsErrorsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, message := range []string{"", "status 429", "deadline passed", "can't read", "can't write", "added a face"} {
		for _, cause := range []events.Cause{events.CauseBug, events.CauseProvider} {
			f := task.Fingerprint(cause, message)
			if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(f) {
				t.Errorf("%q has fingerprint %q", message, f)
			}
			if other, twice := seen[f]; twice {
				t.Errorf("%s %q and %s have the same fingerprint", cause, message, other)
			}
			seen[f] = string(cause) + " " + message
		}
	}
}

// Errors as they come from providers, brokers, databases, the standard library and agents.
func TestPattern_Golden(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"": "",
		"Rate limit reached: 429 Too Many Requests, retry in 20s":           "rate limit reached: <n> too many requests, retry in <duration>",
		"retry in 1m30.5s or 250ms":                                         "retry in <duration> or <duration>",
		"took 12 seconds, 1 minute at most":                                 "took <duration>, <duration> at most",
		`Post "https://api.example.com/v1/chat": context deadline exceeded`: "post <text>: context deadline exceeded",
		"get https://api.example.com/v1/chat?id=17#top: EOF":                "get <url>: eof",
		"see (https://example.com/a), then go on.":                          "see (<url>), then go on.",
		"nats://10.0.0.7:4222 is away.":                                     "<url> is away.",
		"dial tcp 10.1.2.3:4222: i/o timeout":                               "dial tcp <addr>: i/o timeout",
		"dial tcp [::1]:5432: connect: connection refused":                  "dial tcp <addr>: connect: connection refused",
		"from 2001:db8::8a2e:370:7334 and ::1":                              "from <addr> and <addr>",
		"route 10.0.0.0/8 is gone":                                          "route <addr> is gone",
		"dial tcp: lookup db-3.internal: no such host":                      "dial tcp: lookup db-<n>.internal: no such host",
		"open /var/lib/app-17/config.yaml: no such file or directory":       "open <path>: no such file or directory",
		`open C:\Data\x.json: access denied`:                                "open <path>: access denied",
		"read/write and and/or":                                             "read/write and and/or",
		"task 0190b1c2-7c4b-7def-8abc-0123456789ab is gone":                 "task <uuid> is gone",
		"commit 9f86d081884c7d659a2f at 0xC0FFEE":                           "commit <hex> at <hex>",
		"request req_011CQ4xy7ZKp9fLw2mB was refused":                       "request <id> was refused",
		"id 01ARZ3NDEKTSV4RRFFQ69G5FAV":                                     "id <id>",
		"model gpt-5-mini has no tool v2":                                   "model gpt-<n>-mini has no tool v<n>",
		"2026-01-02T03:04:05.678Z worker-7 drained":                         "<time> worker-<n> drained",
		"at 2026/01/02 03:04:05 and 2026-01-02 03:04:05.1 +0200 CEST":       "at <time> and <time>",
		"until Fri, 02 Jan 2026 03:04:05 GMT":                               "until <time>",
		"on 2026-01-02, 10:20:30":                                           "on <time>, <time>",
		"index out of range [17] with length -3":                            "index out of range [<n>] with length <n>",
		"1,234,567 tokens are more than 1.28e5 (87%)":                       "<n> tokens are more than <n> (<n>%)",
		"7 MB, 10MiB":      "<n> mb, <n>mib",
		"main.go:42 +0x1f": "main.go:<n> +<hex>",
		"`terrain` has no 'size' and can't have \"colour \\\" red\"":                "<text> has no <text> and can't have <text>",
		"an unclosed \"quote with 3 words":                                          "an unclosed \"quote with <n> words",
		"mail to jane.doe@example.org bounced":                                      "mail to <email> bounced",
		`{"error":{"message":"no","code":400}}`:                                     "{<text>:{<text>:<text>,<text>:<n>}}",
		"json: cannot unmarshal number into Go struct field Lesson.duration":        "json: cannot unmarshal number into go struct field lesson.duration",
		"FEHLER in Zeile 3:  über  Größe\n\t12 µs":                                  "fehler in zeile <n>: über größe <n> µs",
		"runtime error: invalid memory address [signal SIGSEGV code=0x1 addr=0x18]": "runtime error: invalid memory address [signal sigsegv code=<hex> addr=<hex>]",
		"the facade decided on a deadbeef":                                          "the facade decided on a deadbeef",
		"hash deadbeefcafe":                                                         "hash <hex>",
	} {
		if got := task.Pattern(message); got != want {
			t.Errorf("%q\nhas   %q\nwants %q", message, got, want)
		}
	}
}

// The same trouble with other values keeps its fingerprint, wherever in a message the values stand.
func TestFingerprint_IsTheSameForOtherValues(t *testing.T) {
	t.Parallel()
	values := map[string]func(*rapid.T) string{
		"n": func(r *rapid.T) string { return strconv.Itoa(rapid.IntRange(0, 1e6).Draw(r, "n")) },
		"uuid": func(r *rapid.T) string {
			return rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`).Draw(r, "uuid")
		},
		"hex": func(r *rapid.T) string {
			return rapid.StringMatching(`0x[0-9a-f]{1,16}|[0-9a-f]{10,20}[a-f][0-9a-f]{9,19}1`).Draw(r, "hex")
		},
		"url": func(r *rapid.T) string {
			return rapid.StringMatching(`https?://[a-z]{3,9}\.example(:[0-9]{2,4})?(/[a-z0-9]{1,5}){1,3}`).Draw(r, "url")
		},
		"time": func(r *rapid.T) string {
			return time.Unix(rapid.Int64Range(0, 4e9).Draw(r, "time"), 0).UTC().Format(rapid.SampledFrom([]string{time.RFC3339, time.RFC1123, time.DateTime}).Draw(r, "layout"))
		},
		"text":     func(r *rapid.T) string { return strconv.Quote(rapid.String().Draw(r, "text")) },
		"duration": func(r *rapid.T) string { return time.Duration(rapid.Int64Range(0, 1e15).Draw(r, "duration")).String() },
		"addr": func(r *rapid.T) string {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], rapid.Uint32().Draw(r, "ip"))
			return netip.AddrPortFrom(netip.AddrFrom4(ip), rapid.Uint16().Draw(r, "port")).String()
		},
		"path": func(r *rapid.T) string {
			return rapid.StringMatching(`(/[a-zA-Z0-9_-]{1,8}){1,5}\.[a-z]{1,4}`).Draw(r, "path")
		},
	}
	names := slices.Sorted(maps.Keys(values))
	rapid.Check(t, func(r *rapid.T) {
		var a, b strings.Builder
		for range rapid.IntRange(1, 6).Draw(r, "parts") {
			word := rapid.SampledFrom([]string{"cannot reach ", "failed (", ") after ", ": ", "; got ", "no such file "}).Draw(r, "word")
			value := values[rapid.SampledFrom(names).Draw(r, "value")]
			a.WriteString(word + value(r) + " ")
			b.WriteString(word + value(r) + " ")
		}
		if fa, fb := task.Fingerprint(events.CauseBug, a.String()), task.Fingerprint(events.CauseBug, b.String()); fa != fb {
			r.Errorf("%q\n%q\n%q\n%q", a.String(), b.String(), task.Pattern(a.String()), task.Pattern(b.String()))
		}
	})
}

func FuzzFingerprint(f *testing.F) {
	f.Add("bug", `error 17 in "x`)
	f.Add("provider", "Post \"https://api.example.com\": dial tcp 10.1.2.3:443: i/o timeout after 1m2s at 2026-01-02T03:04:05Z in /a/b 0xff")
	f.Add("crash", "[::1]:1 ::ffff:1.2.3.4 1:2:3 -1e-9 'a'b' `")
	f.Fuzz(func(t *testing.T, cause, message string) {
		a := task.Fingerprint(events.Cause(cause), message)
		if len(a) != 16 || a != task.Fingerprint(events.Cause(cause), message) {
			t.Errorf("%q has fingerprint %q", message, a)
		}
		p := task.Pattern(message)
		if strings.ContainsAny(p, "0123456789\n\t") || !utf8.ValidString(p) || len(p) > 16<<10 {
			t.Errorf("%q has pattern %q", message, p)
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	message := strings.Repeat(`Post "https://api.example.com/v1": dial tcp 10.1.2.3:443: i/o timeout after 1m2s, task 0190b1c2-7c4b-7def-8abc-0123456789ab; `, 40)
	for _, size := range []int{120, 4096} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				task.Fingerprint(events.CauseProvider, message[:size])
			}
		})
	}
}
