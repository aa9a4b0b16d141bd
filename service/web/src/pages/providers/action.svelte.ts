/** What is done to a provider, one thing at a time: whether it runs, and why it did not work. */

import { Refused } from '../../api/problem.ts';
import type { Roster } from './roster.svelte.ts';

export class Action {
  busy = $state(false);

  readonly #roster: () => Roster;
  /** `at` tells what was answered later from what was answered before. */
  #failed = $state.raw<{ failure: unknown; at: number }>();

  constructor(roster: () => Roster) {
    this.#roster = roster;
  }

  /** Why the last one did not work; that nobody answered is over when the service answers again. */
  get failure(): unknown {
    if (this.#failed === undefined) return undefined;
    const { failure, at } = this.#failed;
    return failure instanceof Refused || at === this.#roster().answered ? failure : undefined;
  }

  /** What was refused is about to be put right. */
  forget(): void {
    this.#failed = undefined;
  }

  /** Do it, unless something is being done, and look what has come of it. */
  async run(act: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.forget();
    try {
      await act();
      this.#roster().ask();
    } catch (failure) {
      this.#failed = { failure, at: this.#roster().answered };
      if (failure instanceof Refused) this.#roster().ask();
    } finally {
      this.busy = false;
    }
  }
}
