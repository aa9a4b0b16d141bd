// A page of docs/examples in a browser's document, without a browser: opening it again is a reload.
//
//   node browser.mjs URL
//
// Commands: open {page}; ask {question}; stop; shows {text} waits until the answer has it, says
// {status} until the last line is that.

import { readFile } from 'node:fs/promises';
import { JSDOM } from 'jsdom';
import { serve } from './remote.mjs';

const [url] = process.argv.slice(2);
const examples = new URL('../../../docs/examples/', import.meta.url);
let opened = 0;
let document;
const { window: tab } = new JSDOM('', { url: 'http://127.0.0.1:8000' });

function look() {
  const answer = document.getElementById('answer').textContent;
  return { answer, status: document.getElementById('status').textContent };
}

function until(holds) {
  const { MutationObserver } = document.defaultView;
  return new Promise((resolve) => {
    const observer = new MutationObserver(() => check());
    const check = () => {
      if (!holds(look())) return;
      observer.disconnect();
      resolve(look());
    };
    observer.observe(document, { childList: true, characterData: true, subtree: true });
    check();
  });
}

await serve({
  async open({ page }) {
    const html = await readFile(new URL(page, examples), 'utf8');
    document = new JSDOM(html).window.document;
    Object.assign(globalThis, { document, sessionStorage: tab.sessionStorage });
    const script = document.querySelector('script').textContent;
    const here = script.replaceAll("'./", `'${examples}`).replace('http://127.0.0.1:8180', url);
    // Each time a module of its own, as after a reload.
    await import(`data:text/javascript,${encodeURIComponent(here)}#${++opened}`);
  },
  ask({ question }) {
    document.querySelector('input').value = question;
    document.querySelector('button').click();
  },
  stop: () => document.getElementById('stop').click(),
  shows: ({ text }) => until(({ answer }) => answer.includes(text)),
  says: ({ status }) => until((seen) => seen.status === status),
});
