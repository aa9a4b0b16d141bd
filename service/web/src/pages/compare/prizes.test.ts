import assert from 'node:assert/strict';
import { test } from 'node:test';

import { prizes, type Result } from './prizes.ts';

const OVER = { first: 100, speed: 50, cost: '0.5', total: 900, tokens: 9, estimated: false, whole: true };

function result(changed: Partial<Result>): Result {
  return { ...OVER, ...changed };
}

test('the quickest, the fastest and the cheapest may be three', () => {
  const every = [result({ first: 9 }), result({ speed: 99 }), result({ cost: '0.06' })];
  assert.deepEqual(prizes(every), { quickest: 0, fastest: 1, cheapest: 2 });
});

test('nobody has won before all are over', () => {
  assert.deepEqual(prizes([result({}), result({ estimated: true })]), {});
});

test('who broke off wins nothing, however little it took', () => {
  const every = [result({ first: 1, cost: '0', whole: false }), result({})];
  assert.deepEqual(prizes(every), { quickest: 1, fastest: 1, cheapest: 1 });
});

test('what nobody knows of anybody has no winner', () => {
  assert.deepEqual(prizes([result({ cost: undefined })]), { quickest: 0, fastest: 0 });
});

test('nobody is the cheapest while the cost of another whole answer is unknown', () => {
  const every = [result({ cost: '0.06' }), result({ cost: undefined })];
  assert.equal(prizes(every).cheapest, undefined);
  assert.equal(prizes([result({ cost: '0.06' }), result({ cost: undefined, whole: false })]).cheapest, 0);
});
