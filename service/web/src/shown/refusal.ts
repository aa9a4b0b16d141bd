/**
 * Why an answer was refused, in words: this page's own where the service's would be a number or
 * its name for something, and otherwise what the service said.
 */

import type { Problem } from '../api/problem.ts';
import { filled, language, words } from '../i18n/language.svelte.ts';
import { UNASKED } from '../stream/follow.ts';
import { size } from './figures.ts';

export function refusal(problem: Problem): string {
  const said = words().playground.refused;
  if (problem.code === UNASKED) return said.unasked;
  if (unknown(problem)) return said.unknown;
  if (problem.code === 'ws_1009') return tooLong(problem);
  if (problem.code === 'ws_4403') return said.foreign;
  if (problem.code.startsWith('ws_')) {
    return filled(said.misunderstood, { code: problem.code.slice('ws_'.length), message: problem.message });
  }
  return filled(words().common.failed, { message: problem.message });
}

/** Whether the service does not know this stream, or does not any more. */
function unknown({ code, param }: Problem): boolean {
  return code === 'stream_expired' || (code === 'not_found' && param === 'stream');
}

function tooLong({ limit_bytes: limit }: Problem): string {
  const said = words().playground.refused;
  if (limit === undefined) return said.tooLong;
  return filled(said.longerThan, { limit: size(limit, language.current) });
}
