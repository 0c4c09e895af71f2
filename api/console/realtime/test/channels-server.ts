import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { type WebSocket, WebSocketServer } from "ws";

import { type Log, messageOf } from "./log.js";

/** A server of as much of the Channels protocol as pusher-js needs, and of the API's part. It cuts its connections when told to. */
export class ChannelsServer {
  readonly #http: Server = createServer();
  readonly #sockets = new Map<WebSocket, Set<string>>();
  readonly #told = new Map<string, number>();
  #connected = 0;
  requests = 0;
  push = true;

  constructor(
    readonly log: Log,
    private readonly random: () => number,
    private readonly failing: number,
  ) {
    const ws = new WebSocketServer({ server: this.#http });
    ws.on("connection", (socket) => this.#connect(socket));
    this.#http.on("request", (request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        this.requests++;
        const { status, answer } = this.#answer(new URL(request.url!, "http://localhost"), request.headers.authorization, new URLSearchParams(body));
        response.writeHead(status, { "Content-Type": "application/json", "Retry-After": "0" });
        response.end(JSON.stringify(answer));
      });
    });
    log.onAppend(() => this.#tell());
  }

  async listen(): Promise<{ host: string; port: number; url: string }> {
    await new Promise<void>((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
    const { port } = this.#http.address() as AddressInfo;
    return { host: "127.0.0.1", port, url: `http://127.0.0.1:${port}` };
  }

  cut(): void {
    for (const socket of this.#sockets.keys()) socket.terminate();
  }

  /** How many channels are subscribed, over all connections. */
  get subscriptions(): number {
    return [...this.#sockets.values()].reduce((n, channels) => n + channels.size, 0);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async close(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #connect(socket: WebSocket): void {
    if (!this.push) return socket.terminate();
    this.#sockets.set(socket, new Set());
    socket.on("close", () => this.#sockets.delete(socket));
    const send = (event: string, data: object, channel?: string): void => socket.send(JSON.stringify({ event, data: JSON.stringify(data), channel }));
    send("pusher:connection_established", { socket_id: `1.${++this.#connected}`, activity_timeout: 120 });
    socket.on("message", (raw: Buffer) => {
      const { event, data } = JSON.parse(raw.toString()) as { event: string; data: { channel: string; auth?: string } };
      if (event === "pusher:ping") send("pusher:pong", {});
      if (event === "pusher:unsubscribe") this.#sockets.get(socket)?.delete(data.channel);
      if (event !== "pusher:subscribe") return;
      if (data.auth !== `key:1.${this.#connected}:${data.channel}`) return send("pusher:error", { code: 4009, message: "wrong signature" });
      this.#sockets.get(socket)?.add(data.channel);
      send("pusher_internal:subscription_succeeded", {}, data.channel);
    });
  }

  /** Sends to each channel what it has not been sent, and at times some of it again. */
  #tell(): void {
    for (const channel of ["private-task-watched", "private-user-ann", "private-org-school"]) {
      const entries = this.log.on(channel);
      let at = this.#told.get(channel) ?? 0;
      if (this.random() < 0.2) at = Math.max(0, at - 3);
      for (const e of entries.slice(at)) {
        const m = messageOf(e);
        if (m) this.send(channel, m.name, m.data);
      }
      this.#told.set(channel, entries.length);
    }
  }

  send(channel: string, event: string, data: object): void {
    for (const [socket, channels] of this.#sockets) if (channels.has(channel)) socket.send(JSON.stringify({ event, channel, data: JSON.stringify(data) }));
  }

  #answer(url: URL, authorization: string | undefined, form: URLSearchParams): { status: number; answer: unknown } {
    if (authorization !== "Bearer token") return { status: 401, answer: {} };
    if (this.random() < this.failing) return { status: this.random() < 0.5 ? 500 : 429, answer: {} };
    if (url.pathname === "/api/v1/pusher/auth") {
      return { status: 200, answer: { auth: `key:${form.get("socket_id")}:${form.get("channel_name")}` } };
    }
    const task = /^\/api\/v1\/tasks\/([^/]+)\/events$/.exec(url.pathname)?.[1];
    const channel = task ? `private-task-${task}` : url.searchParams.get("scope") === "user" ? "private-user-ann" : "private-org-school";
    if (task && task !== "watched") return { status: 404, answer: {} };
    return { status: 200, answer: { status: "success", data: this.log.page(channel, Number(url.searchParams.get("after")), 10) } };
  }
}
