// The WebSocket client of docs/examples.
//
//   node socket.mjs URL
//
// Commands, all but close of the answer called `name`: start {request, options?} and attach {stream,
// options?} begin to listen; shows {text} waits until that is in it, ends until nothing more comes;
// hold and go stop its loop and let it go on; leave leaves it; cancel; look; fold {streams}: what the
// transcript makes of events that nobody sent.

import { TailraceSocket } from '../../../docs/examples/tailrace-socket.js';
import { Transcript } from '../../../docs/examples/tailrace-transcript.js';
import { Listening } from './answers.mjs';
import { serve } from './remote.mjs';

const [url] = process.argv.slice(2);
let sockets = 0;
const auth = async () => ({ scheme: 'ticket', token: `ticket-${++sockets}` });
const tailrace = new TailraceSocket(`${url}/v1/ws`.replace('http', 'ws'), { auth });
const answers = new Map();
const listening = new Map();
const held = new Map();

function listen(name, answer) {
  answers.set(name, answer);
  listening.set(name, new Listening(answer));
}

function fold(events) {
  const transcript = new Transcript();
  for (const event of events) transcript.add(event);
  const { text, reasoning, refusal, calls, citations } = transcript;
  return { text, reasoning, refusal, calls, citations: citations.length };
}

await serve({
  start: ({ name, request, options }) => listen(name, tailrace.start(request, options)),
  attach: ({ name, stream, options }) => listen(name, tailrace.attach(stream, options)),
  shows: ({ name, text }) => listening.get(name).shows(text),
  ends: ({ name }) => listening.get(name).ends(),
  hold: ({ name }) => void held.set(name, listening.get(name).hold()),
  go: ({ name }) => held.get(name)(),
  leave: ({ name }) => listening.get(name).leave(),
  cancel: ({ name }) => answers.get(name).cancel(),
  look: ({ name }) => ({ ...listening.get(name).look(), sockets }),
  close: () => tailrace.close(),
  fold: ({ streams }) => ({ folded: streams.map(fold) }),
});
