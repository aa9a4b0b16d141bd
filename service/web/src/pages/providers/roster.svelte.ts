/** All providers and their figures, asked for again every few seconds while they are looked at. */

import { providers, stats, type Provider, type Stats } from '../../api/providers.ts';

const EVERY = 5_000; // milliseconds

export class Roster {
  providers = $state.raw<Provider[]>([]);
  stats = $state.raw<Record<string, Stats>>({});
  /** Why what is shown is not fresh. */
  failure = $state.raw<unknown>();
  loaded = $state(false);

  readonly #leaving = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How many there were: what was asked for before one does not know of it. */
  #changes = 0;

  /** Begin to look; until `leave`. */
  async watch(): Promise<void> {
    await this.refresh();
    if (!this.#leaving.signal.aborted) this.#timer = setTimeout(() => void this.watch(), EVERY);
  }

  async refresh(): Promise<void> {
    const { signal } = this.#leaving;
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

  /** Put a provider that was changed in its place. */
  put(changed: Provider): void {
    this.#changes += 1;
    this.providers = this.providers.map((one) => (one.name === changed.name ? changed : one));
  }

  leave(): void {
    this.#leaving.abort();
    clearTimeout(this.#timer);
  }
}
