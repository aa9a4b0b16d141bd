/**
 * A stream over a WebSocket of its own: docs/websocket.md.
 *
 * A question that is long waits until the service has said how long it may be: a socket that is
 * closed while something is being sent to it need not come to say why.
 */

import { Refused, type Problem } from '../../api/problem.ts';
import type { StreamEvent } from '../events.ts';
import type { Line, Place } from '../follow.ts';

const PROTOCOL = 'tailrace.stream.v1';
const ID = 'a';

/** WebSocket's own code for a message that is larger than the other side takes. */
const TOO_LONG = 1009;

/** Codes after which the same would happen again. */
const HOPELESS = new Set([1002, 1003, 1007, TOO_LONG, 4400, 4401, 4403, 4406]);

/** The service has too many sockets: what it asks to be waited, in milliseconds. */
const CROWDED = 4429;
const CROWDED_REST = 5_000;

/** Bytes that are sent without asking. */
const SHORT = 65_536;

type Frame =
  | { t: 'ready'; limits: { max_frame_bytes: number } }
  | { t: 'ping' | 'pong' | 'goaway' }
  | { t: 'started'; stream: string }
  | { t: 'ev'; e: StreamEvent }
  | { t: 'evs'; e: StreamEvent[] }
  | { t: 'end'; reason: string }
  | { t: 'err'; error: Problem };

/** A `Line`; the socket is closed when the stream has ended or the reader leaves. */
export const overWebSocket: Line = (place, listener, signal) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(address(), PROTOCOL);
    const say = (message: object): void => socket.send(JSON.stringify(message));
    const opening = JSON.stringify(first(place));
    const bytes = new TextEncoder().encode(opening).length;
    let limit: number | undefined;
    // On a dead line the closing handshake would be waited for: nobody does.
    const leave = (): void => {
      socket.onmessage = null;
      socket.close(1000);
      resolve();
    };
    const fail = (failure: Refused): void => {
      reject(failure);
      leave();
    };
    signal.addEventListener('abort', leave);
    socket.onopen = () => {
      say({ t: 'init', accept: { coalesce: true } });
      if (bytes <= SHORT) socket.send(opening);
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      listener.alive();
      const frame = JSON.parse(data) as Frame;
      const came = frame.t === 'ev' ? [frame.e] : frame.t === 'evs' ? frame.e : [];
      for (const event of came) listener.event(event);
      const last = came.findLast((event) => event.seq !== undefined)?.seq;
      if (last !== undefined) say({ t: 'ack', id: ID, seq: last });
      if (frame.t === 'ping') say({ t: 'pong' });
      if (frame.t === 'end') leave();
      if (frame.t === 'err') fail(new Refused(statusOf(frame.error), frame.error));
      if (frame.t === 'ready') {
        limit = frame.limits.max_frame_bytes;
        if (bytes > limit) fail(closed(TOO_LONG, '', limit));
        else if (bytes > SHORT) socket.send(opening);
      }
    };
    socket.onclose = ({ code, reason }) => {
      signal.removeEventListener('abort', leave);
      if (HOPELESS.has(code)) reject(closed(code, reason, limit));
      else if (code === CROWDED) reject(crowded(reason));
      else resolve();
    };
  });

/** End a stream over a socket of its own, after the event `after`. Throws Refused, or for a break. */
export function endedOverWebSocket(stream: string, after: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = new WebSocket(address(), PROTOCOL);
    signal.addEventListener('abort', () => socket.close(1000));
    socket.onopen = () => {
      const words = [{ t: 'init' }, { t: 'attach', id: ID, stream, after }, { t: 'cancel', id: ID }];
      for (const word of words) socket.send(JSON.stringify(word));
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      const frame = JSON.parse(data) as Frame;
      if (frame.t === 'end') resolve();
      if (frame.t === 'err') reject(new Refused(statusOf(frame.error), frame.error));
      if (frame.t === 'end' || frame.t === 'err') socket.close(1000);
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  });
}

function first(place: Place): object {
  return place.stream === undefined
    ? { t: 'start', id: ID, request: place.request, idempotency_key: place.key }
    : { t: 'attach', id: ID, stream: place.stream, after: place.after };
}

/** Why a socket was closed for good; `limit`, where it is known: bytes that a message may have. */
function closed(code: number, reason: string, limit: number | undefined): Refused {
  const message = reason === '' ? `closed with ${code}` : reason;
  const told = { code: `ws_${code}`, message, retryable: false };
  return new Refused(code, limit === undefined ? told : { ...told, limit_bytes: limit });
}

function crowded(message: string): Refused {
  const told = { code: `ws_${CROWDED}`, message, retryable: true, retry_after_ms: CROWDED_REST };
  return new Refused(statusOf(told), told);
}

/** HTTP's status for what may pass; a frame has none. */
function statusOf(problem: Problem): number {
  return problem.retryable ? 503 : 400;
}

function address(): string {
  const here = new URL('/v1/ws', location.href);
  here.protocol = here.protocol === 'https:' ? 'wss:' : 'ws:';
  return here.href;
}
