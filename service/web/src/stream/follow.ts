/**
 * One stream, asked for and followed until its end, over whatever the network does.
 *
 * The question is posted with an Idempotency-Key, so it may be posted again where nobody knows
 * whether it arrived: it never runs twice. A broken line is taken up again after the last event that
 * came, at once when the browser says it is online, else after a pause that grows. Leaving ends
 * nothing; `cancel` does, and is told to the service until it has heard it: an answer that nobody
 * wants would be paid for. What never left the browser is not asked at all then.
 */

import { send } from '../api/http.ts';
import { rested, whileAlive } from '../api/line.ts';
import { Refused, type Problem } from '../api/problem.ts';
import { passing, Pause } from '../api/retry.ts';
import type { StreamEvent } from './events.ts';
import { overServerSent } from './lines/serversent.ts';
import { endedOverWebSocket, overWebSocket } from './lines/websocket.ts';

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

/** How far ending it has come: it is being told, was heard, could not be told yet, was refused. */
export type Stop = 'telling' | 'told' | 'untold' | 'refused';

export interface Told {
  event(event: StreamEvent): void;
  state(state: State, problem?: Problem): void;
  stop(stop: Stop, problem?: Problem): void;
}

const LINES: Record<Carrier, Line> = { sse: overServerSent, websocket: overWebSocket };

/** Milliseconds that the service may take to hear that a stream is to end. */
const HEARING = 5_000;

/** Milliseconds after which it is told over a WebSocket, too. */
const UNHEARD = 500;

/** Of a question that was stopped before it was asked. */
export const UNASKED = 'unasked';

export class Following {
  readonly #place: Place;
  readonly #line: Line;
  readonly #told: Told;
  readonly #leaving = new AbortController();
  #over = false;
  /** It is to end. Aborted where that is told anew. */
  #ending: AbortController | undefined;
  /** Whether the service may have the question, although it did not say so. */
  #asked: boolean;

  constructor(place: Place, carrier: Carrier, told: Told) {
    this.#place = { ...place };
    this.#asked = place.asked === true;
    this.#line = LINES[carrier];
    this.#told = told;
  }

  /** Follow until the end, or until it is left. Never throws. */
  async run(): Promise<void> {
    const pause = new Pause();
    this.#told.state('connecting');
    while (!this.#left && !this.#over) {
      const before = this.#place.after;
      const failure = await this.#tried();
      if (failure instanceof Refused && !passing(failure, this.#begun)) this.#refused(failure.problem);
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

  /**
   * End the generation; its last event still comes. What has no name yet is ended as soon as it has
   * one, and what cannot have reached the service at once. Asked for again, it is told again at once.
   */
  cancel(): void {
    this.#ending?.abort();
    this.#ending = new AbortController();
    this.#told.stop('telling');
    const { stream } = this.#place;
    if (stream !== undefined) void this.#end(stream, this.#ending.signal);
    else if (!this.#asked) {
      this.#refused({ code: UNASKED, message: 'stopped before it was asked', retryable: false });
      this.leave();
    }
  }

  /** Tell the service, until it has heard it. */
  async #end(stream: string, signal: AbortSignal): Promise<void> {
    const pause = new Pause();
    while (!this.#over && !signal.aborted) {
      try {
        await ended(stream, this.#place.after);
        if (!signal.aborted) this.#told.stop('told');
        return;
      } catch (failure) {
        if (signal.aborted) return;
        if (failure instanceof Refused && !passing(failure, true)) {
          return this.#told.stop('refused', failure.problem);
        }
        this.#told.stop('untold');
        await pause.rest(signal, failure);
      }
    }
  }

  /** Over one line, until it ends, breaks or is given up; why it did, where it says so. */
  async #tried(): Promise<unknown> {
    // The question is not put where it cannot leave: it may be stopped before it can.
    if (!this.#begun && globalThis.navigator?.onLine === false) return undefined;
    const before = this.#asked;
    this.#asked = true;
    try {
      await this.#listen();
      return undefined;
    } catch (failure) {
      // The service's own word says that it has not taken the question; a proxy's says nothing.
      if (failure instanceof Refused && failure.problem.code !== 'http') this.#asked = before;
      return failure;
    }
  }

  #listen(): Promise<void> {
    return whileAlive(this.#leaving.signal, (signal, heard) => {
      const alive = (): void => {
        heard();
        if (!this.#left && !this.#over) this.#told.state('live');
      };
      const listener = { alive, event: (event: StreamEvent) => this.#heard(event) };
      return this.#line(this.#place, listener, signal);
    });
  }

  #refused(problem: Problem): void {
    this.#over = true;
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
    if (unnamed && this.#ending) void this.#end(event.stream, this.#ending.signal);
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
