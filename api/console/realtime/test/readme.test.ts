import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const readme = readFileSync("README.md", "utf8");

test("the example in README.md is the one that compiles", () => {
  assert.ok(readme.includes("```ts\n" + readFileSync("examples/watch.ts", "utf8") + "```"));
});

test("README.md lists what is exported, and nothing else", () => {
  const declared = [...readFileSync("dist/index.d.ts", "utf8").matchAll(/export (?:type )?\{([^}]*)\}/g)]
    .flatMap((m) => m[1]!.split(","))
    .map((name) => name.replace("type ", "").trim());
  const listed = [...readme.split("## Exports")[1]!.matchAll(/^\| `(\w+)`/gm)].map((m) => m[1]!);
  assert.deepEqual(listed.toSorted(), declared.toSorted());
});

test("README.md lists every option and handler", () => {
  const options = readFileSync("src/options.ts", "utf8");
  for (const name of ["RealtimeOptions", "SubscribeOptions"]) {
    const body = new RegExp(`interface ${name} \\{([^]*?)\\n\\}`).exec(options)![1]!;
    for (const [, field] of body.matchAll(/^ {2}(\w+)\??:/gm)) assert.ok(readme.includes("`" + field + "`"), `${name}.${field}`);
  }
});
