/** Light or dark: as the system has it, unless somebody chose. */

import { MediaQuery } from 'svelte/reactivity';

import { keep, kept, whenKept } from './kept.ts';

export const THEMES = ['system', 'light', 'dark'] as const;

export type Theme = (typeof THEMES)[number];

const KEPT = 'tailrace.theme';

class Choice {
  current = $state<Theme>(chosen());
  readonly #system = new MediaQuery('(prefers-color-scheme: dark)');

  /** What is drawn by script has to be drawn anew when this changes. */
  get dark(): boolean {
    return this.current === 'system' ? this.#system.current : this.current === 'dark';
  }

  /** Every tab looks the same. */
  constructor() {
    whenKept(KEPT, () => this.#show(chosen()));
  }

  choose(theme: Theme): void {
    keep(KEPT, theme);
    this.#show(theme);
  }

  #show(theme: Theme): void {
    this.current = theme;
    this.apply();
  }

  /** app.css looks at the attribute, and at the system where there is none. */
  apply(): void {
    const root = document.documentElement;
    if (this.current === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = this.current;
  }
}

export const theme = new Choice();

function chosen(): Theme {
  const value = kept(KEPT);
  return THEMES.find((known) => known === value) ?? 'system';
}
