import assert from 'node:assert/strict';
import { test } from 'node:test';

import { en } from './en.ts';
import { fr } from './fr.ts';
import type { Forms } from './plural.ts';

/** Every sentence by its path, its forms for other counts left out: languages have other ones. */
function sentences(words: object, path = ''): [string, string][] {
  return Object.entries(words).flatMap(([key, value]): [string, string][] => {
    if (typeof value === 'string') return [[`${path}${key}`, value]];
    return plural(value) ? [[`${path}${key}`, value.other]] : sentences(value, `${path}${key}.`);
  });
}

/** What has a form for each count, by its path. */
function counted(words: object, path = ''): [string, Forms][] {
  return Object.entries(words).flatMap(([key, value]): [string, Forms][] => {
    if (typeof value === 'string') return [];
    return plural(value) ? [[`${path}${key}`, value]] : counted(value, `${path}${key}.`);
  });
}

function plural(value: object): value is Forms {
  return 'other' in value;
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

test('what is counted has a form for one and for others, and none that its language does not know', () => {
  for (const [language, words] of Object.entries({ en, fr })) {
    const known = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const [path, forms] of counted(words)) {
      const given = Object.keys(forms) as Intl.LDMLPluralRule[];
      assert.ok(given.includes('one'), `${language} ${path}`);
      assert.deepEqual(given.filter((category) => !known.includes(category)), [], `${language} ${path}`);
    }
  }
});
