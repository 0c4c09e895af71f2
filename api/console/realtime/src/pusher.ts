import type { ChannelAuth } from "./api.js";

/** What is used of a channel of pusher-js. */
export interface PusherChannelLike {
  readonly subscribed: boolean;
  subscribe(): void;
  bind_global(callback: (event: string, data: unknown) => void): unknown;
  unbind_global(callback: (event: string, data: unknown) => void): unknown;
}

/** What is used of pusher-js. Any of its builds fits. */
export interface PusherLike {
  readonly connection: {
    readonly state: string;
    readonly socket_id: string;
    bind(event: string, callback: (data: unknown) => void): unknown;
    unbind(event: string, callback: (data: unknown) => void): unknown;
  };
  subscribe(channel: string): PusherChannelLike;
  unsubscribe(channel: string): void;
  disconnect(): void;
}

/** What a Pusher instance calls to have a channel authorized: its option `channelAuthorization.customHandler`. */
export type Authorize = (
  request: { readonly socketId: string; readonly channelName: string },
  callback: (error: Error | null, auth: ChannelAuth | null) => void,
) => void;

/** Makes the Pusher instance. It belongs to the Realtime then, which disconnects it in the end. */
export type PusherFactory = (authorize: Authorize) => PusherLike | Promise<PusherLike>;

/** Where the Channels server is. */
export interface PusherServer {
  readonly key: string;
  readonly host: string;
  /** Default: 443 with TLS, 80 without. */
  readonly port?: number;
  /** Default: true. */
  readonly tls?: boolean;
}

/** Returns a factory of pusher-js instances. The library is loaded when the first one is made. */
export function pusherJs(server: PusherServer): PusherFactory {
  const tls = server.tls ?? true;
  const port = server.port ?? (tls ? 443 : 80);
  return async (authorize) => {
    const library = await import("pusher-js");
    const Pusher = library.default as unknown as typeof library.default.default; // the declarations are of an ES module, the file is none
    const pusher = new Pusher(server.key, {
      cluster: "",
      wsHost: server.host,
      wsPort: port,
      wssPort: port,
      forceTLS: tls,
      enabledTransports: ["ws", "wss"],
      channelAuthorization: { customHandler: authorize },
    });
    return {
      connection: pusher.connection,
      subscribe: (channel) => pusher.subscribe(channel),
      unsubscribe: (channel) => pusher.unsubscribe(channel),
      disconnect() {
        pusher.disconnect();
        const at = Pusher.instances.indexOf(pusher);
        if (at >= 0) Pusher.instances.splice(at, 1); // the library would keep it
      },
    };
  };
}
