// What a program makes of the answers that it listens to, with the clients of docs/examples.

import { Transcript } from '../../../docs/examples/tailrace-transcript.js';

/** One answer: folded as it comes, for as long as the test lets the loop go on. */
export class Listening {
  transcript = new Transcript();
  seqs = [];
  stream = null;
  error = null;
  #over = false;
  #watchers = new Set();
  #held = Promise.resolve();
  #leave = false;

  /** `events`: an async iterable. */
  constructor(events) {
    void this.#listen(events);
  }

  /** Have the loop wait before its next event; what it returns lets it go on. */
  hold() {
    let go;
    this.#held = new Promise((resolve) => (go = resolve));
    return go;
  }

  /** Leave the loop at the next event. */
  leave() {
    this.#leave = true;
  }

  /** What is known of it, when that holds. */
  until(holds) {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds(this)) return;
        this.#watchers.delete(look);
        resolve(this.look());
      };
      this.#watchers.add(look);
      look();
    });
  }

  shows = (text) => this.until(({ transcript }) => transcript.text.includes(text));

  ends = () => this.until(() => this.#over);

  look() {
    const { text, reasoning, refusal, calls, citations, end } = this.transcript;
    const { seqs, stream, error } = this;
    const status = end?.status ?? null;
    return { text, reasoning, refusal, calls, citations, status, seqs, stream, error };
  }

  async #listen(events) {
    try {
      for await (const event of events) {
        this.take(event);
        await this.#held;
        if (this.#leave) break;
      }
    } catch (error) {
      const { code, message, retryable, param } = error;
      this.error = { code, message, retryable, param };
    }
    this.#over = true;
    this.#changed();
  }

  take(event) {
    this.transcript.add(event);
    if (event.seq !== undefined) this.seqs.push([event.seq_first ?? event.seq, event.seq]);
    this.stream = event.stream;
    this.#changed();
  }

  #changed() {
    for (const look of this.#watchers) look();
  }
}
