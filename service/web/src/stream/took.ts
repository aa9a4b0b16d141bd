/**
 * What an answer took: the service's own figures at its end, and until then what can be told by now.
 *
 * Providers count tokens when they are done. So while one answers, its speed is told from what it has
 * said, and its cost is what the plan expected of it, beside what attempts that are over have cost.
 */

import type { Attempt, Taken } from './route.ts';

/** Of a token, about, in the languages of Europe. */
const CHARACTERS = 4;

/** Milliseconds: a speed over less is mostly chance. */
const SHORTEST = 250;

export interface Took {
  /** Milliseconds from the request's arrival to the first content shown, whoever it came from. */
  first: number | undefined;
  /** Output tokens a second. */
  speed: number | undefined;
  /** US dollars, of all attempts. */
  cost: string | number | undefined;
  /** Milliseconds. */
  total: number | undefined;
  /** Whether speed and cost are, as it is not over. */
  estimated: boolean;
}

export function took(route: Taken): Took {
  const { end } = route;
  if (end === undefined) {
    return {
      first: route.attempts.find(({ committed }) => committed)?.first,
      speed: speedSoFar(route),
      cost: costSoFar(route),
      total: undefined,
      estimated: true,
    };
  }
  return {
    first: end.timing.ttft_ms ?? undefined,
    speed: end.timing.tokens_per_s,
    cost: end.usage_total.cost_usd,
    total: end.timing.total_ms,
    estimated: false,
  };
}

function speedSoFar({ attempts, latest }: Taken): number | undefined {
  const now = attempts.find(answering);
  if (now?.first === undefined || latest - now.first < SHORTEST) return undefined;
  return (now.characters / CHARACTERS / (latest - now.first)) * 1000;
}

function costSoFar({ plan, attempts }: Taken): number | undefined {
  const expected = ({ provider, model }: Readonly<Attempt>): string | undefined =>
    plan?.candidates.find((one) => one.provider === provider && one.model === model)?.cost_usd;
  const known = attempts
    .map((one) => one.usage?.cost_usd ?? (answering(one) ? expected(one) : undefined))
    .filter((cost) => cost !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, cost) => sum + Number(cost), 0);
}

function answering({ committed, end }: Readonly<Attempt>): boolean {
  return committed && end === undefined;
}
