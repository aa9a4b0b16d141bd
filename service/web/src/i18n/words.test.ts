import assert from 'node:assert/strict';
import { test } from 'node:test';

import { en } from './en.ts';
import { fr } from './fr.ts';

/** Every sentence by its path, and the lists among them as they stand. */
function sentences(words: object, path = ''): [string, string][] {
  return Object.entries(words).flatMap(([key, value]): [string, string][] =>
    typeof value === 'string' ? [[`${path}${key}`, value]] : sentences(value, `${path}${key}.`),
  );
}

function filled(sentence: string): string[] {
  return [...sentence.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!).sort();
}

const english = new Map(sentences(en));
const french = new Map(sentences(fr));

test('both languages have the same sentences, and none is empty', () => {
  assert.deepEqual([...french.keys()].sort(), [...english.keys()].sort());
  for (const sentence of [...english.values(), ...french.values()]) assert.notEqual(sentence, '');
});

test('a sentence is filled with the same in both languages', () => {
  for (const [path, sentence] of english) {
    assert.deepEqual(filled(french.get(path)!), filled(sentence), path);
  }
});
