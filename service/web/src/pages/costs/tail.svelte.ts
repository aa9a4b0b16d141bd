/**
 * Attempts, heard of as they end: GET /v1/usage/events, docs/usage.md.
 *
 * A line that broke is taken up after the last event that came over it, or where it began if there
 * was none; so nothing is shown twice, and nothing is left out without a word. EventSource would
 * forget the place where a proxy refuses it once, and tells no page the first one.
 */

import { whileAlive } from '../../api/line.ts';
import { refused } from '../../api/problem.ts';
import { events, Reading, type Sent } from '../../api/sse.ts';
import type { UsageEvent } from '../../api/usage.ts';
import { Pause } from '../../stream/retry.ts';
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

  /** Listen; what it returns ends that. */
  follow(): () => void {
    const leaving = new AbortController();
    void this.#follow(leaving.signal);
    return () => leaving.abort();
  }

  async #follow(leaving: AbortSignal): Promise<void> {
    while (!leaving.aborted) {
      try {
        await whileAlive(leaving, (signal, alive) => this.#listen(signal, alive));
      } catch {
        // Refused or broken: the mark beside the list says that it is away, and it is asked again.
      }
      this.live = false;
      await this.#pause.rest(leaving);
    }
  }

  async #listen(signal: AbortSignal, alive: () => void): Promise<void> {
    const place = this.#after === undefined ? undefined : { 'Last-Event-ID': this.#after };
    const headers = { Accept: 'text/event-stream', ...place };
    const response = await fetch('/v1/usage/events', { headers, signal });
    if (!response.ok || response.body === null) throw await refused(response);
    this.live = true;
    this.#pause.reset();
    this.#heard(); // what ended meanwhile is in the sums
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
