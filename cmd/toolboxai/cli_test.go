package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// command runs the program to its end and returns what it printed and its exit code.
func (s *site) command(args ...string) (string, int) {
	s.t.Helper()
	p := start(s.t, "toolboxai", []string{"TOOLBOXAI_URL=" + s.base}, args...)
	<-p.ended
	return p.output.String(), p.cmd.ProcessState.ExitCode()
}

// expect runs the program and holds it against an exit code and parts of what it prints.
func (s *site) expect(code int, parts []string, args ...string) string {
	s.t.Helper()
	out, got := s.command(args...)
	if got != code {
		s.t.Errorf("%v: exit %d, want %d\n%s", args, got, code, out)
	}
	for _, part := range parts {
		if !strings.Contains(out, part) {
			s.t.Errorf("%v: no %q in\n%s", args, part, out)
		}
	}
	return out
}

func TestCommands_WorkADeadLetterFromEndToEnd(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if !mended.Load() {
			return llmtest.Reply{Status: http.StatusServiceUnavailable, Raw: `{"error":{"message":"overloaded"}}`}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	s := newSite(t, pgtest.New(t), "MAX_AGENT_RETRIES=0")
	s.api()
	s.role("recorder")
	s.role("worker", scripted(model)...)
	input := `{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":2}`

	s.expect(exitOK, []string{"ready"}, "health", "--url", s.base)
	s.expect(exitFailed, []string{"failed  provider", "state     failed"}, "tasks", "submit", "quiz", "--wait", "--input", input, "--key", "k1")
	dead := s.mustGet("k1", input)
	eventually(t, "the dead letter is listed", func() error {
		out, _ := s.command("deadletters", "list")
		if !strings.Contains(out, dead.ID) {
			return errNotCompleted
		}
		return nil
	})
	mark := task.Fingerprint(dead.Failure.Cause, dead.Failure.Error)
	s.expect(exitOK, []string{`"subject": "History"`, "overloaded", mark}, "deadletters", "show", dead.ID)
	s.expect(exitOK, []string{dead.ID}, "deadletters", "list", "--fingerprint", mark)
	s.expect(exitUsage, []string{"--dry-run is for a replay by filter"}, "deadletters", "replay", dead.ID, "--dry-run")
	s.expect(exitOK, []string{"1 matched, 0 replayed"}, "deadletters", "replay", "--fingerprint", mark, "--dry-run")
	s.expect(exitOK, []string{"0 matched"}, "deadletters", "replay", "--fingerprint", "0123456789abcdef", "--dry-run")
	s.expect(exitOK, []string{"1 matched, 0 replayed"}, "deadletters", "replay", "--cause", "provider", "--dry-run")
	mended.Store(true)
	s.expect(exitOK, []string{"completed", "dispatch 2"}, "deadletters", "replay", dead.ID, "--reason", "mended", "--wait")
	s.expect(exitOK, []string{`"state": "completed"`}, "tasks", "get", dead.ID, "--json")
	s.expect(exitFailed, []string{"is no dead letter: it is completed"}, "deadletters", "discard", dead.ID)
	s.expect(exitFailed, []string{"cannot be cancelled: it is completed"}, "tasks", "cancel", dead.ID)
	s.expect(exitFailed, []string{"there is no task"}, "tasks", "get", "nothing")
	s.expect(exitFailed, []string{"input.num_questions"}, "tasks", "submit", "quiz", "--input", `{"subject":"Art","objectives":["x"],"num_questions":999}`)
	s.expect(exitFailed, []string{"the kinds are code_review, content, quiz, roblox_analytics, roblox_asset, roblox_testing, script, terrain"}, "tasks", "submit", "essay", "--input", "{}")
	s.expect(exitUsage, []string{"expected"}, "tasks", "submit")
	s.expect(exitOK, []string{`"no_cache": true`}, "tasks", "submit", "quiz", "--no-cache", "--json", "--input", input)
	if out := s.expect(exitOK, []string{"queued"}, "tasks", "submit", "quiz", "--json", "--input", input); strings.Contains(out, "no_cache") {
		t.Errorf("without --no-cache: %s", out)
	}
}

func TestCommands_RefuseFlagsThatWouldDoMoreThanWasMeant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"deadletters replay x --dry-run", "--dry-run is for a replay by filter"},
		{"deadletters replay x --kind quiz", "--kind is for a replay by filter"},
		{"deadletters replay x --cause bug", "--cause is for a replay by filter"},
		{"deadletters replay x --max 100", "--max is for a replay by filter"},
		{"deadletters replay x --rate 10", "--rate is for a replay by filter"},
		{"deadletters replay --kind quiz --input {}", "--input is for the replay of one task"},
		{"deadletters replay --kind quiz --wait", "--wait is for the replay of one task"},
		{"deadletters replay", "which ones?"},
		{"deadletters replay --max 5 --dry-run", "which ones?"},
		{"deadletters replay --all --kind quiz", "--all is every dead letter"},
		{"campaigns plan replay", "which ones? Give --fingerprint"},
		{"campaigns start replay --all --kind quiz --reason x", "--all is every one"},
		{"campaigns start replay --all", "--reason: why?"},
		{"campaigns start replay --since 1h --reason x --key k", "--key excludes --since"},
		{"campaigns start replay --all --reason x --edit {", "--edit: is not valid JSON"},
		{"campaigns start retry --all", "must be one of"},
		{"schedules create quiz --input {}", "when? Give --cron or --every"},
		{"schedules create quiz --input {} --cron @daily --every 1h", "when? Give --cron or --every"},
		{"schedules create quiz --input {} --every 1h --zone Europe/Berlin", "--zone is for --cron"},
		{"schedules create quiz --every 1h --overlap never", "--overlap must be one of"},
		{"usage --from yesterday", "is neither a day such as"},
		{"usage --from 2026-02-01 --to 2026-01-01", "is not after --from"},
		{"usage --by school", "--by must be one of"},
		{"incidents --order size", "--order must be one of"},
		{"tasks submit quiz --key k --deadline 1m", "--key excludes --deadline, --delay and --queue-ttl"},
	} {
		p := start(t, "toolboxai", []string{"TOOLBOXAI_URL=http://127.0.0.1:1"}, strings.Fields(c.args)...)
		<-p.ended
		if code := p.cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(p.output.String(), c.want) {
			t.Errorf("%s: exit %d, want %d with %q\n%s", c.args, code, exitUsage, c.want, p.output)
		}
	}
}

func TestCommands_KeepSchedules(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.api()
	s.role("worker")
	input := `{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":2}`

	s.expect(exitOK, []string{"Mon 2030-01-07 08:00:00 CET", "Tue 2030-01-08"},
		"schedules", "preview", "quiz", "--input", input, "--cron", "0 8 * * 1-5", "--zone", "Europe/Berlin", "--from", "2030-01-05T00:00:00Z", "--ticks", "2")
	s.expect(exitFailed, []string{"cron never comes"}, "schedules", "preview", "quiz", "--input", input, "--cron", "0 8 30 2 *")
	s.expect(exitFailed, []string{"cron"}, "schedules", "create", "quiz", "--input", input, "--cron", "whenever")
	s.expect(exitFailed, []string{"every"}, "schedules", "create", "quiz", "--input", input, "--every", "1s")
	s.expect(exitFailed, []string{"the kinds are"}, "schedules", "create", "essay", "--input", input, "--every", "1h")
	out := s.expect(exitOK, []string{"makes a quiz next at "}, "schedules", "create", "quiz", "--name", "warm-up", "--input", input, "--every", "1h", "--label", "class=7b", "--key", "k")
	id := strings.Fields(out)[1]
	s.expect(exitOK, []string{id}, "schedules", "create", "quiz", "--name", "warm-up", "--input", input, "--every", "1h", "--label", "class=7b", "--key", "k")
	s.expect(exitFailed, []string{"another definition"}, "schedules", "create", "quiz", "--name", "warm-up", "--input", input, "--every", "2h", "--key", "k")
	s.expect(exitOK, []string{id, "warm-up", "every 1h0m0s"}, "schedules", "list")
	s.expect(exitOK, []string{`"schedule_id": "` + id}, "schedules", "list", "--json")

	s.expect(exitOK, []string{"completed", "made by   schedule " + id}, "schedules", "trigger", id, "--wait")
	s.expect(exitOK, []string{"overlap   skip", "triggered by teacher", "submitted"}, "schedules", "show", id)
	s.expect(exitOK, []string{`"next_ticks": [`}, "schedules", "show", id, "--json")
	s.expect(exitOK, []string{"makes no runs until it is resumed"}, "schedules", "pause", id, "--reason", "holidays")
	s.expect(exitOK, []string{"paused by teacher holidays"}, "schedules", "list")
	s.expect(exitOK, []string{"ticks again"}, "schedules", "resume", id)
	s.expect(exitOK, []string{"is deleted"}, "schedules", "delete", id)
	s.expect(exitFailed, []string{"there is no schedule"}, "schedules", "show", id)
	s.expect(exitFailed, []string{"there is no schedule"}, "schedules", "trigger", id)
}

func TestColonLabel_TakesBothSpellings(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"a=b": "a:b", "a:b": "a:b", "a:b=c": "a:b=c", "a=b:c": "a:b:c", "a": "a"} {
		if got := colonLabel(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// mustGet returns the task that a submission with the key made before.
func (s *site) mustGet(key, input string) task.Task {
	s.t.Helper()
	out := s.expect(exitOK, []string{"task "}, "tasks", "submit", "quiz", "--input", input, "--key", key)
	t, err := s.read(strings.Fields(out)[1])
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

func TestCommands_RolesSayWhatTheyLack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		args string
		want string
	}{
		{nil, "api", "DATABASE_URL is not set"},
		{[]string{"DATABASE_URL=postgres://x"}, "api", "NATS_URL is not set"},
		{[]string{"DATABASE_URL=postgres://x", "NATS_URL=nats://127.0.0.1:1", "ENCRYPTION_KEY=" + strings.Repeat("e", 32)}, "api", "JWT_SECRET_KEY is not set"},
		{[]string{"DATABASE_URL=postgres://x", "NATS_URL=nats://127.0.0.1:1"}, "api", "ENCRYPTION_KEY is not set"},
		{[]string{"DATABASE_URL=postgres://x", "NATS_URL=nats://127.0.0.1:1", "JWT_SECRET_KEY=short", "ENCRYPTION_KEY=" + strings.Repeat("e", 32)}, "api", "JWT_SECRET_KEY"},
		{nil, "worker", "NATS_URL is not set"},
		{[]string{"ENVIRONMENT=production"}, "dev", "ENVIRONMENT is production"},
		{nil, "token", "JWT_SECRET_KEY is not set"},
		{[]string{"LLM_PROVIDER=openai"}, "dev", "OPENAI_"},
		{[]string{"LLM_PROVIDER=offline", "LLM_KINDS=essay=@0.3"}, "dev", `LLM_KINDS there is no kind "essay"`},
		{[]string{"LLM_PROVIDER=offline", "EMBEDDING_MODEL=foo"}, "dev", `EMBEDDING_MODEL is "foo"`},
		{[]string{`MCP_SERVERS=[{"name":"m","url":"https://mcp.example.org","tools":["a"],"kinds":["essay"]}]`}, "dev", `MCP_SERVERS server "m": there is no kind "essay"`},
		{[]string{"LLM_PROVIDER=offline", "LLM_KINDS=quiz=@0.3"}, "dev", "LLM_KINDS is set, and the offline composer serves"},
		{[]string{"LLM_PROVIDER=offline", "EMBEDDING_MODEL=anthropic/claude"}, "dev", "EMBEDDING_MODEL names anthropic"},
		{[]string{"ALLOWED_ORIGINS=example.org"}, "api", "ALLOWED_ORIGINS"},
	} {
		p := start(t, "toolboxai", c.env, c.args)
		<-p.ended
		if code := p.cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(p.output.String(), c.want) {
			t.Errorf("%v %s: exit %d, want %d with %q\n%s", c.env, c.args, code, exitUsage, c.want, p.output)
		}
	}
}
