/** Trying again: after which failures, and when. */

import { rested } from '../api/line.ts';
import { Refused } from '../api/problem.ts';

const SHORTEST = 250; // milliseconds
const LONGEST = 5_000;

/** Whether the same may succeed later: nobody answered, the service is busy, or a proxy spoke. */
export function passing(failure: unknown): boolean {
  if (!(failure instanceof Refused)) return true;
  const { status, problem } = failure;
  return problem.retryable && (status === 503 || problem.code === 'http');
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
