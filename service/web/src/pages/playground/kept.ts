/**
 * The conversation as this browser keeps it: each tab its own, and the newest one for a new tab.
 *
 * Two tabs are two conversations: neither writes over the other's, and what is cleared in one stays
 * in the other. A tab's own lies in its session storage, which is there again after a reload and
 * when the browser brings the tab back; the one in which something happened last lies in local
 * storage as well, and is what a new tab begins with.
 */

import type { Problem } from '../../api/problem.ts';
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
  const { choices, turns } = found(() => sessionStorage) ?? found(() => localStorage) ?? {};
  return { choices, turns: Array.isArray(turns) ? turns.filter(legible) : [] };
}

/**
 * Keep it; where there is no room for all of it, what came of something: a question that is too long
 * for the service may be too long for this, too. Where there is none for that, the newer turns.
 */
export function write(kept: Kept): void {
  const fruitful = kept.turns.filter(({ said, stream }) => stream !== undefined || said.end !== undefined);
  for (const storage of [() => sessionStorage, () => localStorage]) {
    let { turns } = kept;
    while (!written(storage, { ...kept, turns }) && turns.length > 0) {
      turns = turns.length > fruitful.length ? fruitful : turns.slice(Math.ceil(turns.length / 2));
    }
  }
}

export function readDraft(): string {
  try {
    return sessionStorage.getItem(DRAFT) ?? '';
  } catch {
    return '';
  }
}

export function writeDraft(draft: string): void {
  try {
    sessionStorage.setItem(DRAFT, draft);
  } catch {
    // it is lost with the page, as it was typed
  }
}

function found(storage: () => Storage): Found | undefined {
  try {
    const kept: unknown = JSON.parse(storage().getItem(KEY) ?? 'null');
    return typeof kept === 'object' && kept !== null ? kept : undefined;
  } catch {
    return undefined; // forbidden, or written by something else: it is written anew
  }
}

/** Whether there was room. */
function written(storage: () => Storage, kept: Kept): boolean {
  try {
    storage().setItem(KEY, JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}
