/**
 * Figures as a language writes them. Null and undefined are unknown, which is never 0; an estimate
 * has a sign before it.
 */

const cached = new Map<string, Intl.NumberFormat>();

function format(language: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = language + JSON.stringify(options);
  let found = cached.get(key);
  if (found === undefined) cached.set(key, (found = new Intl.NumberFormat(language, options)));
  return found;
}

/** US dollars; a fraction of a cent keeps two significant digits. */
export function money(
  usd: string | number | null | undefined,
  language: string,
  estimated = false,
): string {
  if (usd === null || usd === undefined) return '–';
  const value = Number(usd);
  const small = value !== 0 && Math.abs(value) < 0.01;
  const digits = small
    ? { maximumSignificantDigits: 2 }
    : { minimumFractionDigits: 2, maximumFractionDigits: 4 };
  const written = format(language, { style: 'currency', currency: 'USD', ...digits }).format(value);
  return about(estimated) + written;
}

/** US dollars where there is little room: a thousand is one letter or word. */
export function shortMoney(usd: number, language: string): string {
  if (Math.abs(usd) < 1000) return money(usd, language);
  const short = { style: 'currency', currency: 'USD', notation: 'compact' } as const;
  return format(language, { ...short, maximumFractionDigits: 2 }).format(usd);
}

/** A time; from a second on in seconds. */
export function duration(milliseconds: number | null | undefined, language: string): string {
  if (milliseconds === null || milliseconds === undefined) return '–';
  if (milliseconds < 1000) return `${format(language, { maximumFractionDigits: 0 }).format(milliseconds)} ms`;
  return `${format(language, { maximumFractionDigits: 2 }).format(milliseconds / 1000)} s`;
}

/** How large something is. */
export function size(bytes: number, language: string): string {
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, 'kilobyte'] : [bytes / 1e6, 'megabyte'];
  return format(language, { style: 'unit', unit, maximumSignificantDigits: 3 }).format(value);
}

export function number(
  value: number | null | undefined,
  language: string,
  digits = 0,
  estimated = false,
): string {
  if (value === null || value === undefined) return '–';
  return about(estimated) + format(language, { maximumFractionDigits: digits }).format(value);
}

function about(estimated: boolean): string {
  return estimated ? '≈ ' : '';
}

/** A share, 0 to 1. */
export function percent(share: number | null | undefined, language: string): string {
  if (share === null || share === undefined) return '–';
  return format(language, { style: 'percent', maximumFractionDigits: 1 }).format(share);
}
