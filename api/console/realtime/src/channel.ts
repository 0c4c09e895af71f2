import { sha256Hex } from "./sha256.js";

/** The longest name of a channel, in bytes. */
const maxChannel = 164;
const userPrefix = "private-user-";

/**
 * Returns the channel of all tasks of a user. Different ids have different channels.
 *
 * An id of letters, digits and _ - @ , . ; stands in the name as it is. Every other byte of its UTF-8, = among them, is written as =XX (two
 * upper-case hex digits). When the name would be longer than 164 bytes, =h and the hex SHA-256 of the id stand for it.
 */
export function userChannel(userId: string): string {
  if (userId === "") throw new TypeError("userId is empty");
  const bytes = new TextEncoder().encode(userId);
  let name = userPrefix;
  for (const byte of bytes) {
    const c = String.fromCharCode(byte);
    name += /[A-Za-z0-9_\-@,.;]/.test(c) ? c : "=" + byte.toString(16).toUpperCase().padStart(2, "0");
    if (name.length > maxChannel) return userPrefix + "=h" + sha256Hex(bytes);
  }
  return name;
}

/** Returns the channel of all tasks of a tenant. */
export function orgChannel(tenant: string): string {
  return "private-org-" + token("tenant", tenant);
}

/** Returns the channel of one task. */
export function taskChannel(id: string): string {
  return "private-task-" + token("task id", id);
}

/** Whether value is a token of the log's subjects, as tasks' ids and tenants' names are. */
export function isToken(value: string): boolean {
  return /^[a-z0-9_-]{1,64}$/.test(value);
}

function token(field: string, value: string): string {
  if (!isToken(value)) throw new TypeError(`${field} must be 1 to 64 of a-z, 0-9, _ and -`);
  return value;
}
