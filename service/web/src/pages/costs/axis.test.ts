import assert from 'node:assert/strict';
import { test } from 'node:test';

import { moment, ticks } from './axis.ts';
import { steps } from './period.ts';

const NOW = new Date('2026-11-23T16:44:00Z');

function labels(period: 'today' | 'week' | 'month', width: number): string[] {
  const step = period === 'today' ? 'hour' : 'day';
  return ticks(steps(period, NOW), step, width).map((at) => moment(at, step, 'en-GB'));
}

test('every day of a week has its label once', () => {
  const week = ['17 Nov', '18 Nov', '19 Nov', '20 Nov', '21 Nov', '22 Nov', '23 Nov'];
  assert.deepEqual(labels('week', 1000), week);
});

test('on a phone fewer days have one, and today is among them', () => {
  assert.deepEqual(labels('week', 300), ['17 Nov', '19 Nov', '21 Nov', '23 Nov']);
  assert.deepEqual(labels('month', 300), ['3 Nov', '13 Nov', '23 Nov']);
});

test('hours are labelled where they begin, from midnight on', () => {
  assert.deepEqual(labels('today', 300), ['00:00', '06:00', '12:00', '18:00']);
  assert.equal(labels('today', 2000).length, 24);
});

test('hours are those of UTC in every language, from 0 to 23', () => {
  const at = Date.parse('2026-11-23T13:00:00Z') / 1000;
  assert.deepEqual(['en-US', 'fr'].map((tag) => moment(at, 'hour', tag)), ['13:00', '13:00']);
});

test('where there is room for nothing one label is left', () => {
  assert.equal(labels('month', 0).length, 1);
  assert.equal(labels('today', 0).length, 1);
});
