// A page in React that holds a chat with `useChat`, in a browser's document without a browser.
//
//   node page.mjs http|websocket URL
//
// Commands: open {id, messages?, resume?}; send {text}; stop; shows {text} waits until the page does;
// becomes {status} waits until the chat is; leave closes the page as a reload does.

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
const { DefaultChatTransport, WebSocketChatTransport } = await import('ai');

let root, chat;

function Page({ id, messages, resume, transport }) {
  chat = useChat({ id, messages, resume, transport });
  const lines = chat.messages.map(message => {
    const text = message.parts.map(part => part.text ?? '').join('');
    return element('p', { key: message.id, title: message.id, className: message.role }, text);
  });
  return element('div', { id: chat.status }, lines);
}

function look() {
  const shown = [...document.querySelectorAll('p')];
  return {
    status: chat.status,
    lines: shown.map(line => ({ id: line.title, role: line.className, text: line.textContent })),
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

await serve({
  open({ id, messages = [], resume = false }) {
    const transport =
      kind === 'websocket'
        ? new WebSocketChatTransport({ url: `${url}/api/chat/ws` })
        : new DefaultChatTransport({ api: `${url}/api/chat` });
    root = createRoot(document.querySelector('main'));
    root.render(element(Page, { id, messages, resume, transport }));
    return until(() => document.querySelector('main > div') != null).then(() => ({}));
  },
  send({ text }) {
    void chat.sendMessage({ text });
  },
  async stop() {
    await chat.stop();
    return look();
  },
  shows: ({ text }) => until(() => document.body.textContent.includes(text)),
  becomes: ({ status }) => until(() => document.getElementById(status) != null),
});
