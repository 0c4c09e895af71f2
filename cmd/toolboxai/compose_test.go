package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"gopkg.in/yaml.v3"

	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	embeddedredis "github.com/toolboxai/orchestrator/internal/redis/embedded"
	"github.com/toolboxai/orchestrator/internal/task"
)

// composeFile is docker-compose.yml as far as it concerns our own processes.
type composeFile struct {
	Services map[string]struct {
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Healthcheck struct {
			Test []string `yaml:"test"`
		} `yaml:"healthcheck"`
	} `yaml:"services"`
}

// variable is ${NAME}, ${NAME:-default} or ${NAME:?message}.
var variable = regexp.MustCompile(`\$\{([A-Z_]+)(:[-?]([^}]*))?\}`)

func readCompose(t *testing.T, given map[string]string) composeFile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	filled := variable.ReplaceAllStringFunc(string(data), func(v string) string {
		m := variable.FindStringSubmatch(v)
		if value, ok := given[m[1]]; ok {
			return value
		}
		if strings.HasPrefix(m[2], ":?") {
			t.Fatalf("%s is required and not given", m[1])
		}
		return m[3]
	})
	var file composeFile
	if err := yaml.Unmarshal([]byte(filled), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// runConfiguredBroker is a broker with a configuration file, on another port and without monitoring.
func runConfiguredBroker(path, port string) int {
	opts, err := server.ProcessConfigFile(path)
	if err == nil {
		opts.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	opts.Host, opts.HTTPPort, opts.NoSigs = "127.0.0.1", 0, true
	s, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	s.ConfigureLogger()
	s.Start()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return exitOK
}

// No engine is needed to see that the roles of docker-compose.yml work with the environment and the broker's users that they get
// there: here they run as plain processes.
func TestCompose_RolesWorkWithTheirOwnUsers(t *testing.T) {
	t.Parallel()
	secret, told := strings.Repeat("s", 40), receive(t)
	file := readCompose(t, map[string]string{"JWT_SECRET_KEY": secret, "ENCRYPTION_KEY": secret, "POSTGRES_PASSWORD": "p", "NATS_PASSWORD": "1e3f", "VERSION": "test", "CALLBACK_ALLOW": told.allowed()})
	database, natsPort, apiPort := pgtest.New(t), porttest.Free(t), porttest.Free(t)
	counts, err := embeddedredis.StartEmbedded(embeddedredis.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(counts.Close)
	environment := func(service string) []string {
		env := []string{"LOG_FORMAT=text"}
		for name, value := range file.Services[service].Environment {
			switch name {
			case "DATABASE_URL":
				value = database
			case "REDIS_URL":
				value = counts.URL()
			case "NATS_URL":
				value = strings.Replace(value, "@nats:4222", fmt.Sprintf("@127.0.0.1:%d", natsPort), 1)
			case "OPS_ADDR":
				value = fmt.Sprintf("127.0.0.1:%d", porttest.Free(t))
			case "NATS_STORE_DIR":
				value = strconv.Quote(t.TempDir())
			}
			env = append(env, name+"="+value)
		}
		return append(env, "HOST=127.0.0.1", fmt.Sprintf("PORT=%d", apiPort))
	}
	s := &site{t: t, natsPort: natsPort, base: fmt.Sprintf("http://127.0.0.1:%d", apiPort)}
	for _, volume := range file.Services["nats"].Volumes {
		if source, _, _ := strings.Cut(volume, ":"); strings.HasPrefix(source, "./") {
			if _, err := os.Stat(filepath.Join("..", "..", source)); err != nil {
				t.Errorf("the broker's volume %s: %v", volume, err)
			}
		}
	}
	start(t, "configured broker", environment("nats"), filepath.Join("..", "..", "nats", "compose.conf"), strconv.Itoa(natsPort))
	run := func(service string) *process {
		return start(t, "toolboxai", environment(service), file.Services[service].Command...)
	}
	migrate := run("migrate")
	<-migrate.ended
	if migrate.err != nil {
		t.Fatalf("migrate: %v", migrate.err)
	}
	run("api")
	run("dispatcher")
	run("dispatcher")
	run("worker")
	run("worker")
	run("recorder")
	run("notifier")
	callbacks := run("callbacks")
	eventually(t, "the API is ready", func() error { return s.get("/health/ready", nil) })
	for service, want := range map[string]string{"api": "/toolboxai health", "worker": "/toolboxai health --url http://127.0.0.1:9090"} {
		if test := strings.Join(file.Services[service].Healthcheck.Test, " "); test != "CMD "+want {
			t.Errorf("%s: health check %q, want %q", service, test, want)
		}
	}
	if status, _, err := s.request("POST", "/api/v1/tasks", nil, quizBody); err != nil || status != http.StatusUnauthorized {
		t.Errorf("without a token: %d, %v", status, err)
	}
	token := start(t, "toolboxai", environment("api"), "token", "--role", "teacher")
	<-token.ended
	bearer := map[string]string{"Authorization": "Bearer " + strings.TrimSpace(token.output.String())}
	status, answer, err := s.request("POST", "/api/v1/tasks", bearer, withCallback(told.address+"/done"))
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("submit: %d, %+v, %v", status, answer, err)
	}
	var got submitted
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the receiver is told", func() error {
		select {
		case <-callbacks.ended:
			t.Fatalf("callbacks ended: %v", callbacks.err)
		default:
		}
		if n := len(told.messages("/done")); n != 1 {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
	for _, path := range []string{"/api/v1/tasks/" + got.Task.ID, "/api/v1/tasks?state=completed"} {
		eventually(t, path+" shows the completed task", func() error {
			_, answer, err := s.request("GET", path, bearer, "")
			if err == nil && !strings.Contains(string(answer.Data), `"state":"`+string(task.Completed)+`"`) {
				err = fmt.Errorf("it shows %s", answer.Data)
			}
			return err
		})
	}
}
