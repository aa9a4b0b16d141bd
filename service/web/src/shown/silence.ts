/** An answer that ended as it should have and said nothing: a box without a word looks broken. */

import type { Block, Said } from '../stream/transcript.ts';

/** Thoughts are no answer; a file, and what a tool was asked, are one without a text. */
export function silent({ blocks, end }: Said): boolean {
  return end?.status === 'completed' && !blocks.some(speaks);
}

function speaks({ kind, text }: Readonly<Block>): boolean {
  if (kind === 'reasoning') return false;
  return (kind !== 'text' && kind !== 'refusal') || text.trim() !== '';
}
