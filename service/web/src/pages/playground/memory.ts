/**
 * The conversation as this browser keeps it: each tab its own, and the newest one for a new tab.
 *
 * Two tabs are two conversations: neither writes over the other's, and what is cleared in one stays
 * in the other. A tab's own lies in its session storage, which is there again after a reload and
 * when the browser brings the tab back; the one in which something happened last lies in local
 * storage as well, and is what a new tab begins with.
 */

import type { Problem } from '../../api/problem.ts';
import { keep, kept, type Where } from '../../shell/kept.ts';
import type { Said } from '../../stream/transcript.ts';
import type { Choices } from './choices.ts';
import { legible } from './legible.ts';

const KEY = 'tailrace.playground';

/** What is being written in this tab, and was not asked yet. */
const DRAFT = 'tailrace.draft';

export interface KeptTurn {
  question: string;
  key: string;
  stream: string | undefined;
  /** While it is being asked: it holds all that was said before, and so would every turn. */
  request?: unknown;
  carrier: Choices['carrier'];
  said: Said;
  problem?: Problem | undefined;
  /** Somebody has stopped it, and it has not ended yet. */
  stopped?: boolean;
  /** It was asked in another tab, which may show it still. */
  adopted?: boolean;
}

export interface Kept {
  choices: Choices;
  turns: KeptTurn[];
}

/** What may be kept, by another version of this page or by something else. */
interface Found {
  choices?: unknown;
  turns?: unknown;
}

/** This tab's conversation; a new tab's is the newest. Choices may be of any kind. */
export function read(): { choices: unknown; turns: KeptTurn[] } {
  const own = found('sessionStorage');
  const { choices, turns } = own ?? found('localStorage') ?? {};
  const readable = Array.isArray(turns) ? turns.filter(legible) : [];
  // A key is one turn's: a page with two of it could not be drawn.
  const unique = [...new Map(readable.map((turn) => [turn.key, turn])).values()];
  return { choices, turns: own ? unique : unique.map((turn) => ({ ...turn, adopted: true })) };
}

/**
 * Keep it; where there is no room for all of it, what came of something: a question that is too long
 * for the service may be too long for this, too. Where there is none for that, the newer turns.
 */
export function write({ choices, turns }: Kept): void {
  const fruitful = turns.filter(({ said, stream }) => stream !== undefined || said.end !== undefined);
  for (const where of ['sessionStorage', 'localStorage'] as const) {
    let some = turns;
    while (!keep(KEY, JSON.stringify({ choices, turns: some }), where) && some.length > 0) {
      some = some.length > fruitful.length ? fruitful : some.slice(Math.ceil(some.length / 2));
    }
  }
}

export function readDraft(): string {
  return kept(DRAFT, 'sessionStorage') ?? '';
}

export function writeDraft(draft: string): void {
  keep(DRAFT, draft, 'sessionStorage'); // without room it is lost with the page, as it was typed
}

function found(where: Where): Found | undefined {
  try {
    const value: unknown = JSON.parse(kept(KEY, where) ?? 'null');
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // written by something else: it is written anew
  }
}
