/**
 * One question to several models at once, each over a stream of its own.
 *
 * Each is pinned and falls back to nobody: what is compared is that model, its failure too.
 */

import { Answer } from '../../stream/answer.svelte.ts';
import { freshKey } from '../../stream/key.ts';
import { took } from '../../stream/took.ts';
import { endBehind } from './farewell.ts';
import type { Result } from './prizes.ts';

export const FEWEST = 2;
export const MOST = 4;

/**
 * Seconds that an answer goes on without this page: time to find the way back for a network that
 * was away, and all that is paid for a page that is gone and could not say so (one that crashed).
 */
const GRACE = 10;

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
    this.abandon();
    this.lanes = this.models.map((model) => new Lane(model, question));
  }

  stop(): void {
    for (const { answer } of this.lanes) if (answer.running) answer.stop();
  }

  /** End what runs: one that has no name yet, as soon as it has one. */
  abandon(): void {
    for (const { answer } of this.lanes) answer.dismiss();
  }

  /** The page goes away, and nothing that it has asked for is heard by it any more. */
  depart(): void {
    for (const { answer } of this.lanes) {
      const { stream } = answer.place;
      if (answer.running && stream !== undefined) endBehind(stream);
    }
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
    const given = { fallback: false, open_early_ms: 0, on_disconnect: `cancel_after:${GRACE}` };
    const request = { messages, model, ...given };
    const place = { request, key: this.key, stream: undefined, after: -1 };
    this.answer = new Answer(place, 'websocket');
    void this.answer.follow(() => undefined);
  }

  /** What came of it, as far as it is known. */
  get result(): Result {
    const { route } = this.answer;
    const { end } = route;
    return { ...took(route), tokens: end?.usage.output, whole: end?.status === 'completed' };
  }
}
