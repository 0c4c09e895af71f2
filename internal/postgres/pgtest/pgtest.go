// Package pgtest gives each test a Postgres database of its own, with the schema in place.
//
// The server is the one that TEST_DATABASE_URL names (its user must be allowed to create databases) or, without it, a
// throwaway one that the test process starts when the first test asks, in memory where that is possible, and that dies with
// the process. Without any Postgres a test fails and says what to install; none is ever skipped.
//
// A database is a copy of a template, which costs milliseconds. The template is named by the hash of the migrations and made
// under another name first, so that any number of processes can share a server.
package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/migrations"
)

// EnvURL names the server to use.
const EnvURL = "TEST_DATABASE_URL"

const timeout = 2 * time.Minute

// shared is what the tests of this process have in common; a test cannot hand it to the next.
var shared struct {
	mu       sync.Mutex
	cluster  *Cluster // ours; it must stay reachable
	server   string   // connection string
	template string
	err      error // of the start: there is no use in trying it for each test
}

// New returns the connection string of a new database with the current schema. It is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, template, err := prepare(ctx)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	name := "test_" + random()
	if err := execute(ctx, server, "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY file_copy"); err != nil {
		t.Fatalf("pgtest: create a database: %v", err)
	}
	t.Cleanup(func() { drop(t, server, name) })
	return withDatabase(server, name)
}

// Empty returns the connection string of a new database without any schema. It is dropped when the test ends.
func Empty(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, _, err := prepare(ctx)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	name := "test_" + random()
	if err := execute(ctx, server, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("pgtest: create a database: %v", err)
	}
	t.Cleanup(func() { drop(t, server, name) })
	return withDatabase(server, name)
}

func drop(t testing.TB, server, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		t.Errorf("pgtest: drop the database: %v", err)
	}
}

// prepare returns the server and the name of the template on it.
func prepare(ctx context.Context) (server, template string, err error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == "" && shared.err == nil {
		shared.server, shared.err = findServer(ctx)
	}
	if shared.err == nil && shared.template == "" {
		shared.template, shared.err = makeTemplate(ctx, shared.server)
	}
	return shared.server, shared.template, shared.err
}

func findServer(ctx context.Context) (string, error) {
	if server := os.Getenv(EnvURL); server != "" {
		return server, nil
	}
	// The server lives as long as the process: there is no hook behind the last test.
	var err error
	if shared.cluster, err = StartCluster(ctx); err != nil {
		return "", err
	}
	return shared.cluster.URL(), nil
}

// makeTemplate makes sure that the server has a template with this program's schema.
func makeTemplate(ctx context.Context, server string) (string, error) {
	name, err := templateName()
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", fmt.Errorf("connect to the test server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var found bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found); err != nil || found {
		return name, err
	}
	making := name + "_" + random()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+making); err != nil {
		return "", fmt.Errorf("create the template: %w", err)
	}
	if _, err := postgres.Migrate(ctx, withDatabase(server, making)); err != nil {
		return "", fmt.Errorf("migrate the template: %w", err)
	}
	err = patiently(ctx, func() error {
		_, err := conn.Exec(ctx, "ALTER DATABASE "+making+" RENAME TO "+name)
		return err
	})
	if code(err) == "42P04" { // duplicate_database: another process was faster
		_, err = conn.Exec(ctx, "DROP DATABASE "+making)
	}
	if err != nil {
		return "", fmt.Errorf("name the template: %w", err)
	}
	return name, nil
}

func templateName() (string, error) {
	files, err := migrations.FS.ReadDir(".")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, f := range files {
		data, err := migrations.FS.ReadFile(f.Name())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", f.Name(), len(data), data)
	}
	return "template_" + hex.EncodeToString(h.Sum(nil))[:16], nil
}

func execute(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return patiently(ctx, func() error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// patiently repeats fn while a database is in use: a session that was closed is still there for a moment.
func patiently(ctx context.Context, fn func() error) error {
	for {
		err := fn()
		if code(err) != "55006" { // object_in_use
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// withDatabase returns server, a URL or a list of key=value, with another database.
func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return server + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}

func random() string { return strings.ToLower(rand.Text()[:16]) }
