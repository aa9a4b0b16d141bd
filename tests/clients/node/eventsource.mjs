// The `eventsource` package, which does in Node what browsers do, on a native stream.
//
//   node eventsource.mjs
//
// Commands: open {url, types} begins to listen for events of those types; until {text} waits until
// the answer holds it, over until it has given up; close. All tell the events, each with its cursor,
// how often and why the connection was lost, and what was waited before it was made again.

import { waits } from './waits.mjs';
import { EventSource } from 'eventsource';
import { serve } from './remote.mjs';

let source, events, errors, changed;

function look() {
  return { events, errors, waits, closed: source.readyState === EventSource.CLOSED };
}

const text = () => events.map(({ data }) => data.delta ?? '').join('');

async function until(holds) {
  while (!holds()) await new Promise(resolve => (changed = resolve));
  return look();
}

await serve({
  open({ url, types }) {
    [events, errors, waits.length, changed] = [[], [], 0, () => {}];
    source = new EventSource(url);
    for (const type of types) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        events.push({ type, id: lastEventId, data: JSON.parse(data) });
        changed();
      });
    }
    source.addEventListener('error', ({ code }) => {
      errors.push(code ?? null);
      changed();
    });
  },
  until: ({ text: wanted }) => until(() => text().includes(wanted)),
  over: () => until(() => source.readyState === EventSource.CLOSED),
  close() {
    source.close();
    return look();
  },
});
