package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
)

const (
	luauFolder  = "internal/roblox/luau/testdata"
	luauPasses  = 200 // over all scripts, in one measurement
	luauInstall = 4 * time.Minute
)

// luauTimer is run by Node: for each line it compiles all scripts as often as the line says, and answers with the milliseconds that took. It warms up
// first, so that WebAssembly is machine code by then. The binding keeps what it has compiled: a state is good for some passes, and making one is not timed.
const luauTimer = `
import fs from "node:fs";
import readline from "node:readline";
import { LuauState } from "luau-web";
const sources = process.argv.slice(2).map((path) => fs.readFileSync(path, "utf8"));
async function passes(n) {
  let took = 0;
  for (let left = n; left > 0; left -= 20) {
    const state = await LuauState.createAsync();
    const began = performance.now();
    for (let i = 0; i < Math.min(left, 20); i++)
      for (const source of sources)
        if (typeof state.loadstring(source, "=script") === "string") throw new Error("a script does not compile");
    took += performance.now() - began;
    state.destroy();
  }
  return took;
}
await passes(100);
for await (const line of readline.createInterface({ input: process.stdin })) console.log(await passes(Number(line)));
`

// luau measures the front end beside Luau's own compiler in WebAssembly, over the same scripts. Both refuse the same sources; the compiler also makes
// bytecode, and hands a function to JavaScript, while ours also makes a tree with positions and comments.
func (b *bench) luau(ctx context.Context) error {
	paths, err := filepath.Glob(filepath.Join(luauFolder, "scripts", "*.luau"))
	if err != nil || len(paths) == 0 {
		return errors.Join(err, errors.New("run it in the folder of the module: there are no scripts"))
	}
	var scripts []string
	size := 0
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if paths[i], err = filepath.Abs(path); err != nil {
			return err
		}
		scripts = append(scripts, string(text))
		size += len(text)
	}
	timer, err := startLuau(ctx, paths)
	if err != nil {
		return err
	}
	defer timer.stop()
	n := b.n(luauPasses)
	megabytes := float64(size*n) / 1e6
	each := func(do func(string) error) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) {
			began := time.Now()
			for range n {
				for _, script := range scripts {
					if err := do(script); err != nil {
						return 0, err
					}
				}
			}
			return time.Since(began).Seconds(), nil
		}
	}
	parse := each(func(script string) error { _, err := luau.Parse(script); return err })
	rate := func(seconds func(context.Context) (float64, error)) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			s, err := seconds(ctx)
			return megabytes / s, err
		}
	}
	compile := func(context.Context) (float64, error) { return timer.compile(n) }
	if err := b.compare(ctx, "(i) parsing Luau to a tree, in Go : Luau's compiler in WebAssembly, to bytecode", "MB/s", "", rate(parse), rate(compile)); err != nil {
		return err
	}
	rules, err := each(func(script string) error { vet.Check(script, vet.Server); return nil })(ctx)
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("(i) the rules over a script of %.1f KB, with parsing", float64(size)/float64(len(scripts))/1e3), "µs", "", rules*1e6/float64(n*len(scripts)))
	return nil
}

type luauProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
	dir string
}

// startLuau installs the compiler and starts it. That takes npm and a registry.
func startLuau(ctx context.Context, scripts []string) (p *luauProcess, err error) {
	p = &luauProcess{}
	if p.dir, err = os.MkdirTemp("", "toolboxai-bench-luau-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(p.dir)
		}
	}()
	if err = os.CopyFS(p.dir, os.DirFS(filepath.Join(luauFolder, "luau-web"))); err != nil {
		return nil, err
	}
	if err = os.WriteFile(filepath.Join(p.dir, "timer.mjs"), []byte(luauTimer), 0o600); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, luauInstall)
	defer cancel()
	install := exec.CommandContext(bounded, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = p.dir
	if out, failed := install.CombinedOutput(); failed != nil {
		return nil, fmt.Errorf("npm ci: %w\n%s", failed, strings.TrimSpace(string(out)))
	}
	p.cmd = exec.CommandContext(ctx, "node", append([]string{"timer.mjs"}, scripts...)...)
	p.cmd.Dir, p.cmd.Stderr = p.dir, os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, p.cmd.Start()
}

// compile returns the seconds that n passes over all scripts take within Node.
func (p *luauProcess) compile(n int) (float64, error) {
	if _, err := fmt.Fprintln(p.in, n); err != nil {
		return 0, err
	}
	var took float64
	err := p.out.Decode(&took)
	return took / 1000, err
}

func (p *luauProcess) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}
