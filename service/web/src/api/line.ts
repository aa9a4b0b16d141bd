/**
 * Lines that stay open: given up where they are dead, and taken up again after a rest.
 *
 * A line may be dead without anybody saying so: a network that was left behind breaks nothing. The
 * service is never silent for long, so one on which nothing came for half a minute is given up, and
 * at once when the browser says that it is offline.
 */

/** Silence after which a line is dead: SSE says something every 10 s, a WebSocket every 20 s. */
const DEAD = 30_000; // milliseconds

/** Listens until the line ends or `signal` says that it is given up; calls `alive` at whatever comes. */
export type Listen = (signal: AbortSignal, alive: () => void) => Promise<void>;

/** Listen for as long as the line is alive and nobody leaves; ends and throws as `listen` does. */
export async function whileAlive(leaving: AbortSignal, listen: Listen): Promise<void> {
  const dead = new AbortController();
  const give = (): void => dead.abort();
  let silence = setTimeout(give, DEAD);
  globalThis.addEventListener?.('offline', give);
  const alive = (): void => {
    clearTimeout(silence);
    silence = setTimeout(give, DEAD);
  };
  try {
    await listen(AbortSignal.any([leaving, dead.signal]), alive);
  } finally {
    clearTimeout(silence);
    globalThis.removeEventListener?.('offline', give);
  }
}

/** A pause, which ends early when the browser is online again or nobody waits any more. */
export function rested(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', wake);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    globalThis.addEventListener?.('online', wake);
    signal.addEventListener('abort', wake);
  });
}
