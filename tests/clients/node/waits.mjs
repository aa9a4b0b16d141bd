// Time as a test has it: a client that waits before it tries again goes on at once, and says how
// long it would have waited. Its deadlines, which are longer, stay what they are.
//
// To be imported before the client.

const SHORTEST = 300; // milliseconds; OpenAI's and Anthropic's SDKs begin with 375 at the least
const LONGEST = 60_000;

/** Every wait so far, in milliseconds. */
export const waits = [];

const later = globalThis.setTimeout;

globalThis.setTimeout = (call, delay = 0, ...given) => {
  const waiting = delay >= SHORTEST && delay <= LONGEST && isClients(new Error().stack);
  if (waiting) waits.push(delay);
  return later(call, waiting ? 0 : delay, ...given);
};

/** Whether a package asked, and not Node's own fetch, which ends idle connections by such timers. */
function isClients(stack) {
  return stack.split('\n')[2].includes('/node_modules/');
}
