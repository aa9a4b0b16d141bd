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
  loaded = $state(false);

  /** How many there were: what was asked for before one does not know of it. */
  #changes = 0;

  /** Ask while the page is seen; what it returns ends that. */
  watch(): () => void {
    return whileSeen(() => {
      const leaving = new AbortController();
      void this.#poll(leaving.signal);
      return () => leaving.abort();
    });
  }

  /** Put a provider that was changed in its place. */
  put(changed: Provider): void {
    this.#changes += 1;
    this.providers = this.providers.map((one) => (one.name === changed.name ? changed : one));
  }

  async #poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#refresh(signal);
      await rested(EVERY, signal);
    }
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const changes = this.#changes;
    try {
      const known = await providers(signal);
      // Who is not asked has no figures.
      const asked = known.filter(({ state }) => state === 'active' || state === 'degraded');
      const figures = await Promise.all(asked.map(({ name }) => stats(name, signal)));
      if (changes !== this.#changes) return;
      this.stats = Object.fromEntries(asked.map(({ name }, i) => [name, figures[i]!]));
      this.providers = known;
      this.loaded = true;
      this.failure = undefined;
    } catch (failure) {
      if (!signal.aborted) this.failure = failure;
    }
  }
}
