import assert from 'node:assert/strict';
import { test } from 'node:test';

import { marked } from 'marked';

import { Growing } from './markdown.ts';

const TEXT = `# Title

A paragraph with *stress* and \`code\`.

- one
- two

  still two
- three

\`\`\`js
const a = 1;

const b = 2;
\`\`\`

| a | b |
|---|---|
| 1 | 2 |

The end.
`;

test('a text that grows by single characters renders as the whole text does', () => {
  const growing = new Growing();
  for (let end = 0; end < TEXT.length; end++) growing.render(TEXT.slice(0, end), false);
  const { done, open } = growing.render(TEXT, true);
  assert.equal(done.join('') + open, marked.parse(TEXT));
});

test('what is final stays the same object while the text grows', () => {
  const growing = new Growing();
  const first = growing.render('One.\n\nTwo.\n\nThree.\n\nFour', false).done.slice();
  const second = growing.render('One.\n\nTwo.\n\nThree.\n\nFour and five', false).done;
  assert.ok(first.length > 0);
  assert.deepEqual(second.slice(0, first.length), first);
});

test('a text that was taken back begins anew', () => {
  const growing = new Growing();
  growing.render('One.\n\nTwo.\n\nThree.\n\nFour', false);
  const { done, open } = growing.render('Anew', true);
  assert.equal(done.join('') + open, '<p>Anew</p>\n');
});

test('html is text, in a paragraph of its own and within one, and images are their description', () => {
  const text = '<img src=x onerror=run()>\n\nA <b onclick="run()">b</b> ![weir](https://example.org/w)';
  const { done, open } = new Growing().render(text, true);
  const shown = [
    '<p>&lt;img src=x onerror=run()&gt;</p>\n',
    '<p>A &lt;b onclick=&quot;run()&quot;&gt;b&lt;/b&gt; weir</p>\n',
  ];
  assert.equal(done.join('') + open, shown.join(''));
});

test('a line break may be written as html', () => {
  const { done, open } = new Growing().render('one<br>two<br/>three', true);
  assert.equal(done.join('') + open, '<p>one<br>two<br>three</p>\n');
});

test('carriage returns are no loss, however the text is cut', () => {
  const text = 'One.\r\n\r\nTwo.\r\n\r\nThree.\r\n\r\nFour.\r\n';
  const growing = new Growing();
  for (let end = 0; end < text.length; end++) growing.render(text.slice(0, end), false);
  const { done, open } = growing.render(text, true);
  assert.equal(done.join('') + open, marked.parse(text));
});

test('what was cut off in the middle is rendered as far as it came, and code as it is', () => {
  const grown = (text: string): string => {
    const growing = new Growing();
    growing.render(text, false);
    const { done, open } = growing.render(text, true, true);
    return done.join('') + open;
  };
  assert.equal(grown('One.\n\nIt **fa'), '<p>One.</p>\n<p>It <strong>fa</strong></p>\n');
  assert.equal(grown('```js\nconst **a'), '<pre><code class="language-js">const **a\n</code></pre>\n');
});

test('a text that is whole is as its writer left it', () => {
  const { done, open } = new Growing().render('2 ** 3 is **8', true);
  assert.equal(done.join('') + open, '<p>2 ** 3 is **8</p>\n');
});

test('a list of tasks shows which are done, by a sign and without a field', () => {
  const { done, open } = new Growing().render('- [x] swept\n- [ ] mopped\n', true);
  const shown = '<ul>\n<li><span>☑</span> swept</li>\n<li><span>☐</span> mopped</li>\n</ul>\n';
  assert.equal(done.join('') + open, shown);
});

test('a link that leads nowhere, or that would run, is its words', () => {
  const addresses = ['weir', '/weir', '//example.org', '#weir', 'http:weir', 'file:///weir', 'javascript:weir()'];
  for (const address of addresses) {
    const { done, open } = new Growing().render(`[a *weir*](${address})`, true);
    assert.equal(done.join('') + open, '<p>a <em>weir</em></p>\n', address);
  }
});

test('a link to the web, or to somebody, is one', () => {
  for (const address of ['https://example.org/weir', 'HTTP://example.org', 'mailto:a@example.org']) {
    const { done, open } = new Growing().render(`[a](${address})`, true);
    assert.equal(done.join('') + open, `<p><a href="${address}">a</a></p>\n`);
  }
});
