/**
 * Ending a stream as the last thing that a page does: `keepalive` lets the request outlive it.
 *
 * Nobody is left to hear whether it arrived, or to say it again.
 */
export function endBehind(stream: string): void {
  const headers = { 'Content-Type': 'application/json' };
  const last = { method: 'POST', headers, body: '{}', keepalive: true };
  fetch(`/v1/streams/${stream}/cancel`, last).catch(() => undefined);
}
