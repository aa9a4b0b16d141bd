// Pages in React that hold a chat with `useChat`, one after the other, in a browser's document without
// a browser.
//
//   node page.mjs
//
// Commands: open {kind, url, id, messages?, resume?, body?} over http or websocket; shut it as a reload
// does; send {text}; resume; stop; shows {text} waits until the page does; becomes {status} waits
// until the chat is. The page runs the tool `weather` itself.

import { leave, serve } from './remote.mjs';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<main></main>', { url: 'http://page.invalid' });
for (const name of ['window', 'document', 'MutationObserver', 'HTMLElement']) {
  globalThis[name] = name === 'window' ? window : window[name];
}
const { createElement: element } = await import('react');
const { createRoot } = await import('react-dom/client');
const { useChat } = await import('@ai-sdk/react');
const {
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithToolCalls: sendAutomaticallyWhen,
  WebSocketChatTransport,
} = await import('ai');

let root, transport, watcher, chat, shown;

function weather({ toolCall: { toolCallId, input } }) {
  void chat.addToolOutput({ tool: 'weather', toolCallId, output: `rain in ${input.city}` });
}

function Page(given) {
  chat = useChat({ ...given, onToolCall: weather, sendAutomaticallyWhen });
  const lines = chat.messages.map(message => {
    const text = message.parts.map(part => part.text ?? '').join('');
    return element('p', { key: message.id, title: message.id, className: message.role }, text);
  });
  return element('div', { id: chat.status }, lines, chat.error?.message);
}

function look() {
  const lines = [...document.querySelectorAll('p')];
  return {
    status: chat.status,
    error: chat.error?.message ?? null,
    shown,
    lines: lines.map(line => ({ id: line.title, role: line.className, text: line.textContent })),
    messages: chat.messages,
  };
}

function until(holds) {
  return new Promise(resolve => {
    const observer = new MutationObserver(() => check());
    const check = () => {
      if (!holds()) return;
      observer.disconnect();
      resolve(look());
    };
    observer.observe(document, {
      attributes: true,
      characterData: true,
      childList: true,
      subtree: true,
    });
    check();
  });
}

/** Keep every text that the last line of the page has ever shown. */
function watch() {
  shown = [];
  const changed = () => {
    const text = [...document.querySelectorAll('p')].at(-1)?.textContent;
    if (text !== shown.at(-1)) shown.push(text);
  };
  const everything = { characterData: true, childList: true, subtree: true };
  watcher = new MutationObserver(changed);
  watcher.observe(document, everything);
}

await serve({
  open({ kind, url, id, messages = [], resume = false, body = {} }) {
    transport =
      kind === 'websocket'
        ? new WebSocketChatTransport({ url: `${url}/api/chat/ws`, body })
        : new DefaultChatTransport({ api: `${url}/api/chat`, body });
    watch();
    root = createRoot(document.querySelector('main'));
    root.render(element(Page, { id, messages, resume, transport }));
    return until(() => document.querySelector('main > div') != null).then(() => ({}));
  },
  async shut() {
    watcher.disconnect();
    root.unmount();
    transport.close?.();
    await leave();
  },
  send({ text }) {
    void chat.sendMessage({ text });
  },
  resume() {
    void chat.resumeStream();
  },
  async stop() {
    await chat.stop();
    return look();
  },
  shows: ({ text }) => until(() => document.body.textContent.includes(text)),
  becomes: ({ status }) => until(() => document.getElementById(status) != null),
});
