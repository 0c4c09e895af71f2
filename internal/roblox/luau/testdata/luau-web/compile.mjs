// Reads a JSON array of Luau sources, compiles each with Luau's own compiler in WebAssembly and runs none, and writes a JSON array of what the
// compiler said: "" for a source that compiles.
//
// This build of the compiler has no C++ exceptions. What it reports by throwing one (a limit that the source goes beyond) aborts the instance, which is
// a refusal as well; the next source gets a new instance. All is done in a thread with a stack that is large enough for the compiler's recursion.
import fs from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

let instances = 0;

async function instance() {
  const { LuauState } = await import(`./node_modules/luau-web/src/index.js?${++instances}`);
  return LuauState.createAsync();
}

// The module is compiled to machine code once for all instances.
function share() {
  const instantiate = WebAssembly.instantiate;
  let module;
  WebAssembly.instantiate = async (bytes, imports) => {
    module ??= WebAssembly.compile(bytes);
    return { module: await module, instance: await instantiate(await module, imports) };
  };
}

async function compile(sources) {
  share();
  console.error = () => {};
  const answers = [];
  let state;
  for (const source of sources) {
    state ??= await instance();
    try {
      const answer = state.loadstring(source || " ", "=source"); // the binding does not hand on an empty string
      answers.push(typeof answer === "string" ? answer : "");
    } catch (thrown) {
      if (!String(thrown?.message).includes("Exception thrown")) throw thrown;
      answers.push("beyond a limit of the compiler");
      state = undefined;
    }
    if (answers.length % 2000 === 0) state = undefined;
  }
  return answers;
}

if (isMainThread) {
  const sources = JSON.parse(fs.readFileSync(0, "utf8"));
  const worker = new Worker(new URL(import.meta.url), { workerData: sources, resourceLimits: { stackSizeMb: 64 } });
  worker.on("message", (answers) => process.stdout.write(JSON.stringify(answers)));
  worker.on("error", (error) => {
    process.stderr.write(`${error.stack}\n`.slice(-3000));
    process.exitCode = 1;
  });
} else {
  parentPort.postMessage(await compile(workerData));
}
