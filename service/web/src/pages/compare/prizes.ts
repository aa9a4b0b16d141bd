/** Who was best at what, of models that were asked the same. */

import type { Took } from '../../stream/took.ts';

/** What came of one model's answer. */
export interface Result extends Took {
  /** Of its output. */
  tokens: number | null | undefined;
  /** Whether it answered to the end. */
  whole: boolean;
}

export type Prize = 'quickest' | 'fastest' | 'cheapest';

/**
 * By position; nothing before all are over, and none for broken answers. Nobody is the cheapest
 * beside an answer whose cost nobody knows: that one may have been.
 */
export function prizes(every: readonly Result[]): Partial<Record<Prize, number>> {
  if (every.some(({ estimated }) => estimated)) return {};
  const best = (value: (one: Result) => number | undefined): number | undefined => {
    let winner: number | undefined;
    let least = Infinity;
    every.forEach((one, position) => {
      const figure = one.whole ? value(one) : undefined;
      if (figure === undefined || figure >= least) return;
      least = figure;
      winner = position;
    });
    return winner;
  };
  const priced = every.every(({ whole, cost }) => !whole || cost !== undefined);
  const found = {
    quickest: best(({ first }) => first),
    fastest: best(({ speed }) => (speed === undefined ? undefined : -speed)),
    cheapest: priced ? best(({ cost }) => Number(cost)) : undefined,
  };
  return Object.fromEntries(
    Object.entries(found).filter(([, winner]) => winner !== undefined),
  ) as Partial<Record<Prize, number>>;
}
