import assert from 'node:assert/strict';
import { test } from 'node:test';

import { duration, money, number, percent, shortMoney, size } from './figures.ts';

test('what nobody knows is a dash and never 0', () => {
  for (const write of [money, duration, number, percent]) {
    assert.equal(write(null, 'en'), '–');
    assert.equal(write(undefined, 'en'), '–');
    assert.match(write(0, 'en'), /0/);
  }
});

test('less than a cent keeps two digits that say something', () => {
  assert.equal(money('0.000012345', 'en'), '$0.000012');
  assert.equal(money('0.0123456', 'en'), '$0.0123');
  assert.equal(money('12', 'en'), '$12.00');
});

test('thousands are short beside a chart, and an amount below is what it is elsewhere', () => {
  assert.equal(shortMoney(12_500, 'en'), '$12.5K');
  assert.equal(shortMoney(12_500, 'fr').replaceAll(/\s/g, ' '), '12,5 k $US');
  assert.equal(shortMoney(500, 'en'), '$500.00');
});

test('an estimate is marked as one', () => {
  assert.equal(money(1.5, 'en', true), '≈ $1.50');
  assert.equal(number(12.34, 'en', 1, true), '≈ 12.3');
  assert.equal(money(undefined, 'en', true), '–');
});

test('from a second on a time is in seconds', () => {
  assert.equal(duration(999.4, 'en'), '999 ms');
  assert.equal(duration(1500, 'en'), '1.5 s');
});

test('a size is in kilobytes or megabytes, with three digits that say something', () => {
  assert.equal(size(68, 'en'), '0.068 kB');
  assert.equal(size(12_345, 'en'), '12.3 kB');
  assert.equal(size(1 << 20, 'en'), '1.05 MB');
});
