/**
 * Ending a stream: told to the service until it has heard it, for an answer that nobody wants would
 * be paid for. What has no name yet is ended as soon as it has one.
 */

import { send } from '../api/http.ts';
import { rested } from '../api/line.ts';
import { Refused, type Problem } from '../api/problem.ts';
import { passing, Pause } from '../api/retry.ts';
import { endedOverWebSocket } from './lines/websocket.ts';

/** How far it has come: it is being told, was heard, could not be told yet, was refused. */
export type Stop = 'telling' | 'told' | 'untold' | 'refused';

/** Milliseconds that the service may take to hear it. */
const HEARING = 5_000;

/** Milliseconds after which it is told over a WebSocket, too. */
const UNHEARD = 500;

/** What is to end, as far as it is known by now. */
interface Known {
  readonly stream: string | undefined;
  readonly after: number;
}

export class Stopping {
  readonly #known: Known;
  readonly #told: (stop: Stop, problem?: Problem) => void;
  /** Since somebody wants it. Aborted where it is told anew, and where the stream is over. */
  #telling: AbortController | undefined;

  constructor(known: Known, told: (stop: Stop, problem?: Problem) => void) {
    this.#known = known;
    this.#told = told;
  }

  get wanted(): boolean {
    return this.#telling !== undefined;
  }

  /** End it. Asked for again, it is told again at once. */
  want(): void {
    this.#telling?.abort();
    this.#telling = new AbortController();
    this.#told('telling');
    this.named();
  }

  /** The stream may have a name now. */
  named(): void {
    const { stream } = this.#known;
    if (stream !== undefined && this.#telling !== undefined) void this.#tell(stream, this.#telling.signal);
  }

  /** There is nothing more to end. */
  over(): void {
    this.#telling?.abort();
  }

  async #tell(stream: string, signal: AbortSignal): Promise<void> {
    const pause = new Pause();
    while (!signal.aborted) {
      try {
        await ended(stream, this.#known.after);
        if (!signal.aborted) this.#told('told');
        return;
      } catch (failure) {
        if (signal.aborted) return;
        if (failure instanceof Refused && !passing(failure, true)) {
          return this.#told('refused', failure.problem);
        }
        this.#told('untold');
        await pause.rest(signal, failure);
      }
    }
  }
}

/**
 * End a stream, whichever way is open. A browser has six connections for all tabs over HTTP/1.1:
 * answers may have them all, and a WebSocket is not one of them. Throws as `send`.
 */
async function ended(stream: string, after: number): Promise<void> {
  const hurry = AbortSignal.timeout(HEARING);
  const ways = new AbortController();
  const signal = AbortSignal.any([hurry, ways.signal]);
  const overHttp = send('POST', `/v1/streams/${stream}/cancel`, {}, { signal });
  const overSocket = rested(UNHEARD, signal).then(() => endedOverWebSocket(stream, after, signal));
  try {
    await Promise.any([overHttp, overSocket]);
  } catch {
    await overHttp; // why it was in vain
  } finally {
    ways.abort();
  }
}
