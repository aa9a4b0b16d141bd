// The SSE client of docs/examples.
//
//   node sse.mjs URL
//
// Commands, of the answer called `name`: ask {request, options?}, follow {stream, options?} and listen
// {stream, options?}, which is by EventSource, begin to listen; shows {text} waits until that is in
// it, ends until nothing more comes, ended until its last event has; leave leaves the loop; hangUp
// aborts its signal; cancel ends the generation; parse {chunks}: what the reader makes of bytes.

import { EventSource } from 'eventsource';
import { ask, cancel, follow, listen, parse } from '../../../docs/examples/tailrace-sse.js';
import { Listening } from './answers.mjs';
import { serve } from './remote.mjs';

globalThis.EventSource ??= EventSource;
const [url] = process.argv.slice(2);
const listening = new Map();
const controllers = new Map();

function signal(name) {
  controllers.set(name, new AbortController());
  return controllers.get(name).signal;
}

async function* nothing() {}

await serve({
  ask({ name, request, options }) {
    listening.set(name, new Listening(ask(url, request, { signal: signal(name), ...options })));
  },
  follow({ name, stream, options }) {
    listening.set(name, new Listening(follow(url, stream, { signal: signal(name), ...options })));
  },
  listen({ name, stream, options }) {
    const heard = new Listening(nothing());
    listening.set(name, heard);
    listen(url, stream, (event) => heard.take(event), options);
  },
  shows: ({ name, text }) => listening.get(name).shows(text),
  ends: ({ name }) => listening.get(name).ends(),
  ended: ({ name }) => listening.get(name).until(({ transcript }) => transcript.end),
  leave: ({ name }) => listening.get(name).leave(),
  hangUp: ({ name }) => controllers.get(name).abort(),
  cancel: ({ stream }) => cancel(url, stream),
  async parse({ chunks }) {
    const body = ReadableStream.from(chunks.map((chunk) => Uint8Array.from(chunk)));
    const events = [];
    for await (const event of parse(body)) events.push(event);
    return { events };
  },
});
