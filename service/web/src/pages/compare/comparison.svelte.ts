/**
 * One question to several models at once, each over a stream of its own.
 *
 * Each is pinned and falls back to nobody: what is compared is that model, its failure too.
 */

import { Answer } from '../../stream/answer.svelte.ts';
import { freshKey } from '../../stream/key.ts';

export const FEWEST = 2;
export const MOST = 4;

export class Comparison {
  /** What is chosen; an empty string is a choice not made yet. */
  models = $state<string[]>(['', '']);
  lanes = $state<Lane[]>([]);

  get running(): boolean {
    return this.lanes.some(({ answer }) => answer.running);
  }

  get ready(): boolean {
    return this.models.every((model) => model !== '');
  }

  add(): void {
    if (this.models.length < MOST) this.models.push('');
  }

  remove(position: number): void {
    if (this.models.length > FEWEST) this.models.splice(position, 1);
  }

  ask(question: string): void {
    this.leave();
    this.lanes = this.models.map((model) => new Lane(model, question));
  }

  async stop(): Promise<void> {
    await Promise.all(this.lanes.map(({ answer }) => answer.stop()));
  }

  leave(): void {
    for (const { answer } of this.lanes) answer.leave();
  }
}

/** One model's answer. */
export class Lane {
  readonly model: string;
  readonly answer: Answer;
  readonly key = freshKey();

  constructor(model: string, question: string) {
    this.model = model;
    const messages = [{ role: 'user', content: question }];
    const request = { messages, model, fallback: false, open_early_ms: 0 };
    const place = { request, key: this.key, stream: undefined, after: -1 };
    this.answer = new Answer(place, 'sse');
    void this.answer.follow(() => undefined);
  }

  /** What it took, as far as it is known. */
  get figures(): Figures {
    const { end, attempts } = this.answer.route;
    return {
      first: end?.timing.ttft_ms ?? attempts.find(({ committed }) => committed)?.first,
      speed: end?.timing.tokens_per_s,
      tokens: end?.usage.output,
      cost: end?.usage_total.cost_usd,
      total: end?.timing.total_ms,
      whole: end?.status === 'completed',
    };
  }
}

export interface Figures {
  first: number | null | undefined; // milliseconds
  speed: number | null | undefined; // tokens a second
  tokens: number | null | undefined;
  cost: string | undefined; // US dollars
  total: number | undefined; // milliseconds
  whole: boolean;
}

export type Prize = 'quickest' | 'fastest' | 'cheapest';

/** Who was best at what, by position; nothing before all are over, and none for broken answers. */
export function prizes(every: Figures[]): Partial<Record<Prize, number>> {
  if (every.some(({ total }) => total === undefined)) return {};
  const best = (value: (one: Figures) => number | null | undefined): number | undefined => {
    let winner: number | undefined;
    let least = Infinity;
    every.forEach((one, position) => {
      const figure = one.whole ? value(one) : undefined;
      if (figure === null || figure === undefined || figure >= least) return;
      least = figure;
      winner = position;
    });
    return winner;
  };
  const found = {
    quickest: best(({ first }) => first),
    fastest: best(({ speed }) => (speed === null || speed === undefined ? speed : -speed)),
    cheapest: best(({ cost }) => (cost === undefined ? undefined : Number(cost))),
  };
  return Object.fromEntries(
    Object.entries(found).filter(([, winner]) => winner !== undefined),
  ) as Partial<Record<Prize, number>>;
}
