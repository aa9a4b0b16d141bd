/** All providers and their figures, asked for again every few seconds while they are looked at. */

import { rested } from '../../api/line.ts';
import { providers, stats, type Provider, type Stats } from '../../api/providers.ts';
import { whileSeen } from '../../api/seen.ts';

const EVERY = 5_000; // milliseconds

export class Roster {
  providers = $state.raw<Provider[]>([]);
  stats = $state.raw<Record<string, Stats>>({});
  /** Why what is shown is not fresh. */
  failure = $state.raw<unknown>();
  /** How often all of it has come. */
  answered = $state(0);

  /** Aborted while nobody looks. */
  #signal = AbortSignal.abort();
  /** Askings and changes are numbered: what was asked for before the last one does not know of it. */
  #last = 0;

  /** Ask while the page is seen; what it returns ends that. */
  watch(): () => void {
    return whileSeen(() => {
      const leaving = new AbortController();
      this.#signal = leaving.signal;
      void this.#poll(leaving.signal);
      return () => leaving.abort();
    });
  }

  /** Ask at once: something was done. */
  ask(): void {
    if (!this.#signal.aborted) void this.#refresh(this.#signal);
  }

  /** Put a provider that was changed in its place. */
  put(changed: Provider): void {
    this.#last += 1;
    this.providers = this.providers.map((one) => (one.name === changed.name ? changed : one));
  }

  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#refresh(signal);
      await rested(EVERY, signal);
    }
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const asking = ++this.#last;
    try {
      const known = await providers(signal);
      // Who is not asked has no figures.
      const asked = known.filter(({ state }) => state === 'active' || state === 'degraded');
      const figures = await Promise.all(asked.map(({ name }) => stats(name, signal)));
      if (asking !== this.#last) return;
      this.stats = Object.fromEntries(asked.map(({ name }, i) => [name, figures[i]!]));
      this.providers = known;
      this.answered += 1;
      this.failure = undefined;
    } catch (failure) {
      if (!signal.aborted && asking === this.#last) this.failure = failure;
    }
  }
}
