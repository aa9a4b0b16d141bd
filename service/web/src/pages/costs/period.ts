/**
 * The spans of time that costs are shown for, and the steps that they are drawn in.
 *
 * Days are the service's: they begin at midnight UTC, wherever one looks from. A day of its sums
 * cannot be cut at somebody's own midnight, and asking for a month by the hour, to put the hours
 * together here, would be some megabytes at every refresh.
 */

export const PERIODS = ['today', 'week', 'month'] as const;

export type Period = (typeof PERIODS)[number];

export type Step = 'hour' | 'day';

/** Seconds. */
export const LENGTH: Record<Step, number> = { hour: 3600, day: 86_400 };

const DAYS: Record<Period, number> = { today: 1, week: 7, month: 30 };

/** Where a period begins: with a whole day, and today is the last one. */
export function beginning(period: Period, now: Date): Date {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() - DAYS[period] + 1));
}

/** Whether another day has begun since then: what was `today` is not any more. */
export function turned(since: Date, now: Date): boolean {
  return beginning('today', since).getTime() !== beginning('today', now).getTime();
}

/** Milliseconds until the next day begins. */
export function left(now: Date): number {
  return beginning('today', now).getTime() + LENGTH.day * 1000 - now.getTime();
}

/** By what a period is drawn. */
export function step(period: Period): Step {
  return period === 'today' ? 'hour' : 'day';
}

/** Where each step of a period begins, Unix seconds; of today all hours, those to come as well. */
export function steps(period: Period, now: Date): number[] {
  const from = beginning(period, now).getTime() / 1000;
  const length = LENGTH[step(period)];
  return Array.from({ length: (DAYS[period] * LENGTH.day) / length }, (_, i) => from + i * length);
}
