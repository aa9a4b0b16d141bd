/**
 * Markdown that grows while it is read, rendered piece by piece.
 *
 * A piece is one top-level element: a paragraph, a list, a block of code. Once another follows, a
 * piece is final: it is rendered once and its elements stay as they are. So a token costs what the
 * last piece costs, however long the answer is. The price: a link's definition at the end is not
 * found by a piece before it.
 */

import { marked, type Token } from 'marked';

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

  /** The pieces of the whole text; text that does not go on from the last one begins anew. */
  render(text: string, settled: boolean): Pieces {
    if (text.length < this.#length) {
      this.#done = [];
      this.#rest = '';
      this.#length = 0;
    }
    this.#rest += text.slice(this.#length);
    this.#length = text.length;
    const tokens = marked.lexer(this.#rest);
    const final = settled ? tokens.length : tokens.length - UNSETTLED;
    for (const token of tokens.slice(0, Math.max(final, 0))) {
      this.#done.push(html(token));
      this.#rest = this.#rest.slice(token.raw.length);
    }
    return { done: this.#done, open: this.#rest === '' ? '' : html(...marked.lexer(this.#rest)) };
  }
}

function html(...tokens: Token[]): string {
  return marked.parser(tokens);
}
