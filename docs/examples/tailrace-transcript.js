/**
 * What an answer looks like now: its events folded, one after the other, as they come over SSE or
 * WebSocket. It shows at no moment what a failover has taken back, and no tool call as one to run
 * before it is whole. Signatures, files and the provider's own tools are left to those who need them.
 *
 * No dependency: copy it. The events are described in docs/streams.md.
 */

/**
 * @typedef {{ type: string, seq?: number, [field: string]: any }} StreamEvent
 *
 * @typedef {object} Block
 * @property {string} block its id
 * @property {string} kind `text`, `reasoning`, `refusal`, `tool_call`, ...
 * @property {string} text what was said so far; of a call, its arguments
 * @property {string} [call_id]
 * @property {string} [name] of the tool that is called
 * @property {"complete" | "incomplete"} [status] once it is over
 */

export class Transcript {
  /** @type {Map<string, Block>} The pieces of the answer, in their order. */
  blocks = new Map();

  /** @type {{ block?: string, citation: object }[]} The sources that were named. */
  citations = [];

  /** @type {StreamEvent | undefined} The `stream.end`, once it has come. */
  end = undefined;

  /**
   * Take the next event.
   *
   * @param {StreamEvent} event
   * @returns {this}
   */
  add(event) {
    const fold = FOLDS[event.type];
    if (fold !== undefined) fold(this, event);
    else if (event.must_understand) throw new Error(`an event that must be known: ${event.type}`);
    return this;
  }

  get text() {
    return this.#said('text');
  }

  get reasoning() {
    return this.#said('reasoning');
  }

  get refusal() {
    return this.#said('refusal');
  }

  /** The tool calls that are whole. One that was cut off is not among them: do not run it. */
  get calls() {
    return [...this.blocks.values()]
      .filter((block) => block.kind === 'tool_call' && block.status === 'complete')
      .map((block) => ({ id: block.call_id, name: block.name, arguments: block.text }));
  }

  /** @param {string} kind */
  #said(kind) {
    const said = [...this.blocks.values()].filter((block) => block.kind === kind);
    return said.map((block) => block.text).join('');
  }
}

/** @type {(transcript: Transcript, event: StreamEvent) => void} */
const more = ({ blocks }, { block, delta }) => {
  const of = blocks.get(block);
  if (of !== undefined) of.text += delta;
};

/** @type {Record<string, (transcript: Transcript, event: StreamEvent) => void>} */
const FOLDS = {
  'block.start': ({ blocks }, { block, kind, call_id, name }) =>
    void blocks.set(block, { block, kind, text: '', call_id, name }),
  'text.delta': more,
  'reasoning.delta': more,
  'refusal.delta': more,
  'tool.delta': more,
  'block.end': ({ blocks }, { block, status, args }) => {
    const of = blocks.get(block);
    if (of !== undefined) Object.assign(of, { status, text: args ?? of.text });
  },
  'citation.add': ({ citations }, { block, citation }) => void citations.push({ block, citation }),
  failover: (transcript, { drop = [] }) => {
    for (const block of drop) transcript.blocks.delete(block);
    uncite(transcript);
  },
  // In place of everything so far: the oldest events are no longer kept.
  'stream.snapshot': (transcript, { blocks }) => {
    transcript.blocks = new Map(blocks.map((block) => [block.block, shown(block)]));
    uncite(transcript);
  },
  'stream.end': (transcript, event) => {
    transcript.end = event;
  },
};

/** @param {Transcript} transcript whose sources of blocks that are gone go, too */
function uncite(transcript) {
  const { blocks, citations } = transcript;
  transcript.citations = citations.filter(({ block }) => !block || blocks.has(block));
}

/**
 * @param {any} block of a snapshot, which says that a call is over and not whether it was cut
 * @returns {Block}
 */
function shown({ block, kind, text, args, call_id, name, done }) {
  const whole = done && (kind !== 'tool_call' || isJson(args));
  const status = whole ? 'complete' : undefined;
  return { block, kind, text: text ?? args ?? '', call_id, name, status };
}

/** @param {string} text */
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
