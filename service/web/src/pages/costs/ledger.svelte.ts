/**
 * The costs that are shown, and the events that make them grow.
 *
 * Every attempt that ends is heard of live; the sums are then asked for again, at most once a
 * second, so that what is shown is the service's own arithmetic and never this page's.
 */

import { baseline, sums, type Baseline, type Group, type Report, type UsageEvent } from '../../api/usage.ts';
import { beginning, PERIODS, step, steps, type Period } from './period.ts';

const SOONEST = 1_000; // milliseconds between two askings
const SHOWN = 50;
const LATER = 5_000; // milliseconds until a line that was refused is asked for again

/** The sums of one period by one group, as they were asked for together. */
export interface View {
  period: Period;
  group: Group;
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
  /** The newest first. */
  events = $state.raw<UsageEvent[]>([]);
  live = $state(false);
  /** Why what is shown is not fresh. */
  failure = $state.raw<unknown>();

  readonly #leaving = new AbortController();
  #source: EventSource | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reopening: ReturnType<typeof setTimeout> | undefined;
  #last = 0;
  /** Askings are numbered: an answer that comes after that to a later one is older than it. */
  #asked = 0;
  #answered = 0;

  watch(): void {
    void this.refresh();
    this.#listen();
  }

  leave(): void {
    this.#leaving.abort();
    this.#source?.close();
    clearTimeout(this.#timer);
    clearTimeout(this.#reopening);
  }

  async refresh(): Promise<void> {
    this.#last = Date.now();
    const asking = ++this.#asked;
    const { signal } = this.#leaving;
    const { period, group } = this;
    const now = new Date();
    const from = beginning(period, now);
    try {
      const [over, by, dear, ...totals] = await Promise.all([
        sums(from, [group, step(period)], signal),
        sums(from, [group], signal),
        baseline(signal),
        ...PERIODS.map((one) => sums(beginning(one, now), [], signal)),
      ]);
      if (asking < this.#answered) return;
      if (period !== this.period || group !== this.group) return; // asked for something else since
      this.#answered = asking;
      this.view = { period, group, from, times: steps(period, now), over, by };
      this.baseline = dear;
      this.totals = Object.fromEntries(PERIODS.map((one, i) => [one, totals[i]]));
      this.failure = undefined;
    } catch (failure) {
      if (!signal.aborted) this.failure = failure;
    }
  }

  /**
   * EventSource comes back by itself, after the last event it saw, but where the answer is none of
   * the service's: a proxy says so while it is being restarted. What ended while nobody listened is
   * in the sums.
   */
  #listen(): void {
    const source = new EventSource('/v1/usage/events');
    this.#source = source;
    source.onopen = () => {
      this.live = true;
      this.#soon();
    };
    source.onerror = () => {
      this.live = false;
      if (source.readyState !== EventSource.CLOSED) return;
      this.#reopening = setTimeout(() => this.#listen(), LATER);
    };
    source.addEventListener('usage', ({ data }: MessageEvent<string>) => {
      this.#heard(JSON.parse(data) as UsageEvent);
    });
  }

  #heard(event: UsageEvent): void {
    if (this.events.some(({ id }) => id === event.id)) return;
    this.events = [event, ...this.events].slice(0, SHOWN);
    this.#soon();
  }

  /** Ask for the sums as soon as may be, and once more. */
  #soon(): void {
    if (this.#timer !== undefined) return;
    const pause = Math.max(0, this.#last + SOONEST - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.refresh().then(() => this.#again());
    }, pause);
  }

  /** Once more after a while: what has just ended may be counted a moment later than it is told. */
  #again(): void {
    if (this.#timer !== undefined || this.#leaving.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.refresh();
    }, 2 * SOONEST);
  }
}
