//go:build linux || darwin

package local_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/postgres/local"
)

type file struct {
	header  tar.Header
	content string
}

func tarball(tb testing.TB, files ...file) []byte {
	tb.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, f := range files {
		if f.header.Mode == 0 {
			f.header.Mode = 0o644
		}
		f.header.Size = int64(len(f.content))
		if err := w.WriteHeader(&f.header); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpack_MakesFilesAndLinks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	err := local.Unpack(bytes.NewReader(tarball(t,
		file{tar.Header{Name: "package/native/bin/postgres", Mode: 0o755}, "server"},
		file{tar.Header{Name: "package/native/lib/libpq.so.5.18"}, "library"},
		file{tar.Header{Name: "package/native/pg-symlinks.json"}, `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`},
		file{tar.Header{Name: "package/scripts/evil.js"}, "left out"},
	)), dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "postgres")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v %v", info, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "lib", "libpq.so.5")); err != nil || string(got) != "library" {
		t.Errorf("%q %v", got, err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "lib", "libpq.so.5")); err != nil || to != "libpq.so.5.18" {
		t.Errorf("%q %v", to, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "scripts")); !os.IsNotExist(err) {
		t.Error("what is not below native was unpacked")
	}
}

func TestUnpack_StaysInside(t *testing.T) {
	t.Parallel()
	many := make([]file, 10_001)
	for i := range many {
		many[i].header.Name = fmt.Sprint("package/other/", i)
	}
	for name, files := range map[string][]file{
		"parent":           {{tar.Header{Name: "package/native/../../evil"}, "x"}},
		"deep parent":      {{tar.Header{Name: "package/native/a/../../../evil"}, "x"}},
		"absolute":         {{tar.Header{Name: "package/native//evil"}, "x"}},
		"twice":            {{tar.Header{Name: "package/native/a"}, "x"}, {tar.Header{Name: "package/native/a"}, "y"}},
		"symbolic link":    {{tar.Header{Name: "package/native/a", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, ""}},
		"hard link":        {{tar.Header{Name: "package/native/a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, ""}},
		"device":           {{tar.Header{Name: "package/native/a", Typeflag: tar.TypeChar}, ""}},
		"link to parent":   {{tar.Header{Name: "package/native/pg-symlinks.json"}, `[{"source":"native/../../evil","target":"native/a"}]`}},
		"link from parent": {{tar.Header{Name: "package/native/pg-symlinks.json"}, `[{"source":"native/a","target":"../evil"}]`}},
		"link is root":     {{tar.Header{Name: "package/native/pg-symlinks.json"}, `[{"source":"/etc","target":"native/a"}]`}},
		"bad list":         {{tar.Header{Name: "package/native/pg-symlinks.json"}, `{`}},
		"too many":         many,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outside := t.TempDir()
			if err := local.Unpack(bytes.NewReader(tarball(t, files...)), filepath.Join(outside, "out")); err == nil {
				t.Error("it was unpacked")
			}
			if found, err := os.ReadDir(outside); err != nil || len(found) != 1 {
				t.Errorf("outside stand %v (%v)", found, err)
			}
		})
	}
	whole := tarball(t, file{tar.Header{Name: "package/native/a"}, strings.Repeat("x", 100_000)})
	for _, cut := range []int{0, 10, len(whole) / 2} {
		if err := local.Unpack(bytes.NewReader(whole[:cut]), filepath.Join(t.TempDir(), "out")); err == nil {
			t.Errorf("the first %d bytes were unpacked", cut)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add("package/native/../evil", `[{"source":"native/a","target":"native/../../evil"}]`)
	f.Add("package/native/lib/a", `[{"source":"native/lib/a","target":"native/lib/b"}]`)
	f.Fuzz(func(t *testing.T, name, links string) {
		var b bytes.Buffer
		gz := gzip.NewWriter(&b)
		w := tar.NewWriter(gz)
		for _, e := range []file{{tar.Header{Name: name}, "x"}, {tar.Header{Name: "package/native/pg-symlinks.json"}, links}} {
			e.header.Mode, e.header.Size = 0o644, int64(len(e.content))
			if w.WriteHeader(&e.header) != nil {
				return // no such name in a tar
			}
			_, _ = w.Write([]byte(e.content))
		}
		if err := errorsOf(w.Close(), gz.Close()); err != nil {
			t.Fatal(err)
		}
		outside := t.TempDir()
		_ = local.Unpack(&b, filepath.Join(outside, "out"))
		if found, err := os.ReadDir(outside); err != nil || len(found) != 1 {
			t.Errorf("outside stand %v (%v)", found, err)
		}
	})
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
