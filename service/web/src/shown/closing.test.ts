import assert from 'node:assert/strict';
import { test } from 'node:test';

import { closed } from './closing.ts';

const CUT = [
  ['It **fa', 'It **fa**'],
  ['It *fa', 'It *fa*'],
  ['~~not', '~~not~~'],
  ['`co', '`co`'],
  ['a **b *c', 'a **b *c***'],
  ['a **b `c*', 'a **b `c*`**'],
  ['It **fa ', 'It **fa**'],
  ['- one\n- **tw', '- one\n- **tw**'],
  ['| a | **b', '| a | **b**'],
  ['Over **two\nlines', 'Over **two\nlines**'],
];

test('what was opened is closed, the innermost first', () => {
  for (const [cut, whole] of CUT) assert.equal(closed(cut!), whole);
});

test('a mark that was only half said, or that opens nothing any more, is left out', () => {
  assert.equal(closed('It **falls*'), 'It **falls**');
  assert.equal(closed('It **'), 'It');
  assert.equal(closed('It `'), 'It');
});

test('a link without the whole of its address is its text', () => {
  assert.equal(closed('See [the weir](https://exam'), 'See the weir');
});

test('what has nothing open stays as it is', () => {
  const whole = [
    'It **falls** and `runs`.',
    'snake_case and 2 * 3',
    'An \\*asterisk',
    '* an item',
    'A **paragraph\n\nand another',
    '',
  ];
  for (const text of whole) assert.equal(closed(text), text);
});
