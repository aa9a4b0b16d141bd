/**
 * The costs that are shown, asked for again while somebody looks.
 *
 * When an attempt has ended the sums are asked for again, at most once a second, so that what is
 * shown is the service's own arithmetic and never this page's; and when a day has begun, because
 * every period then is another one. Where nobody can say that an attempt has ended, they are asked
 * for every few seconds (`poll`).
 */

import { rested } from '../../api/line.ts';
import { whileSeen } from '../../api/seen.ts';
import { baseline, sums, type Baseline, type Group, type Report } from '../../api/usage.ts';
import { beginning, left, PERIODS, step, steps, turned, type Period } from './period.ts';

const SOONEST = 1_000; // milliseconds between two askings

/** Milliseconds between two askings where nobody says when to ask. */
const EVERY = 5_000;

/** Milliseconds after which the clock is looked at: it may be set, and a machine may have slept. */
const LOOK = 60_000;

/** The sums of one period by one group, as they were asked for together. */
export interface View {
  period: Period;
  group: Group;
  /** When they were asked for. */
  at: Date;
  from: Date;
  /** Where each hour or day of the period begins, Unix seconds. */
  times: number[];
  /** Rows of the group over time. */
  over: Report;
  /** Rows of the group. */
  by: Report;
}

export class Ledger {
  /** What is chosen; `view` follows when the service has answered. */
  period = $state<Period>('week');
  group = $state<Group>('provider');
  view = $state.raw<View>();
  totals = $state.raw<Partial<Record<Period, Report>>>({});
  baseline = $state.raw<Baseline>();
  /** Why what is shown is not fresh. */
  failure = $state.raw<unknown>();

  /** Aborted while nobody looks. */
  #signal = AbortSignal.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #clock: ReturnType<typeof setTimeout> | undefined;
  #last = 0;
  /** Askings are numbered: an answer that comes after that to a later one is older than it. */
  #asked = 0;
  #answered = 0;

  /** Ask while the page is seen; what it returns ends that. */
  watch(): () => void {
    return whileSeen(() => {
      const leaving = new AbortController();
      this.#signal = leaving.signal;
      void this.#twice();
      this.#tick();
      return () => {
        leaving.abort();
        clearTimeout(this.#timer);
        clearTimeout(this.#again);
        clearTimeout(this.#clock);
        this.#timer = undefined;
      };
    });
  }

  async refresh(): Promise<void> {
    const signal = this.#signal;
    if (signal.aborted) return;
    this.#last = Date.now();
    const asking = ++this.#asked;
    const { period, group } = this;
    const at = new Date();
    const from = beginning(period, at);
    try {
      const [over, by, dear, ...totals] = await Promise.all([
        sums(from, [group, step(period)], signal),
        sums(from, [group], signal),
        baseline(signal),
        ...PERIODS.map((one) => sums(beginning(one, at), [], signal)),
      ]);
      if (asking < this.#answered) return;
      if (period !== this.period || group !== this.group) return; // asked for something else since
      this.#answered = asking;
      this.view = { period, group, at, from, times: steps(period, at), over, by };
      this.baseline = dear;
      this.totals = Object.fromEntries(PERIODS.map((one, i) => [one, totals[i]]));
      this.failure = undefined;
    } catch (failure) {
      if (!signal.aborted && asking > this.#answered) this.failure = failure;
    }
  }

  /** Ask again and again, first after a while; what it returns ends that. */
  poll(): () => void {
    const leaving = new AbortController();
    void this.#poll(leaving.signal);
    return () => leaving.abort();
  }

  async #poll(signal: AbortSignal): Promise<void> {
    for (;;) {
      await rested(EVERY, signal);
      if (signal.aborted) return;
      await this.refresh();
    }
  }

  /** Ask for the sums as soon as may be, and again; not where nobody looks. */
  soon(): void {
    if (this.#timer !== undefined || this.#signal.aborted) return;
    const pause = Math.max(0, this.#last + SOONEST - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#twice();
    }, pause);
  }

  /** And after a while again: what has just ended may be counted a moment later than it is told of. */
  async #twice(): Promise<void> {
    const signal = this.#signal;
    await this.refresh();
    if (signal.aborted) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => void this.refresh(), 2 * SOONEST);
  }

  /** Ask when another day has begun. */
  #tick(): void {
    const now = new Date();
    if (this.view !== undefined && turned(this.view.at, now)) void this.refresh();
    this.#clock = setTimeout(() => this.#tick(), Math.min(left(now), LOOK));
  }
}
