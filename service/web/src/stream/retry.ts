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

  /** Wait; not any longer when the browser is online again, or nobody waits any more. */
  rest(signal: AbortSignal): Promise<void> {
    const milliseconds = this.#next;
    this.#next = Math.min(2 * milliseconds, LONGEST);
    return rested(milliseconds, signal);
  }
}
