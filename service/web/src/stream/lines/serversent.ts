/** A stream over server-sent events: asked for with a POST, taken up again with a GET. */

import { refused } from '../../api/problem.ts';
import { events } from '../../api/sse.ts';
import type { StreamEvent } from '../events.ts';
import type { Line, Place } from '../follow.ts';

const ACCEPT = 'text/event-stream';

/** A `Line` over fetch; EventSource can neither post nor be told where to go on. */
export const overServerSent: Line = async (place, listener, signal) => {
  const response = await asked(place, signal);
  if (response.status === 204) return; // nothing more than what was heard
  if (!response.ok || response.body === null) throw await refused(response);
  listener.alive();
  for await (const sent of events(response.body, listener.alive)) {
    listener.event(JSON.parse(sent.data) as StreamEvent);
  }
};

function asked(place: Place, signal: AbortSignal): Promise<Response> {
  if (place.stream !== undefined) {
    const address = `/v1/streams/${place.stream}?after=${place.after}`;
    const from = place.after < 0 ? `/v1/streams/${place.stream}` : address;
    return fetch(from, { headers: { Accept: ACCEPT }, signal });
  }
  const headers = {
    Accept: ACCEPT,
    'Content-Type': 'application/json',
    'Idempotency-Key': place.key,
  };
  return fetch('/v1/streams', {
    method: 'POST',
    headers,
    body: JSON.stringify(place.request),
    signal,
  });
}
