/**
 * One stream, asked for and followed until its end, over whatever the network does.
 *
 * The question is posted with an Idempotency-Key, so it may be posted again where nobody knows
 * whether it arrived: it never runs twice. A broken line is taken up again after the last event that
 * came, at once when the browser says it is online, else after a pause that grows. Leaving ends
 * nothing; `cancel` does.
 *
 * A line may be dead without anybody saying so: a network that was left behind breaks nothing. The
 * service is never silent for long, so one on which nothing came for half a minute is given up, and
 * at once when the browser says that it is offline.
 */

import { send } from '../api/http.ts';
import { Refused } from '../api/problem.ts';
import type { Problem, StreamEvent } from './events.ts';
import { overServerSent } from './lines/serversent.ts';
import { overWebSocket } from './lines/websocket.ts';

/** What carries the events. */
export type Carrier = 'sse' | 'websocket';

/** Where a stream is to be taken up. */
export interface Place {
  /** The request of POST /v1/streams. */
  request: unknown;
  key: string;
  /** Once it is known. */
  stream: string | undefined;
  /** The number of the last event that came; -1 where none did. */
  after: number;
}

/** Who listens to a line. */
export interface Listener {
  /** Something came, an event or not: the line is alive. */
  alive(): void;
  event(event: StreamEvent): void;
}

/** Deliver events from a place on until the line ends; throws Refused, or anything for a break. */
export type Line = (place: Place, listener: Listener, signal: AbortSignal) => Promise<void>;

export type State = 'connecting' | 'live' | 'waiting' | 'over' | 'refused';

export interface Told {
  event(event: StreamEvent): void;
  state(state: State, problem?: Problem): void;
}

const LINES: Record<Carrier, Line> = { sse: overServerSent, websocket: overWebSocket };

const SHORTEST = 250; // milliseconds
const LONGEST = 5_000;

/** Silence after which a line is dead: SSE says something every 10 s, a WebSocket every 20 s. */
const DEAD = 30_000;

export class Following {
  readonly #place: Place;
  readonly #line: Line;
  readonly #told: Told;
  readonly #leaving = new AbortController();
  #over = false;
  /** It was cancelled before it had a name: it is ended as soon as it has one. */
  #unwanted = false;

  constructor(place: Place, carrier: Carrier, told: Told) {
    this.#place = { ...place };
    this.#line = LINES[carrier];
    this.#told = told;
  }

  /** Follow until the end, or until it is left. Never throws. */
  async run(): Promise<void> {
    let pause = SHORTEST;
    this.#told.state('connecting');
    while (!this.#left) {
      const before = this.#place.after;
      try {
        await this.#listen();
      } catch (failure) {
        if (failure instanceof Refused && !passing(failure)) {
          if (!this.#left) this.#told.state('refused', failure.problem);
          return;
        }
      }
      if (this.#over || this.#left) return;
      pause = this.#place.after > before ? SHORTEST : Math.min(2 * pause, LONGEST);
      this.#told.state('waiting');
      await rested(pause, this.#leaving.signal);
    }
  }

  /** Stop receiving; the generation goes on. */
  leave(): void {
    this.#leaving.abort();
  }

  /** End the generation; its last event still comes. Throws Refused, or what fetch throws. */
  async cancel(): Promise<void> {
    const { stream } = this.#place;
    if (stream === undefined) this.#unwanted = true;
    else await send('POST', `/v1/streams/${stream}/cancel`, {});
  }

  /** Over one line, until it ends, breaks or is given up. */
  async #listen(): Promise<void> {
    const dead = new AbortController();
    const give = (): void => dead.abort();
    let silence = setTimeout(give, DEAD);
    globalThis.addEventListener?.('offline', give);
    const alive = (): void => {
      clearTimeout(silence);
      silence = setTimeout(give, DEAD);
      if (!this.#left && !this.#over) this.#told.state('live');
    };
    const listener = { alive, event: (event: StreamEvent) => this.#heard(event) };
    try {
      await this.#line(this.#place, listener, AbortSignal.any([this.#leaving.signal, dead.signal]));
    } finally {
      clearTimeout(silence);
      globalThis.removeEventListener?.('offline', give);
    }
  }

  get #left(): boolean {
    return this.#leaving.signal.aborted;
  }

  #heard(event: StreamEvent): void {
    if (this.#left || this.#over) return;
    this.#place.stream = event.stream;
    if (this.#unwanted) {
      this.#unwanted = false;
      void this.cancel().catch(() => undefined); // it runs on then, and can be cancelled again
    }
    const seq = event.type === 'stream.snapshot' ? event.as_of : event.seq;
    if (seq !== undefined && seq <= this.#place.after) return;
    if (seq !== undefined) this.#place.after = seq;
    this.#told.event(event);
    if (event.type === 'stream.end') {
      this.#over = true;
      this.#told.state('over');
    }
  }
}

/** Whether the same may succeed later: the service is busy, or a proxy answered in its place. */
function passing({ status, problem }: Refused): boolean {
  return problem.retryable && (status === 503 || problem.code === 'http');
}

/** A pause, which ends early when the browser is online again or nobody waits any more. */
function rested(milliseconds: number, signal: AbortSignal): Promise<void> {
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
