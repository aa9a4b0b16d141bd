/** Where a chart's line of time is labelled: at whole hours, below whole days, never too close. */

import { LENGTH, type Step } from './period.ts';

/** Pixels that a label takes. */
const LABEL: Record<Step, number> = { hour: 56, day: 64 };

/** So many steps there may be from one label to the next. */
const EVERY: Record<Step, number[]> = { hour: [1, 2, 3, 6, 12], day: [1, 2, 3, 5, 10] };

/**
 * The moments to be labelled, Unix seconds.
 *
 * An hour is where it begins, from midnight on. A day is its middle, where its bar stands, and today
 * is always one of them.
 */
export function ticks(starts: number[], step: Step, width: number): number[] {
  const room = Math.max(1, Math.floor(width / LABEL[step]));
  const every = EVERY[step].find((each) => starts.length / each <= room) ?? starts.length;
  if (step === 'hour') return starts.filter((_, i) => i % every === 0);
  return starts
    .filter((_, i) => (starts.length - 1 - i) % every === 0)
    .map((start) => start + LENGTH.day / 2);
}

/** A moment as it is written below the chart and in what is said of one; in UTC, as the sums are. */
export function moment(seconds: number, step: Step, language: string): string {
  const shown: Intl.DateTimeFormatOptions =
    step === 'hour'
      ? { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
      : { day: 'numeric', month: 'short' };
  return new Intl.DateTimeFormat(language, { ...shown, timeZone: 'UTC' }).format(seconds * 1000);
}
