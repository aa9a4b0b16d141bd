/**
 * The language of the page: the one that was chosen, else the browser's, else English.
 *
 * `words()` is read in a component's markup, so that a change of language shows at once. Numbers,
 * money and times are written as the language does (`shown/`).
 */

import { keep, kept, whenKept } from '../shell/kept.ts';
import { number } from '../shown/figures.ts';
import { en, type Words } from './en.ts';
import { fr } from './fr.ts';
import { form, type Forms } from './plural.ts';

export const LANGUAGES = { en, fr } satisfies Record<string, Words>;

export type Language = keyof typeof LANGUAGES;

const KEPT = 'tailrace.language';

class Choice {
  current = $state<Language>(preferred());

  /** Every tab speaks the same. */
  constructor() {
    whenKept(KEPT, () => this.#show(preferred()));
  }

  choose(language: Language): void {
    keep(KEPT, language);
    this.#show(language);
  }

  #show(language: Language): void {
    this.current = language;
    document.documentElement.lang = language;
  }
}

export const language = new Choice();

/** The words of the language that is chosen. */
export function words(): Words {
  return LANGUAGES[language.current];
}

/** A sentence with its `{names}` filled in. */
export function filled(sentence: string, values: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A sentence in the form for its `{count}`, filled in with that and with whatever else it names. */
export function counted(
  forms: Forms,
  count: number | null | undefined,
  values: Record<string, string> = {},
): string {
  const { current } = language;
  return filled(form(forms, count, current), { ...values, count: number(count, current) });
}

function preferred(): Language {
  const wanted = [kept(KEPT) ?? '', ...navigator.languages];
  const found = wanted.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES);
  return (found as Language | undefined) ?? 'en';
}
