/** How an answer ended, in words. */

import { filled, words } from '../i18n/language.svelte.ts';
import type { EventOf } from '../stream/events.ts';

export function ending({ status, finish, error }: EventOf<'stream.end'>): string {
  return filled(words().playground.ended[status], { finish, message: error?.message ?? '' });
}
