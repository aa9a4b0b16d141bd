/** A stream over a WebSocket of its own: docs/websocket.md. */

import { Refused } from '../../api/problem.ts';
import type { Problem, StreamEvent } from '../events.ts';
import type { Line, Place } from '../follow.ts';

const PROTOCOL = 'tailrace.stream.v1';
const ID = 'a';

/** Codes after which the same would happen again. */
const HOPELESS = new Set([1003, 1007, 1009, 4400, 4401, 4403, 4406]);

type Frame =
  | { t: 'ready' | 'ping' | 'pong' | 'goaway' }
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
    // On a dead line the closing handshake would be waited for: nobody does.
    const leave = (): void => {
      socket.onmessage = null;
      socket.close(1000);
      resolve();
    };
    signal.addEventListener('abort', leave);
    socket.onopen = () => {
      say({ t: 'init', accept: { coalesce: true } });
      say(first(place));
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
      if (frame.t === 'err') {
        reject(new Refused(statusOf(frame.error), frame.error));
        leave();
      }
    };
    socket.onclose = ({ code, reason }) => {
      signal.removeEventListener('abort', leave);
      if (!HOPELESS.has(code)) return resolve();
      const message = reason === '' ? `closed with ${code}` : reason;
      reject(new Refused(code, { code: `ws_${code}`, message, retryable: false }));
    };
  });

function first(place: Place): object {
  return place.stream === undefined
    ? { t: 'start', id: ID, request: place.request, idempotency_key: place.key }
    : { t: 'attach', id: ID, stream: place.stream, after: place.after };
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
