/**
 * Tailrace over one WebSocket, for browsers and Node 22 or newer. Many answers side by side, each an
 * async iterable of its events; a lost connection costs time and no event, and none comes twice.
 *
 *     const tailrace = new TailraceSocket('ws://127.0.0.1:8180/v1/ws');
 *     const answer = tailrace.start({ messages: [{ role: 'user', content: 'Hello' }] });
 *     for await (const event of answer) if (event.type === 'text.delta') show(event.delta);
 *
 * A loop that is left stops listening, and no more: `answer.cancel()` ends the generation. A loop
 * that is slow holds up its own answer at the service and no other; the page keeps a window of it.
 *
 * No dependency: copy it. The protocol, with its close codes, is docs/websocket.md.
 */

/** Close codes after which another socket would meet the same. */
const HOPELESS = new Set([1003, 1007, 1009, 4400, 4401, 4403, 4406]);

/** Close codes that want a longer pause, in ms: the service restarts, or had too much of us. */
const PAUSES = new Map([[1012, 1_000], [4429, 5_000]]);

const SHORTEST_PAUSE = 250; // ms, at most, before the first new try
const LONGEST_PAUSE = 10_000; // ms
const USUAL_HEARTBEAT = 20_000; // ms, until `ready` says otherwise

/** @typedef {{ type: string, seq?: number, [field: string]: any }} StreamEvent */

/** What the service refused, or what became of the connection. */
export class TailraceError extends Error {
  /** @param {{ code: string, message: string, retryable?: boolean, [field: string]: any }} error */
  constructor({ code, message, retryable = false, retry_after_ms, param }) {
    super(message);
    /** One of docs/streams.md; `disconnected` and `closed` are this module's own. */
    this.code = code;
    /** Whether the same may be asked again, and after how many ms. */
    this.retryable = retryable;
    this.retryAfterMs = retry_after_ms;
    /** The field of the request at fault. */
    this.param = param;
  }
}

/** The connection: one socket, opened when something is asked, and a new one where it is lost. */
export class TailraceSocket {
  #url;
  #options;
  /** @type {Map<string, Answer>} Those that are not over, by their names on the socket. */
  #answers = new Map();
  /** @type {Set<WebSocket>} */
  #sockets = new Set();
  /** @type {WebSocket | undefined} The one for new answers; others finish what they have. */
  #current;
  #connecting = false;
  #ready = false;
  #named = 0;
  #failures = 0; // in a row
  #notBefore = 0; // ms, as Date.now()
  /** Of a socket, as its `ready` says; undefined before. */
  #limits;

  /**
   * @param {string} url
   * @param {object} [options]
   * @param {object | (() => unknown)} [options.auth] `{scheme, token}`, or a function that gets one
   *   for each socket, as a ticket is good for a single one
   * @param {number} [options.tries] how often connecting may fail in a row before the answers do
   * @param {typeof WebSocket} [options.WebSocket] where there is no global one
   */
  constructor(url, { auth, tries = 20, WebSocket = globalThis.WebSocket } = {}) {
    this.#url = url;
    this.#options = { auth, tries, WebSocket };
  }

  /**
   * Ask. However often the request must be sent, its key sees to it that it is answered once.
   *
   * @param {object} request the body of `POST /v1/streams`
   * @param {object} [options]
   * @param {string} [options.idempotencyKey] your own, to come back to the answer after a reload
   * @param {string} [options.onDisconnect] `continue` or `cancel_after:<seconds>`
   * @param {number} [options.window] bytes that may be on their way and not dealt with
   * @param {AbortSignal} [options.signal] cancels the generation
   * @returns {Answer}
   */
  start(request, { idempotencyKey = randomName(), onDisconnect, window, signal } = {}) {
    const key = { idempotency_key: idempotencyKey, on_disconnect: onDisconnect };
    return this.#add({ t: 'start', request, ...key, window }, signal);
  }

  /**
   * Follow an answer that exists, from after a sequence number; without one, from the beginning.
   *
   * @param {string} stream its id
   * @param {{ after?: number, window?: number, signal?: AbortSignal }} [options]
   * @returns {Answer}
   */
  attach(stream, { after = -1, window, signal } = {}) {
    return this.#add({ t: 'attach', window }, signal, { stream, seq: after });
  }

  /** Stop listening to everything. What is being generated goes on as its `on_disconnect` says. */
  close() {
    this.#fail(this.#answers, new TailraceError({ code: 'closed', message: 'closed on this side' }));
    for (const socket of this.#sockets) socket.close(1000);
  }

  #add(asked, signal, known = {}) {
    const answer = new Answer(`a${++this.#named}`, asked, {
      say: (message) => answer.socket?.readyState === 1 && say(answer.socket, message),
      forget: () => this.#answers.delete(answer.id),
      resume: () => this.#askAll(),
      limits: () => this.#limits,
    });
    this.#answers.set(answer.id, Object.assign(answer, known));
    this.#askAll();
    if (signal?.aborted) answer.cancel();
    signal?.addEventListener('abort', () => answer.cancel(), { once: true });
    return answer;
  }

  // --- Sockets ---

  #waiting() {
    return [...this.#answers.values()].filter((answer) => !answer.socket && !answer.parked);
  }

  /** Ask for what is on no socket; where there is none to ask on, open one first. */
  #askAll() {
    const waiting = this.#waiting();
    if (this.#current && this.#ready) waiting.forEach((answer) => answer.ask(this.#current));
    else if (waiting.length && !this.#current && !this.#connecting) void this.#connect();
  }

  async #connect() {
    const { auth } = this.#options;
    this.#connecting = true;
    try {
      await this.#turn();
      const token = await (typeof auth === 'function' ? auth() : auth);
      if (this.#waiting().length) this.#open(token);
    } catch (error) {
      if (offline()) this.#failures = 1; // who makes the token may be further away than the service
      else this.#fail(this.#waiting(), error);
    }
    this.#connecting = false;
    this.#askAll();
  }

  /** Wait until it makes sense to connect: longer after each failure, or until the network is back. */
  async #turn() {
    const growing = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** (this.#failures - 1));
    const most = offline() ? LONGEST_PAUSE : growing;
    const pause = this.#failures && Math.random() * most; // jitter, or all pages come back at once
    await rest(Math.max(pause, this.#notBefore - Date.now()));
  }

  #open(auth) {
    const socket = new this.#options.WebSocket(this.#url, 'tailrace.stream.v1');
    const lost = ({ code, reason = '' }) => {
      clearInterval(watch);
      socket.onmessage = socket.onclose = null;
      socket.close();
      this.#lost(socket, code, reason);
    };
    let heard = true;
    const watched = (every) =>
      setInterval(() => (heard ? (heard = false) : lost({ code: 1006 })), 1.5 * every);
    let watch = watched(USUAL_HEARTBEAT);
    this.#sockets.add((this.#current = socket));
    this.#ready = false;
    socket.onopen = () => say(socket, { t: 'init', auth, accept: { coalesce: true } });
    socket.onmessage = ({ data }) => {
      heard = true;
      const message = JSON.parse(data);
      if (message.t === 'goaway') this.#leave(socket, message.reconnect_after_ms);
      if (message.t === 'ready') {
        clearInterval(watch);
        watch = watched(message.heartbeat_ms);
        this.#limits = message.limits;
        this.#ready = true;
        this.#askAll();
      }
      const answer = this.#answers.get(message.id);
      if (answer?.socket === socket) this.#hear(answer, message, data.length);
    };
    socket.onclose = lost;
  }

  /** The socket takes nothing new; what runs on it may finish there. */
  #leave(socket, pause) {
    if (this.#current === socket) this.#current = undefined;
    this.#notBefore = Math.max(this.#notBefore, Date.now() + pause);
  }

  #lost(socket, code, reason) {
    this.#sockets.delete(socket);
    if (this.#current === socket) this.#current = undefined;
    for (const answer of this.#answers.values()) if (answer.socket === socket) answer.leave();
    // Without a network, failing again says nothing of the service.
    if (code !== 1000) this.#failures = offline() ? 1 : this.#failures + 1;
    this.#notBefore = Math.max(this.#notBefore, Date.now() + (PAUSES.get(code) ?? 0));
    const retryable = !HOPELESS.has(code);
    if (retryable && this.#failures <= this.#options.tries) return this.#askAll();
    const message = `the connection was closed: ${code} ${reason}`.trim();
    this.#failures = 0;
    this.#fail(this.#waiting(), new TailraceError({ code: 'disconnected', message, retryable }));
  }

  #hear(answer, message, size) {
    if (message.t === 'started') this.#failures = 0;
    if (message.t !== 'err') answer.hear(message, size);
    else if (!answer.open) this.#refused(answer, message.error);
  }

  #refused(answer, error) {
    const goesOn = error.retryable && answer.stream !== undefined;
    if (error.code === 'draining') {
      this.#leave(answer.socket, PAUSES.get(1012)); // it crossed a goaway: it is for the next socket
      answer.leave();
      this.#askAll();
    } else if (goesOn && this.#failures++ < this.#options.tries) {
      answer.park();
      setTimeout(() => answer.resume(), error.retry_after_ms ?? 1_000);
    } else this.#fail([answer], new TailraceError(error));
  }

  #fail(answers, error) {
    for (const answer of [...answers.values()]) answer.fail(error);
  }
}

/** One answer, to be iterated over once. `start` and `attach` make it. */
export class Answer {
  /** @type {string | undefined} The stream's id; undefined until the service has named it. */
  stream;

  /** The sequence number of the last event that has come, -1 before the first. */
  seq = -1;

  // Between it and its socket: where it was asked for, whether that said `started`, and whether it
  // is to be asked for.
  /** @type {WebSocket | undefined} */
  socket;
  open = false;
  parked = false;

  #asked;
  #hands;
  #sent = false;
  #cancelled = false;
  #slow = false;
  #over = false;
  #failure;
  /** @type {{ event: StreamEvent, size: number }[]} */
  #queue = [];
  #untold = 0;
  /** @type {(value?: unknown) => void} */
  #wake = () => {};

  constructor(id, asked, hands) {
    this.id = id;
    this.#asked = asked;
    this.#hands = hands;
  }

  /**
   * End the generation. The loop goes on to its `stream.end`, which says `cancelled`. Where nothing
   * was sent yet, the loop throws an error with that code.
   */
  cancel() {
    if (this.#over || this.#cancelled) return;
    this.#cancelled = true;
    if (this.socket) this.#hands.say({ t: 'cancel', id: this.id });
    else if (this.#sent || this.stream !== undefined) this.resume();
    else this.fail(new TailraceError({ code: 'cancelled', message: 'cancelled before it was sent' }));
  }

  /** Stop listening; the generation goes on as its `on_disconnect` says. */
  detach() {
    if (this.#over) return;
    this.#hands.say({ t: 'detach', id: this.id });
    this.fail(undefined);
  }

  /** @returns {AsyncGenerator<StreamEvent, void, void>} */
  async *[Symbol.asyncIterator]() {
    try {
      for (;;) {
        for (let next; (next = this.#queue.shift()); this.#took(next)) yield next.event;
        if (this.#failure) throw this.#failure;
        if (this.#over) return;
        if (this.#slow) this.resume();
        await new Promise((wake) => (this.#wake = wake));
      }
    } finally {
      this.detach();
    }
  }

  // --- For the socket ---

  /** Have it from this socket: all of it, or what is missing. */
  ask(socket) {
    const { id, stream, seq: after } = this;
    this.socket = socket;
    this.#sent = true;
    const known = stream !== undefined && { t: 'attach', stream, after, window: this.#asked.window };
    const frame = JSON.stringify({ ...(known || this.#asked), id });
    const { max_frame_bytes: most } = this.#hands.limits();
    if (new Blob([frame]).size > most) {
      // It would close the socket, for all others on it, too.
      const message = `the request has more than the ${most} bytes that a frame may have`;
      return this.fail(new TailraceError({ code: 'payload_too_large', message }));
    }
    socket.send(frame);
    if (this.#cancelled) say(socket, { t: 'cancel', id });
  }

  hear(message, size) {
    if (message.t === 'started') {
      this.open = true;
      this.stream = message.stream;
      // Whoever has acknowledged something is held to the window, and need keep no more than that.
      this.#hands.say({ t: 'ack', id: this.id, seq: message.next - 1 });
    } else if (message.t === 'ev') this.#take([message.e], size);
    else if (message.t === 'evs') this.#take(message.e, size);
    else if (message.t === 'end') {
      this.#slow = true; // the rest is kept, and can be had when what has come was taken
      this.park();
      this.#wake();
    }
  }

  /** Ask for no more until it is resumed. */
  park() {
    this.leave();
    this.parked = true;
  }

  resume() {
    this.#slow = this.parked = false;
    this.#hands.resume();
  }

  /** The socket has no more of it. */
  leave() {
    this.socket = undefined;
    this.open = false;
  }

  /** It is over. What has come can still be taken; then the error, where there is one, is thrown. */
  fail(error) {
    this.#over = true;
    this.#failure = error;
    this.#hands.forget();
    this.#wake();
  }

  #take(events, size) {
    for (const event of events) {
      if (event.seq <= this.seq) continue;
      this.seq = event.seq ?? event.as_of ?? this.seq;
      this.#queue.push({ event, size: size / events.length });
    }
    if (events.at(-1).type === 'stream.end') this.fail(undefined);
    this.#wake();
  }

  /** Acknowledge each quarter of a window. Sizes are in characters, which have 3 bytes at most. */
  #took({ event, size }) {
    this.#untold += size;
    const { window, max_window } = this.#hands.limits();
    if (this.#untold < Math.min(this.#asked.window ?? window, max_window) / 4) return;
    this.#untold = 0;
    this.#hands.say({ t: 'ack', id: this.id, seq: event.seq ?? event.as_of ?? -1 });
  }
}

/** What the browser says of the network; a service on the same machine is there without one. */
const offline = () => globalThis.navigator?.onLine === false;

/** A pause, or less of one where the browser is online again. */
const rest = (milliseconds) =>
  new Promise((over) => {
    const wake = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', wake);
      over();
    };
    const timer = setTimeout(wake, milliseconds);
    globalThis.addEventListener?.('online', wake);
  });

const say = (socket, message) => socket.send(JSON.stringify(message));

/** 128 random bits. `crypto.randomUUID` is missing on pages that came over plain http. */
const randomName = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('-');
