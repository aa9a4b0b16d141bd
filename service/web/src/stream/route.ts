/**
 * A stream's events folded into its route: who could have answered, each attempt on a time line.
 *
 * Times are milliseconds since the stream began, by the service's own clock (`ts`), so that what a
 * resumed reader gets all at once is drawn where it happened.
 */

import type { Problem } from '../api/problem.ts';
import type { EventOf, Outcome, Role, StreamEvent, Usage } from './events.ts';

/** One request to one provider. */
export interface Attempt {
  number: number;
  provider: string;
  model: string;
  role: Role;
  /** When it was sent. */
  start: number;
  /** When its first content came; undefined where none has. */
  first: number | undefined;
  /** Whether it answers, or answered until another took over. */
  committed: boolean;
  end: number | undefined;
  outcome: Outcome | undefined;
  error: Problem | undefined;
  usage: Usage | undefined;
  /** How much of the answer, thoughts and all, it has said. */
  characters: number;
}

/** A route by some moment; it does not change any more. */
export interface Taken {
  readonly plan: EventOf<'route.plan'> | undefined;
  readonly attempts: readonly Readonly<Attempt>[];
  readonly failovers: readonly EventOf<'failover'>[];
  readonly end: EventOf<'stream.end'> | undefined;
  /** The latest time that an event told. */
  readonly latest: number;
}

export class Route {
  #plan: EventOf<'route.plan'> | undefined;
  readonly #attempts = new Map<number, Attempt>();
  /** Whose content it is that comes. */
  #answering: Attempt | undefined;
  #failovers: EventOf<'failover'>[] = [];
  #end: EventOf<'stream.end'> | undefined;
  #began: number | undefined;
  #latest = 0;
  #seq = -1;

  /** A copy of the route by now. */
  view(): Taken {
    return {
      plan: this.#plan,
      attempts: Array.from(this.#attempts.values(), (attempt) => ({ ...attempt })),
      failovers: [...this.#failovers],
      end: this.#end,
      latest: this.#latest,
    };
  }

  /** Fold an event; those that were seen before are passed over. */
  add(event: StreamEvent): void {
    if (event.seq === undefined || event.seq <= this.#seq) return;
    this.#seq = event.seq;
    const at = this.#at(event);
    switch (event.type) {
      case 'route.plan':
        this.#plan = event;
        return;
      case 'attempt.start':
        this.#attempts.set(event.attempt, sent(event, at));
        return;
      case 'attempt.commit': {
        const attempt = this.#attempts.get(event.attempt);
        if (attempt === undefined) return;
        attempt.committed = true;
        attempt.first = attempt.start + event.ttft_ms;
        this.#answering = attempt;
        return;
      }
      case 'text.delta':
      case 'reasoning.delta':
      case 'refusal.delta':
      case 'tool.delta':
        if (this.#answering !== undefined) this.#answering.characters += event.delta.length;
        return;
      case 'attempt.end': {
        const attempt = this.#attempts.get(event.attempt);
        if (attempt === undefined) return;
        attempt.end = at;
        attempt.outcome = event.outcome;
        attempt.error = event.error;
        attempt.usage = event.usage;
        return;
      }
      case 'failover':
        this.#failovers.push(event);
        return;
      case 'stream.end':
        this.#close(event, at);
        return;
      default:
        return;
    }
  }

  /** Losers that were still being cut off are told of in the end only. */
  #close(event: EventOf<'stream.end'>, at: number): void {
    this.#end = event;
    for (const summary of event.attempts) {
      const attempt = this.#attempts.get(summary.attempt);
      if (attempt === undefined) continue;
      attempt.end ??= at;
      attempt.outcome ??= summary.outcome;
      attempt.error ??= summary.error;
      attempt.usage ??= summary.usage;
    }
  }

  #at(event: StreamEvent): number {
    const ts = event.ts ?? 0;
    this.#began ??= ts;
    const at = Math.max(0, ts - this.#began);
    this.#latest = Math.max(this.#latest, at);
    return at;
  }
}

function sent(event: EventOf<'attempt.start'>, at: number): Attempt {
  return {
    number: event.attempt,
    provider: event.provider,
    model: event.model,
    role: event.role,
    start: at,
    first: undefined,
    committed: false,
    end: undefined,
    outcome: undefined,
    error: undefined,
    usage: undefined,
    characters: 0,
  };
}
