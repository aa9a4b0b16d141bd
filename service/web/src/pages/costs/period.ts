/** The spans of time that costs are shown for, by the clock of whoever looks. */

export const PERIODS = ['today', 'week', 'month'] as const;

export type Period = (typeof PERIODS)[number];

const DAYS: Record<Period, number> = { today: 1, week: 7, month: 30 };

/** Where a period begins: at a midnight, so that a day is whole. */
export function beginning(period: Period, now: Date): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - DAYS[period] + 1);
}

/** By what a period is drawn. */
export function step(period: Period): 'hour' | 'day' {
  return period === 'today' ? 'hour' : 'day';
}
