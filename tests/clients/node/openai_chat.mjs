// OpenAI's SDK over chat completions.
//
//   node openai_chat.mjs
//
// Commands: connect {url, retries?}; whole {ask}; parsed {ask} as a place; stream {ask}: the chunks;
// helper {ask}: the helper's events and completion; tools {ask}: the SDK's own loop; start {ask, by?}
// answers with the first text, and abort ends that; waited: what came between retries; and, of bytes
// that nobody sent, read {bodies, ask}: what the helper makes of each.

import { waits } from './waits.mjs';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { answering, raised, readOut, serve } from './remote.mjs';

const Place = z.object({ city: z.string() });
const TOLD = ['content.delta', 'refusal.delta', 'tool_calls.function.arguments.done'];

const OFFLINE = { baseURL: 'http://nowhere.invalid', apiKey: 'test-key-client', maxRetries: 0 };

let client, running;

const chat = () => client.chat.completions;

function weather(asked) {
  return zodFunction({
    name: 'weather',
    description: 'The weather in a city.',
    parameters: Place,
    function: ({ city }) => {
      asked.push(city);
      return { sky: `rain in ${city}` };
    },
  });
}

/** What the streaming helper tells, and what it makes of that. */
async function told(by, ask) {
  const runner = by.chat.completions.stream(ask);
  const events = [];
  for (const name of TOLD) runner.on(name, event => events.push([name, event]));
  try {
    return { events, completion: await runner.finalChatCompletion() };
  } catch (error) {
    return { events, raised: raised(error) };
  }
}

await serve({
  connect({ url, retries: maxRetries = 0 }) {
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'test-key-client', maxRetries });
    waits.length = 0;
  },
  waited: () => ({ waits }),
  async whole({ ask }) {
    try {
      return { completion: await chat().create(ask) };
    } catch (error) {
      return { raised: raised(error) };
    }
  },
  async parsed({ ask }) {
    const completion = await chat().parse({
      ...ask,
      response_format: zodResponseFormat(Place, 'place'),
    });
    return { parsed: completion.choices[0].message.parsed };
  },
  stream: ({ ask }) => readOut(chat().create({ ...ask, stream: true })),
  helper: ({ ask }) => told(client, ask),
  async read({ bodies, ask }) {
    const readers = bodies.map(body => new OpenAI({ ...OFFLINE, fetch: answering(body) }));
    return { read: await Promise.all(readers.map(reader => told(reader, ask))) };
  },
  async tools({ ask }) {
    const asked = [];
    const runner = chat().runTools({ ...ask, tools: [weather(asked)] });
    const content = await runner.finalContent();
    return { asked, content, messages: runner.messages, usage: await runner.totalUsage() };
  },
  async start({ ask, by = 'stream' }) {
    running = by === 'helper' ? chat().stream(ask) : await chat().create({ ...ask, stream: true });
    running.left = running[Symbol.asyncIterator]();
    let text = '';
    while (text === '') {
      const { value } = await running.left.next();
      text += value.choices[0].delta.content ?? '';
    }
    return { text };
  },
  async abort() {
    running.controller.abort();
    return readOut({ [Symbol.asyncIterator]: () => running.left });
  },
});
