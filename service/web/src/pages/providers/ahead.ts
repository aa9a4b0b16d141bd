/** How far ahead a moment is, in words: "in 12 seconds", "dans 2 minutes". */

const LONG = 90; // a minute and a half is said in seconds, and from there on in minutes

/** Undefined where it is unknown, or not ahead any more. Rounded up: it is not there any sooner. */
export function ahead(milliseconds: number | null, language: string): string | undefined {
  if (milliseconds === null || milliseconds <= 0) return undefined;
  const words = new Intl.RelativeTimeFormat(language);
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds <= LONG) return words.format(seconds, 'second');
  const minutes = Math.ceil(seconds / 60);
  return minutes <= LONG ? words.format(minutes, 'minute') : words.format(Math.ceil(minutes / 60), 'hour');
}
