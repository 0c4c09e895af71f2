// Reads a JSON array of Luau sources, compiles each with Luau's own compiler in WebAssembly and runs none, and writes a JSON array of what the
// compiler said: "" for a source that compiles.
//
// This build of the compiler has no C++ exceptions. What it reports by throwing one (a limit it goes beyond) aborts the instance, which is a refusal
// as well; the next source gets a new instance.
import fs from "node:fs";

const silent = () => {};
console.error = silent;

let instances = 0;
let state;

async function fresh() {
  const { LuauState } = await import(`luau-web?${++instances}`).catch(() => import(`./node_modules/luau-web/src/index.js?${instances}`));
  state = await LuauState.createAsync();
}

function compile(source) {
  const answer = state.loadstring(source, "=source");
  return typeof answer === "string" ? answer : "";
}

const sources = JSON.parse(fs.readFileSync(0, "utf8"));
const answers = [];
for (const source of sources) {
  if (!state || answers.length % 2000 === 0) await fresh();
  try {
    answers.push(compile(source));
  } catch (thrown) {
    const text = String(thrown?.message ?? thrown);
    if (!text.includes("Exception thrown")) answers.push("CRASH: " + text);
    else answers.push("beyond a limit of the compiler");
    state = undefined;
  }
}
fs.writeSync(1, JSON.stringify(answers));
