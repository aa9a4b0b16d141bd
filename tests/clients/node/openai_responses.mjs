// OpenAI's SDK over the Responses API.
//
//   node openai_responses.mjs
//
// Commands: connect {url, retries?}; whole {ask}; parsed {ask} as a place; stream {ask}: the events;
// helper {ask}: the text that its helper tells and its response; tools {ask, stream}: the SDK's own
// loop; start {ask, by?} answers with the id, the last event's number and the first text, and abort
// ends that, rest tells what is left of it; cancel {id}; retrieve {id, after} reads the events again.
// Over the SDK's WebSocket: open; send {ask, lane}; text {lane} waits for the next of an answer, and
// answered {lane} for its end; close. And, of bytes that nobody sent, read {bodies, ask}: what the
// helper makes of each.

import OpenAI from 'openai';
import { ResponsesToolRunner, runnerFunction } from 'openai/helpers/responses-tool-runner';
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { ResponsesWebSocketSession } from 'openai/lib/responses/responses-websocket-session';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { z } from 'zod';
import { answering, raised, readOut, serve } from './remote.mjs';

const Place = z.object({ city: z.string() });

const OFFLINE = { baseURL: 'http://nowhere.invalid', apiKey: 'test-key-client', maxRetries: 0 };
const LIMITS = { maxLanes: 8, maxBufferedEvents: 1000, maxBufferedBytes: 1 << 20 };

let client, running, socket, session, lanes;

function weather(asked) {
  return zodResponsesFunction({
    name: 'weather',
    description: 'The weather in a city.',
    parameters: Place,
    function: ({ city }) => {
      asked.push(city);
      return `rain in ${city}`;
    },
  });
}

/** All that a helper says of an answer, asked anew or by its id. */
async function told(by, ask) {
  const runner = by.responses.stream(ask);
  const events = [];
  const texts = [];
  runner.on('event', event => events.push(event));
  runner.on('response.output_text.delta', ({ snapshot }) => texts.push(snapshot));
  try {
    return { events, texts, response: await runner.finalResponse() };
  } catch (error) {
    return { events, texts, raised: raised(error) };
  }
}

/** The events of one `stream_id`, as the SDK sorts them. */
function lane(name) {
  return (lanes[name] ??= session.lane(name));
}

await serve({
  connect({ url }) {
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'test-key-client', maxRetries: 0 });
  },
  async whole({ ask }) {
    try {
      return { response: await client.responses.create(ask) };
    } catch (error) {
      return { raised: raised(error) };
    }
  },
  async parsed({ ask }) {
    const text = { format: zodTextFormat(Place, 'place') };
    const response = await client.responses.parse({ ...ask, text });
    return { parsed: response.output_parsed };
  },
  stream: ({ ask }) => readOut(client.responses.create({ ...ask, stream: true })),
  helper: ({ ask }) => told(client, ask),
  async read({ bodies, ask }) {
    const readers = bodies.map(body => new OpenAI({ ...OFFLINE, fetch: answering(body) }));
    return { read: await Promise.all(readers.map(reader => told(reader, ask))) };
  },
  async tools({ ask, stream }) {
    const asked = [];
    const runner = new ResponsesToolRunner({ functions: [runnerFunction(weather(asked))] });
    const response = await runner.run(client, ask, { stream });
    return { asked, response };
  },
  async start({ ask, by = 'stream' }) {
    const { responses } = client;
    running =
      by === 'helper' ? responses.stream(ask) : await responses.create({ ...ask, stream: true });
    running.left = running[Symbol.asyncIterator]();
    for (let id; ; ) {
      const { value } = await running.left.next();
      id ??= value.response?.id;
      const { type, delta, sequence_number: number } = value;
      if (type === 'response.output_text.delta') return { id, number, text: delta };
    }
  },
  rest: () => readOut({ [Symbol.asyncIterator]: () => running.left }),
  async abort() {
    running.controller.abort();
    return readOut({ [Symbol.asyncIterator]: () => running.left });
  },
  cancel: async ({ id }) => ({ response: await client.responses.cancel(id) }),
  retrieve: ({ id, after }) =>
    readOut(client.responses.retrieve(id, { stream: true, starting_after: after })),
  async open() {
    socket = new ResponsesWS(client);
    session = new ResponsesWebSocketSession(socket, LIMITS);
    lanes = {};
    for await (const { type } of socket) if (type === 'open') return;
  },
  send: ({ ask, lane: name }) => lane(name).create(ask),
  async text({ lane: name }) {
    for (;;) {
      const { type, delta } = await lane(name).receive();
      if (type === 'response.output_text.delta') return { text: delta };
    }
  },
  async answered({ lane: name }) {
    try {
      return { response: await lane(name).finalResponse() };
    } catch (error) {
      return { raised: { ...raised(error), error: error.error } };
    }
  },
  close: () => socket.close(),
});
