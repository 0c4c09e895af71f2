// Nothing runs here: this compiles only while the exported types are what README.md says.
import * as api from "@toolboxai/realtime";
import type Pusher from "pusher-js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Holds<T extends true> = T;

export type Checks = [
  Holds<Equal<keyof typeof api, "Realtime" | "RealtimeError" | "orgChannel" | "taskChannel" | "userChannel">>,
  Holds<Equal<ConstructorParameters<typeof api.Realtime>, [options: api.RealtimeOptions]>>,
  Holds<Equal<keyof api.Realtime, "task" | "user" | "org" | "close">>,
  Holds<Equal<api.Realtime["task"], (id: string, options?: api.SubscribeOptions) => api.Subscription>>,
  Holds<Equal<api.Realtime["user"], (userId: string, options?: api.SubscribeOptions) => api.Subscription>>,
  Holds<Equal<api.Realtime["org"], (tenant: string, options?: api.SubscribeOptions) => api.Subscription>>,
  Holds<Equal<api.Subscription["state"], "connecting" | "catching-up" | "live" | "closed" | "failed">>,
  Holds<Equal<keyof api.Subscription, "state" | "last" | "close" | typeof Symbol.asyncIterator>>,
  Holds<Equal<keyof api.RealtimeOptions, "baseUrl" | "pusher" | "token" | "fetch" | "logger" | "signal">>,
  Holds<
    Equal<
      keyof api.SubscribeOptions,
      "onEvent" | "onText" | "onProgress" | "onState" | "onError" | "onReset" | "after" | "order" | "buffer" | "signal"
    >
  >,
  Holds<typeof api.userChannel extends (id: string) => string ? true : false>,
  Holds<Pusher.default extends api.PusherLike ? true : false>,
];

export const options: api.RealtimeOptions[] = [
  { baseUrl: "https://school.example", token: () => "t", pusher: { key: "k", host: "h" } },
  {
    baseUrl: "https://school.example",
    token: async ({ refresh }) => (refresh ? "new" : "old"),
    pusher: (_authorize: api.Authorize) => null as unknown as Pusher.default,
    fetch: globalThis.fetch,
    logger: console,
    signal: new AbortController().signal,
  },
];

// @ts-expect-error a token is needed
export const wrong: api.RealtimeOptions = { baseUrl: "https://school.example", pusher: { key: "k", host: "h" } };
