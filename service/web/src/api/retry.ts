/** Trying again: after which failures, and when. */

import { rested } from './line.ts';
import { Refused } from './problem.ts';

const SHORTEST = 250; // milliseconds
const LONGEST = 5_000;

/** What says nothing of the question: a proxy spoke, the service is leaving or has too many sockets. */
const AWAY = new Set(['http', 'draining', 'ws_4429']);

/**
 * Whether to try the same again without being told to: nobody answered, or it is said of the line. A
 * stream that there is (`begun`) is taken up again after anything that may pass; but a question that
 * nobody can answer now is for who asked it to put again.
 */
export function passing(failure: unknown, begun: boolean): boolean {
  if (!(failure instanceof Refused)) return true;
  const { status, problem } = failure;
  return problem.retryable && (AWAY.has(problem.code) || (begun && status === 503));
}

/** Pauses that grow, for as long as nothing comes of it. */
export class Pause {
  #next = SHORTEST;

  /** Something came of it: the next pause is a short one. */
  reset(): void {
    this.#next = SHORTEST;
  }

  /**
   * Wait after a failure, no less than it asks for; not any longer when the browser is online again,
   * or nobody waits any more.
   */
  rest(signal: AbortSignal, failure?: unknown): Promise<void> {
    const wanted = failure instanceof Refused ? (failure.problem.retry_after_ms ?? 0) : 0;
    const milliseconds = Math.max(this.#next, wanted);
    this.#next = Math.min(2 * this.#next, LONGEST);
    return rested(milliseconds, signal);
  }
}
