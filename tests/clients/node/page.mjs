// A page in React that holds a chat with `useChat`, in a browser's document without a browser.
//
//   node page.mjs http|websocket URL
//
// Commands: open {id, messages?, resume?, body?}; send {text}; resume; stop; shows {text} waits until
// the page does; becomes {status} waits until the chat is. The page runs the tool `weather` itself.

import { JSDOM } from 'jsdom';
import { serve } from './remote.mjs';

const [kind, url] = process.argv.slice(2);
const { window } = new JSDOM('<main></main>', { url });
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

let root, chat, shown;

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
  new MutationObserver(changed).observe(document, everything);
}

await serve({
  open({ id, messages = [], resume = false, body = {} }) {
    const transport =
      kind === 'websocket'
        ? new WebSocketChatTransport({ url: `${url}/api/chat/ws`, body })
        : new DefaultChatTransport({ api: `${url}/api/chat`, body });
    watch();
    root = createRoot(document.querySelector('main'));
    root.render(element(Page, { id, messages, resume, transport }));
    return until(() => document.querySelector('main > div') != null).then(() => ({}));
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
