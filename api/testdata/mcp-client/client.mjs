// Lives the life of a task over /mcp and prints what it saw as one line of JSON. Environment: MCP_URL, MCP_TOKEN.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const connect = async (token) => {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), {
    requestInit: { headers: token ? { Authorization: `Bearer ${token}` } : {} },
  }));
  return client;
};

const seen = { progress: [] };
try {
  await connect("");
} catch (e) {
  seen.refused = String(e.code ?? e.message);
}
const client = await connect(process.env.MCP_TOKEN);
seen.tools = (await client.listTools()).tools.map((t) => t.name).sort();
seen.prompts = (await client.listPrompts()).prompts.map((p) => p.name).sort();
seen.resources = (await client.listResources()).resources.length;
seen.templates = (await client.listResourceTemplates()).resourceTemplates.map((t) => t.uriTemplate);
seen.prompt = (await client.getPrompt({ name: "quiz", arguments: { subject: "History", objectives: '["Why"]' } })).messages[0].content.text.includes("submit_task");
const made = await client.callTool({ name: "submit_task", arguments: { kind: "quiz", input: { subject: "History", objectives: ["Why"], num_questions: 3 } } });
const id = made.structuredContent.task.task_id;
console.error(id);
const watched = await client.callTool({ name: "watch_task", arguments: { id, timeout_seconds: 50 } }, undefined, { onprogress: (p) => seen.progress.push(p.progress) });
seen.state = watched.structuredContent.task.state;
seen.result = (await client.readResource({ uri: `task://${id}/result` })).contents[0].text;
const wrong = await client.callTool({ name: "get_task", arguments: { id: "nothing" } });
seen.wrong = [wrong.isError, wrong.structuredContent.error.code];
await client.close();
console.log(JSON.stringify(seen));
