/**
 * Tailrace over server-sent events, for browsers and Node: ask with `fetch`, because an EventSource
 * cannot POST, and follow an answer that exists with either. A lost connection is taken up again
 * after the last event that came, so none is missed and none comes twice.
 *
 *     for await (const event of ask('http://127.0.0.1:8180', { messages })) transcript.add(event);
 *
 * Leaving the loop hangs up, and the generation goes on; `cancel` ends it.
 *
 * No dependency: copy it. The events, endings and errors are docs/streams.md.
 */

const LONGEST_PAUSE = 10_000; // ms
const SILENCE = 35_000; // ms: the service sends a comment where there was nothing else for 10 s

/** What an EventSource has to be told to listen for: every event has its type's name. */
const TYPES = [
  'stream.start', 'stream.snapshot', 'stream.end',
  'route.plan', 'attempt.start', 'attempt.commit', 'attempt.end', 'failover',
  'block.start', 'text.delta', 'reasoning.delta', 'refusal.delta', 'tool.delta', 'file.delta',
  'block.end', 'reasoning.signature', 'citation.add', 'server_tool.update',
  'usage.update', 'safety.flag', 'warning', 'meta', 'notice',
];

/** @typedef {{ type: string, stream: string, seq?: number, [field: string]: any }} StreamEvent */

/** An error of the service that came in the place of a stream. */
export class TailraceError extends Error {
  /** @param {number} status @param {{ code: string, message: string, [field: string]: any }} error */
  constructor(status, { code, message, retryable = false, retry_after_ms, param }) {
    super(message);
    this.status = status;
    /** One of docs/streams.md. */
    this.code = code;
    /** Whether the same may be asked again, and after how many ms. */
    this.retryable = retryable;
    this.retryAfterMs = retry_after_ms;
    /** The field of the request at fault. */
    this.param = param;
  }
}

/**
 * Ask, and have the answer's events to its `stream.end`, through lost connections.
 *
 * @param {string} url of the service
 * @param {object} request the body of `POST /v1/streams`
 * @param {object} [options]
 * @param {string} [options.key] your own, to come back to the answer after a reload. However often
 *   the request must be sent, it is answered once
 * @param {AbortSignal} [options.signal] hangs up
 * @param {number} [options.tries] how often connecting may fail in a row; 20
 * @param {number} [options.silence] ms after which a connection counts as lost; 35,000
 * @returns {AsyncGenerator<StreamEvent, void, void>}
 */
export function ask(url, request, { key = randomName(), signal, ...options } = {}) {
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
  const body = JSON.stringify(request);
  const post = () => fetch(`${url}/v1/streams`, { method: 'POST', headers, body, signal });
  return told(url, { post, signal, ...options });
}

/**
 * Follow an answer that exists, from after a sequence number; -1 is all of it.
 *
 * @param {string} url of the service
 * @param {string} stream its id
 * @param {{ after?: number, signal?: AbortSignal, tries?: number, silence?: number }} [options]
 * @returns {AsyncGenerator<StreamEvent, void, void>}
 */
export function follow(url, stream, options = {}) {
  return told(url, { stream, ...options });
}

/**
 * End a generation. Its `stream.end` comes to whoever follows it.
 *
 * @param {string} url of the service
 * @param {string} stream its id: `stream` of each event
 */
export async function cancel(url, stream) {
  await answered(await fetch(`${url}/v1/streams/${stream}/cancel`, { method: 'POST' }));
}

/**
 * The same with the browser's own EventSource, which comes back by itself after a lost connection.
 * It names no reason when it fails: `readyState` is 2 then, and `follow` can tell more.
 *
 * @param {string} url of the service
 * @param {string} stream its id
 * @param {(event: StreamEvent) => void} take
 * @param {{ after?: number }} [options]
 * @returns {EventSource} to be closed by whoever wants no more; it closes itself at the end
 */
export function listen(url, stream, take, { after = -1 } = {}) {
  const source = new EventSource(`${url}/v1/streams/${stream}?after=${after}`);
  const on = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === 'stream.end') source.close();
    take(event);
  };
  for (const type of TYPES) source.addEventListener(type, on);
  return source;
}

/**
 * @param {string} url
 * @param {any} asked `post` asks; `stream` and `after` say where to go on, as far as that is known
 */
async function* told(url, { post, stream, after = -1, signal, tries = 20, silence = SILENCE }) {
  for (let failures = 0; ; failures += 1) {
    try {
      await pause(failures, signal);
      const again = { headers: { 'Last-Event-ID': `${stream}:${after}` }, signal };
      const response = await (stream === undefined
        ? post()
        : fetch(`${url}/v1/streams/${stream}`, after < 0 ? { signal } : again));
      if ((await answered(response)).status === 204) return; // there is nothing more
      for await (const { data } of parse(response.body, silence)) {
        const event = JSON.parse(data);
        failures = 0;
        stream = event.stream;
        after = event.seq ?? event.as_of ?? after;
        yield event;
        if (event.type === 'stream.end') return;
      }
      throw new TypeError('the stream ended without its end'); // a proxy's doing
    } catch (error) {
      const hopeless = error instanceof TailraceError && !(error.retryable && stream !== undefined);
      if (signal?.aborted || hopeless || failures >= tries) throw error;
    }
  }
}

/** The response, where it is none of an error. */
async function answered(response) {
  if (response.ok) return response;
  const other = { code: 'internal', message: `HTTP ${response.status}` };
  const { error = other } = await response.json().catch(() => ({}));
  throw new TailraceError(response.status, error);
}

/** Longer after each failure, by chance, or all pages would come back at once. */
function pause(failures, signal) {
  const most = failures && Math.min(LONGEST_PAUSE, 250 * 2 ** failures);
  return new Promise((over, fail) => {
    const timer = setTimeout(over, Math.random() * most);
    signal?.addEventListener('abort', () => (clearTimeout(timer), fail(signal.reason)), { once: true });
  });
}

/**
 * Server-sent events out of bytes, by the rules of the HTML standard: lines end in LF, CR or CRLF,
 * whatever a chunk ends in; an event without its empty line, as a cut leaves it, is none.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {number} [silence] ms without a byte after which it throws
 * @returns {AsyncGenerator<{ type: string, data: string, id: string }, void, void>}
 */
export async function* parse(body, silence = SILENCE) {
  let id = '';
  let event = '';
  let data = [];
  for await (const line of lines(body, silence)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (line === '') {
      const type = event || 'message';
      if (data.length) yield { type, data: data.join('\n'), id };
      [event, data] = ['', []];
    } else if (name === 'data') data.push(value);
    else if (name === 'event') event = value;
    else if (name === 'id' && !value.includes('\0')) id = value;
  }
}

async function* lines(body, silence) {
  let rest = '';
  for await (const text of chunks(body.pipeThrough(new TextDecoderStream()), silence)) {
    // A CR that ends a chunk may be the half of a CRLF: it waits for what follows.
    const parts = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = parts.pop();
    yield* parts;
  }
  if (rest.endsWith('\r')) yield rest.slice(0, -1);
}

/** A stream's chunks. Safari's streams are not iterable themselves. */
async function* chunks(stream, silence) {
  const reader = stream.getReader();
  let timer;
  try {
    for (;;) {
      const silent = new Promise((_, fail) => {
        timer = setTimeout(() => fail(new TypeError('nothing came for too long')), silence);
      });
      const { done, value } = await Promise.race([reader.read(), silent]);
      clearTimeout(timer);
      if (done) return;
      yield value;
    }
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
}

/** 128 random bits. `crypto.randomUUID` is missing on pages that came over plain http. */
const randomName = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('-');
