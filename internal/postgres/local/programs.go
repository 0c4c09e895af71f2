//go:build linux || darwin

package local

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// minMajor is the oldest major version that the SQL of this platform runs on.
const minMajor = 15

// installation is a set of server programs.
type installation struct {
	initdb, postgres string
	major            int
}

// env returns all that the programs are told of our environment: a stray PGDATA or PGOPTIONS must not reach them.
func (installation) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

// places is where packages put the server's programs.
func places() []string {
	return []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Red Hat
		"/usr/libexec/postgresql*",                           // Alpine
		"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew
		"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
		"/Library/PostgreSQL/*/bin",                          // EDB
		"/usr/local/pgsql/bin",                               // built from source
	}
}

// programs returns the installation to use for the cluster in data: one of its major version when it exists, else the first
// found.
func programs(ctx context.Context, cfg Config, who identity, data string) (installation, error) {
	want, err := clusterMajor(data)
	if err != nil {
		return installation{}, err
	}
	var majors []string
	for found := range installations(ctx, cfg, who) {
		if want == found.major || want == 0 && found.major >= minMajor {
			return found, nil
		}
		majors = append(majors, strconv.Itoa(found.major))
	}
	if cfg.Download && (want == 0 || want == packageMajor) {
		return fetch(ctx, cfg, who)
	}
	if want != 0 {
		return installation{}, fault.New(fault.Conflict,
			"the data in %s was made by Postgres %d and only %s found: install Postgres %[2]d, set DATABASE_URL, or choose another data directory",
			data, want, list(majors))
	}
	return installation{}, fault.New(fault.Unavailable,
		"no Postgres from version %d on was found (%s): install one (such as the package postgresql), install npm so that one can be fetched, or set DATABASE_URL",
		minMajor, list(majors))
}

func list(majors []string) string {
	switch slices.Sort(majors); len(majors) {
	case 0:
		return "none was"
	case 1:
		return "version " + majors[0] + " was"
	}
	return "versions " + strings.Join(slices.Compact(majors), ", ") + " were"
}

// clusterMajor returns the major version of the cluster in data, 0 when there is none yet.
func clusterMajor(data string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fault.New(fault.Internal, "read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fault.New(fault.Conflict, "%s is no Postgres data directory: PG_VERSION is %.20q", data, raw)
	}
	return major, nil
}

// installations yields what is on PATH, then what is in the known places and what was fetched before, newest first.
func installations(ctx context.Context, cfg Config, who identity) func(func(installation) bool) {
	return func(yield func(installation) bool) {
		if path, err := exec.LookPath("initdb"); err == nil {
			if found, ok := inspect(ctx, who, filepath.Dir(resolve(path))); ok && !yield(found) {
				return
			}
		}
		var rest []installation
		for _, pattern := range append(slices.Clone(cfg.places), fetchedPattern(cfg)) {
			dirs, _ := filepath.Glob(pattern) // fails only for a bad pattern
			for _, dir := range dirs {
				if found, ok := inspect(ctx, who, dir); ok {
					rest = append(rest, found)
				}
			}
		}
		slices.SortStableFunc(rest, func(a, b installation) int { return cmp.Compare(b.major, a.major) })
		for _, found := range rest {
			if !yield(found) {
				return
			}
		}
	}
}

// resolve follows symbolic links: /usr/local/bin/initdb may be one, and postgres stands beside what it points to.
func resolve(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// inspect reports whether dir holds both programs and who can run them.
func inspect(ctx context.Context, who identity, dir string) (installation, bool) {
	found := installation{initdb: filepath.Join(dir, "initdb"), postgres: filepath.Join(dir, "postgres")}
	if _, err := os.Stat(found.initdb); err != nil {
		return found, false
	}
	cmd := exec.CommandContext(ctx, found.postgres, "--version")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", found.env(), who.attr(syscall.SIGKILL)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := runHere(cmd)
	m := versionLine.FindSubmatch(out.Bytes())
	if err != nil || m == nil {
		return found, false
	}
	found.major, err = strconv.Atoi(string(m[1]))
	return found, err == nil
}
