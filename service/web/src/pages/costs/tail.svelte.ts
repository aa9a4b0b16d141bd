/**
 * Attempts, heard of as they end: GET /v1/usage/events, docs/usage.md.
 *
 * A line that broke is taken up after the last event that came over it, or where it began if there
 * was none; so nothing is shown twice, and nothing is left out without a word. EventSource would
 * forget the place where a proxy refuses it once, and tells no page the first one.
 *
 * A tab that is hidden has no line: a browser keeps six connections to a host over HTTP/1.1, so a few
 * forgotten tabs would leave none for anything else.
 */

import { whileAlive } from '../../api/line.ts';
import { refused } from '../../api/problem.ts';
import { Pause } from '../../api/retry.ts';
import { whileSeen } from '../../api/seen.ts';
import { events, Reading, type Sent } from '../../api/sse.ts';
import type { UsageEvent } from '../../api/usage.ts';
import { added, type Entry } from './ended.ts';

export class Tail {
  entries = $state.raw<Entry[]>([]);
  live = $state(false);

  readonly #heard: () => void;
  readonly #pause = new Pause();
  /** Where to go on; undefined begins with what ends next. */
  #after: string | undefined;

  /** `heard` is called when the sums may have changed. */
  constructor(heard: () => void) {
    this.#heard = heard;
  }

  /** Listen while the page is seen; what it returns ends that. */
  follow(): () => void {
    return whileSeen(() => {
      const leaving = new AbortController();
      void this.#follow(leaving.signal);
      return () => leaving.abort();
    });
  }

  async #follow(leaving: AbortSignal): Promise<void> {
    for (let anew = false; !leaving.aborted; anew = true) {
      try {
        await whileAlive(leaving, (signal, alive) => this.#listen(signal, alive, anew));
      } catch {
        // Refused or broken: the mark beside the list says that it is away, and it is asked again.
      }
      this.live = false;
      if (!leaving.aborted) await this.#pause.rest(leaving);
    }
  }

  async #listen(signal: AbortSignal, alive: () => void, anew: boolean): Promise<void> {
    const place = this.#after === undefined ? undefined : { 'Last-Event-ID': this.#after };
    const headers = { Accept: 'text/event-stream', ...place };
    const response = await fetch('/v1/usage/events', { headers, signal });
    if (!response.ok || response.body === null) throw await refused(response);
    this.live = true;
    this.#pause.reset();
    if (anew) this.#heard(); // what ended meanwhile is in the sums
    const reading = new Reading();
    try {
      for await (const sent of events(response.body, alive, reading)) this.#told(sent);
    } finally {
      this.#after = reading.id ?? this.#after;
    }
  }

  #told({ event, data }: Sent): void {
    if (event === 'usage') this.entries = added(this.entries, JSON.parse(data) as UsageEvent);
    else if (event === 'gap') this.entries = added(this.entries, { id: `after ${this.#after}`, gap: true });
    else return;
    this.#heard();
  }
}
