/**
 * Markdown that grows while it is read, rendered piece by piece.
 *
 * A piece is one top-level element: a paragraph, a list, a block of code. Once another follows, a
 * piece is final: it is rendered once and its elements stay as they are. So a token costs what the
 * last piece costs, however long the answer is. The price: a link's definition at the end is not
 * found by a piece before it.
 *
 * HTML in it is no markup but text, as it was written: nothing of what a model says reaches a parser
 * of HTML but escaped. Only a line break is one, because tables have no other.
 */

import { Marked, type Token } from 'marked';

import { closed } from './closing.ts';

/** Addresses that lead somewhere from anywhere; `http:a` is one within this page's host. */
export const LEADS = /^(?:https?:\/\/|mailto:)/i;

/** Before an item of a list of tasks; the only content that a `span` ever has. */
export const TICKED = '☑';
export const UNTICKED = '☐';

const BREAK = /^<br\s*\/?>$/i;

const marked = new Marked({
  renderer: {
    html: ({ text, block }) => {
      if (BREAK.test(text.trim())) return '<br>';
      return block ? `<p>${escaped(text.trim())}</p>\n` : escaped(text);
    },
    // False is as Marked does it. Of any other address only the words are left.
    link({ href, tokens }) {
      return LEADS.test(href) ? false : this.parser.parseInline(tokens);
    },
    // A sign and no field: there is nothing to choose in an answer.
    checkbox: ({ checked }) => `<span>${checked ? TICKED : UNTICKED}</span> `,
    // Nothing is loaded; what it would have shown is said.
    image: ({ text }) => escaped(text),
  },
});

export interface Pieces {
  /** HTML of what is final, not sanitized yet. */
  done: string[];
  /** HTML of what may still change. */
  open: string;
}

/** How many of the last pieces may still change: a list can go on after what looks like its end. */
const UNSETTLED = 2;

export class Growing {
  #done: string[] = [];
  #rest = '';
  #length = 0;

  /**
   * The pieces of the whole text; text that does not go on from the last one begins anew. `cut`:
   * it is settled in the middle of something.
   */
  render(text: string, settled: boolean, cut = false): Pieces {
    if (text.length < this.#length) {
      this.#done = [];
      this.#rest = '';
      this.#length = 0;
    }
    // Marked counts no carriage returns: with them its pieces would be shorter than the text's.
    this.#rest += text.slice(this.#length).replaceAll('\r', '');
    this.#length = text.length;
    if (cut) this.#rest = ended(this.#rest);
    const tokens = marked.lexer(this.#rest);
    const final = settled ? tokens.length : tokens.length - UNSETTLED;
    for (const token of tokens.slice(0, Math.max(final, 0))) {
      this.#done.push(html(token));
      this.#rest = this.#rest.slice(token.raw.length);
    }
    return { done: this.#done, open: this.#rest === '' ? '' : html(...marked.lexer(this.#rest)) };
  }
}

/** A text that was cut off; code is shown as it came. */
function ended(text: string): string {
  const last = marked.lexer(text).at(-1);
  if (last === undefined || last.type === 'code') return text;
  return text.slice(0, text.length - last.raw.length) + closed(last.raw);
}

function html(...tokens: Token[]): string {
  return marked.parser(tokens);
}

function escaped(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (character) => names[character]!);
}
