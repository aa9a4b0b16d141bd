// The AI SDK's chat without a page: `AbstractChat` over one of its two transports.
//
//   node chat.mjs [http|websocket URL]
//
// Commands: connect {kind, url} says the same for all pages until they are shut; open {id, messages?,
// body?} a page; send {text} or {message}; resume; shows {text} waits until the last
// message holds it; settled waits for the answer's end; stop; tool {name, id, output}; look; and, of
// bytes that nobody sent, read {bodies}: the messages that they make.

import {
  AbstractChat,
  DefaultChatTransport,
  readUIMessageStream,
  WebSocketChatTransport,
} from 'ai';
import { leave, serve } from './remote.mjs';

class State {
  status = 'ready';
  error = undefined;
  watchers = new Set();

  constructor(messages) {
    this.messages = messages;
  }
  pushMessage = message => {
    this.messages = [...this.messages, structuredClone(message)];
    this.changed();
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, structuredClone(message));
    this.changed();
  };
  snapshot = value => structuredClone(value);
  changed() {
    for (const watcher of this.watchers) watcher();
  }
  until(holds) {
    return new Promise(resolve => {
      const look = () => {
        if (!holds()) return;
        this.watchers.delete(look);
        resolve();
      };
      this.watchers.add(look);
      look();
    });
  }
}

class Chat extends AbstractChat {
  constructor(state, init) {
    super({ ...init, state });
  }
}

const textOf = message =>
  (message?.parts ?? []).filter(part => part.type === 'text').map(part => part.text).join('');

let [kind, url] = process.argv.slice(2);
let transports = [];
let chat, state, running, seen;

function transport(body) {
  const made =
    kind === 'websocket'
      ? new WebSocketChatTransport({ url: `${url}/api/chat/ws`, body })
      : new DefaultChatTransport({ api: `${url}/api/chat`, body });
  transports.push(made);
  return made;
}

/** What the transport and the reader make of one body: the message, the chunk types, its error. */
async function read(body) {
  const types = [];
  const stream = await new DefaultChatTransport({
    fetch: async () => new Response(body),
  }).sendMessages({ chatId: 'c', messages: [], trigger: 'submit-message' });
  const counted = stream.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        types.push(chunk.type);
        controller.enqueue(chunk);
      },
    }),
  );
  let message = null;
  try {
    for await (message of readUIMessageStream({ stream: counted, terminateOnError: true }));
  } catch (error) {
    return { message, types, raised: error.message };
  }
  return { message, types, raised: null };
}

function look() {
  return {
    status: state.status,
    error: state.error?.message ?? null,
    messages: state.messages,
    text: textOf(state.messages.at(-1)),
    ...seen,
  };
}

await serve({
  connect(given) {
    ({ kind, url } = given);
    transports = [];
  },
  async shut() {
    for (const made of transports) made.close?.();
    await leave();
  },
  open({ id, messages = [], body = {} }) {
    state = new State(messages);
    seen = { finishes: [], data: [], calls: [] };
    chat = new Chat(state, {
      id,
      transport: transport(body),
      onFinish: ({ finishReason, isAbort, isError }) =>
        seen.finishes.push({ reason: finishReason ?? null, isAbort, isError }),
      onData: part => seen.data.push(part),
      onToolCall: ({ toolCall }) => void seen.calls.push(toolCall),
    });
  },
  send({ text, message }) {
    running = chat.sendMessage(message ?? { text });
  },
  again() {
    running = chat.sendMessage();
  },
  resume() {
    running = chat.resumeStream();
  },
  async shows({ text }) {
    await state.until(() => textOf(state.messages.at(-1)).includes(text));
    return look();
  },
  async settled() {
    await running;
    return look();
  },
  async stop() {
    await chat.stop();
    return look();
  },
  async tool({ name, id, output }) {
    await chat.addToolOutput({ tool: name, toolCallId: id, output });
    return look();
  },
  look,
  async read({ bodies }) {
    return { read: await Promise.all(bodies.map(read)) };
  },
});
