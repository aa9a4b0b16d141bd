/**
 * Keeps the newest words in view while they come, for who is at the end of the conversation.
 *
 * Whoever scrolls up is left there; who scrolls back to the end, or asks something, is taken along
 * again. The page is measured only where it has just been laid out: an observer of sizes is called
 * after layout and before paint, so that nothing is laid out twice, and no frame shows the words
 * below the composer first. It is scrolled by what is hidden, at once: there is no motion to reduce.
 */

/** Pixels that may be hidden at the end: positions are fractions of them. */
const SLACK = 2;

/**
 * Milliseconds after which a scroll is over. A wheel's goes on for some frames towards where it was
 * meant to end, and would undo what was scrolled meanwhile. Not every browser says when it is over.
 */
const REST = 100;

export class Newest {
  readonly #conversation: HTMLElement;
  /** Stays at the bottom of the window: what is behind it is not seen. */
  readonly #composer: HTMLElement;
  readonly #sizes: ResizeObserver;
  /** Undefined until the page has been laid out for the first time. */
  #following: boolean | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;
  /** Where the page was scrolled to when it was last looked at. */
  #at = scrollY;

  constructor(conversation: HTMLElement, composer: HTMLElement) {
    this.#conversation = conversation;
    this.#composer = composer;
    this.#sizes = new ResizeObserver(() => this.#settle());
    this.#sizes.observe(conversation);
    this.#sizes.observe(composer);
    addEventListener('scroll', this.#scrolled, { passive: true });
    addEventListener('resize', this.#resized);
  }

  /** Be at the end, from the next layout on. */
  follow(): void {
    this.#following = true;
    this.#at = scrollY; // what a scroll has yet to tell of came before
  }

  /** Watch no more. */
  leave(): void {
    this.#sizes.disconnect();
    clearTimeout(this.#rest);
    removeEventListener('scroll', this.#scrolled);
    removeEventListener('resize', this.#resized);
  }

  /** Up only by the reader; down also by us, and words may have come since that it is told of late. */
  readonly #scrolled = (): void => {
    clearTimeout(this.#rest);
    const up = scrollY < this.#at;
    this.#at = scrollY;
    const atEnd = this.#hidden() <= SLACK;
    if (up && !atEnd) this.#following = false;
    else if (atEnd && this.#following === false) this.#rest = setTimeout(this.#returned, REST);
  };

  readonly #returned = (): void => {
    this.#following = true;
    this.#settle();
  };

  readonly #resized = (): void => this.#settle();

  #settle(): void {
    const hidden = this.#hidden();
    this.#following ??= hidden <= SLACK;
    if (this.#following && hidden > SLACK) scrollBy({ top: Math.ceil(hidden), behavior: 'instant' });
  }

  /** Pixels of the conversation's end behind the composer or below the window. */
  #hidden(): number {
    return this.#conversation.getBoundingClientRect().bottom - this.#composer.getBoundingClientRect().top;
  }
}
