/**
 * One stream, asked for and followed until its end, over whatever the network does.
 *
 * The question is posted with an Idempotency-Key, so it may be posted again where nobody knows
 * whether it arrived: it never runs twice. A broken line is taken up again after the last event that
 * came, at once when the browser says it is online, else after a pause that grows. Leaving ends
 * nothing; `cancel` does, and what never left the browser is not asked at all then.
 */

import { whileAlive } from '../api/line.ts';
import { Refused, type Problem } from '../api/problem.ts';
import { passing, Pause } from '../api/retry.ts';
import type { StreamEvent } from './events.ts';
import { overServerSent } from './lines/serversent.ts';
import { overWebSocket } from './lines/websocket.ts';
import { Stopping, type Stop } from './stopping.ts';

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
  /** Whether an earlier visit may have asked it already. */
  asked?: boolean;
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
  stop(stop: Stop, problem?: Problem): void;
}

const LINES: Record<Carrier, Line> = { sse: overServerSent, websocket: overWebSocket };

/** Of a question that was stopped before it was asked. */
export const UNASKED = 'unasked';

export class Following {
  readonly #place: Place;
  readonly #line: Line;
  readonly #told: Told;
  readonly #leaving = new AbortController();
  readonly #stopping: Stopping;
  #over = false;
  /** Whether the service may have the question, although it did not say so. */
  #asked: boolean;

  constructor(place: Place, carrier: Carrier, told: Told) {
    this.#place = { ...place };
    this.#asked = place.asked === true;
    this.#line = LINES[carrier];
    this.#told = told;
    this.#stopping = new Stopping(this.#place, (stop, problem) => told.stop(stop, problem));
  }

  /** Follow until the end, or until it is left. Never throws. */
  async run(): Promise<void> {
    const pause = new Pause();
    this.#told.state('connecting');
    while (!this.#left && !this.#over) {
      const before = this.#place.after;
      const failure = await this.#tried();
      if (failure instanceof Refused && !passing(failure, this.#begun)) this.#refused(failure.problem);
      this.#withdraw();
      if (this.#over || this.#left) return;
      if (this.#place.after > before) pause.reset();
      this.#told.state('waiting');
      await pause.rest(this.#leaving.signal, failure);
    }
  }

  /** Stop receiving; the generation goes on. */
  leave(): void {
    this.#leaving.abort();
  }

  /** End the generation; its last event still comes. What cannot have been asked is over at once. */
  cancel(): void {
    this.#stopping.want();
    this.#withdraw();
  }

  /** Over one line, until it ends, breaks or is given up; why it did, where it says so. */
  async #tried(): Promise<unknown> {
    const before = this.#asked;
    const away = offline();
    let silent = true;
    this.#asked = true;
    const failure: unknown = await this.#listen(() => (silent = false)).catch((why: unknown) => why);
    // The service's own word says that it has not taken the question; a proxy's says nothing. Without
    // a network none has left the browser, unless the service is on this machine and said something.
    const untaken =
      failure instanceof Refused ? failure.problem.code !== 'http' : silent && away && offline();
    if (untaken) this.#asked = before;
    return failure;
  }

  /** `reached` is called when the line may have reached the service: something came, or it hung. */
  #listen(reached: () => void): Promise<void> {
    return whileAlive(this.#leaving.signal, (signal, heard) => {
      signal.addEventListener('abort', reached);
      const alive = (): void => {
        heard();
        reached();
        if (!this.#left && !this.#over) this.#told.state('live');
      };
      const listener = { alive, event: (event: StreamEvent) => this.#heard(event) };
      return this.#line(this.#place, listener, signal);
    });
  }

  /** What is to end and cannot have reached the service is not asked any more. */
  #withdraw(): void {
    if (!this.#stopping.wanted || this.#asked || this.#begun || this.#over) return;
    this.#refused({ code: UNASKED, message: 'stopped before it was asked', retryable: false });
    this.leave();
  }

  #refused(problem: Problem): void {
    this.#finish();
    if (!this.#left) this.#told.state('refused', problem);
  }

  /** Whether there is a stream, as far as is known here. */
  get #begun(): boolean {
    return this.#place.stream !== undefined;
  }

  get #left(): boolean {
    return this.#leaving.signal.aborted;
  }

  #heard(event: StreamEvent): void {
    if (this.#left || this.#over) return;
    const unnamed = !this.#begun;
    this.#place.stream = event.stream;
    if (unnamed) this.#stopping.named();
    const seq = event.type === 'stream.snapshot' ? event.as_of : event.seq;
    if (seq !== undefined && seq <= this.#place.after) return;
    if (seq !== undefined) this.#place.after = seq;
    this.#told.event(event);
    if (event.type === 'stream.end') {
      this.#finish();
      this.#told.state('over');
    }
  }

  #finish(): void {
    this.#over = true;
    this.#stopping.over();
  }
}

/** What the browser says of the network; in doubt there is one. */
function offline(): boolean {
  return globalThis.navigator?.onLine === false;
}
