/** The list of attempts as they end: the newest first, with a mark where some may be missing. */

import type { UsageEvent } from '../../api/usage.ts';

export const SHOWN = 50;

/** Where the service could not go on from the last attempt that was heard of. */
export interface Gap {
  id: string;
  gap: true;
}

export type Entry = UsageEvent | Gap;

export function isGap(entry: Entry): entry is Gap {
  return 'gap' in entry;
}

/** With one more; one that is there already, as it was told twice, is not shown twice. */
export function added(entries: Entry[], entry: Entry): Entry[] {
  if (entries.some(({ id }) => id === entry.id)) return entries;
  return [entry, ...entries].slice(0, SHOWN);
}
