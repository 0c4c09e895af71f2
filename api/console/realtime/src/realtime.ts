import { Core } from "./core.js";
import type { RealtimeOptions, SubscribeOptions, Subscription } from "./options.js";

/**
 * Follows tasks. Subscriptions share one connection, which is opened by the first of them. It throws a TypeError that names the field for options
 * and ids that cannot be right; everything else goes to onError and to the state of a subscription.
 */
export class Realtime {
  readonly #core: Core;

  constructor(options: RealtimeOptions) {
    this.#core = new Core(options);
  }

  /** Follows one task. The subscription closes by itself behind the event that ends the task. */
  task(id: string, options: SubscribeOptions = {}): Subscription {
    return this.#core.task(id, options);
  }

  /** Follows all tasks of the user whose token this is. */
  user(userId: string, options: SubscribeOptions = {}): Subscription {
    return this.#core.user(userId, options);
  }

  /** Follows all tasks of a tenant, for its teachers and admins. */
  org(tenant: string, options: SubscribeOptions = {}): Subscription {
    return this.#core.org(tenant, options);
  }

  /** Closes all subscriptions and the connection. */
  close(): void {
    this.#core.close();
  }
}
