/** Server-sent events out of a response, by WHATWG's rules as far as this service uses them. */

/** One event. `id` is what `Last-Event-ID` would be; empty data are no event. */
export interface Sent {
  id: string | undefined;
  event: string;
  data: string;
}

/**
 * The events of a body as they come; ends where the body does, throws where the line breaks.
 * `alive` hears of whatever comes, comments too; `reading` knows afterwards how far it came.
 */
export async function* events(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  alive: () => void,
  reading = new Reading(),
): AsyncGenerator<Sent, void> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      yield* reading.feed(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Text that arrives in pieces of any size, as events. */
export class Reading {
  /** Of the last whole block that had one, with or without data: where to go on. */
  id: string | undefined;
  #rest = '';
  #given: string | undefined;
  #event = '';
  #data: string[] = [];

  /** Take more of the text; what is complete by then. A last line without its end is kept. */
  *feed(text: string): Generator<Sent, void> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const sent = this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (sent !== undefined) yield sent;
    }
  }

  #line(line: string): Sent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id') this.#given = value;
    return undefined;
  }

  #dispatch(): Sent | undefined {
    const data = this.#data.join('\n');
    const event = this.#event === '' ? 'message' : this.#event;
    this.#data = [];
    this.#event = '';
    this.id = this.#given;
    return data === '' ? undefined : { id: this.id, event, data };
  }
}
