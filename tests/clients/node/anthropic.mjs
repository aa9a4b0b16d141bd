// Anthropic's SDK over the Messages API.
//
//   node anthropic.mjs
//
// Commands: connect {url, retries?}; whole {ask}; parsed {ask} as a place; count {ask}; stream {ask}:
// the events; helper {ask}: what the helper tells and its message; tools {ask}: the SDK's own loop;
// start {ask, by?} answers with the first text, and abort ends that; waited: what came between
// retries; and, of bytes that nobody sent, read {bodies, ask}: what the helper makes of each.

import { waits } from './waits.mjs';
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import { answering, raised, readOut, serve } from './remote.mjs';

const Place = z.object({ city: z.string() });
const TOLD = ['text', 'thinking', 'signature', 'inputJson', 'citation'];

const OFFLINE = { baseURL: 'http://nowhere.invalid', apiKey: 'test-key-client', maxRetries: 0 };

let client, running;

function weather(asked) {
  return betaZodTool({
    name: 'weather',
    description: 'The weather in a city.',
    inputSchema: Place,
    run: ({ city }) => {
      asked.push(city);
      if (city === 'Rome') throw new Error('no weather in Rome');
      return `rain in ${city}`;
    },
  });
}

/** What the streaming helper tells, and what it makes of that. */
async function told(by, ask) {
  const runner = by.messages.stream(ask);
  const events = [];
  for (const name of TOLD) runner.on(name, said => events.push([name, said]));
  try {
    return { events, message: await runner.finalMessage() };
  } catch (error) {
    return { events, raised: raised(error) };
  }
}

const orRaised = answer => answer.catch(error => ({ raised: raised(error) }));

await serve({
  connect({ url: baseURL, retries: maxRetries = 0 }) {
    client = new Anthropic({ baseURL, apiKey: 'test-key-client', maxRetries });
    waits.length = 0;
  },
  waited: () => ({ waits }),
  whole: ({ ask }) => orRaised(client.messages.create(ask).then(message => ({ message }))),
  count: ({ ask }) => orRaised(client.messages.countTokens(ask)),
  async parsed({ ask }) {
    const output_config = { format: zodOutputFormat(Place) };
    const message = await client.messages.parse({ ...ask, output_config });
    return { parsed: message.parsed_output };
  },
  stream: ({ ask }) => readOut(client.messages.create({ ...ask, stream: true })),
  helper: ({ ask }) => told(client, ask),
  async read({ bodies, ask }) {
    const readers = bodies.map(body => new Anthropic({ ...OFFLINE, fetch: answering(body) }));
    return { read: await Promise.all(readers.map(reader => told(reader, ask))) };
  },
  async tools({ ask }) {
    const asked = [];
    const runner = client.beta.messages.toolRunner({ ...ask, tools: [weather(asked)] });
    const message = await runner.runUntilDone();
    return { asked, message, messages: runner.params.messages };
  },
  async start({ ask, by = 'stream' }) {
    const { messages } = client;
    running =
      by === 'helper' ? messages.stream(ask) : await messages.create({ ...ask, stream: true });
    running.left = running[Symbol.asyncIterator]();
    for (;;) {
      const { value } = await running.left.next();
      if (value.delta?.text) return { text: value.delta.text };
    }
  },
  async abort() {
    running.controller.abort();
    return readOut({ [Symbol.asyncIterator]: () => running.left });
  },
});
