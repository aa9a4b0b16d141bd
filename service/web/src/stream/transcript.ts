/**
 * A stream's events folded into what it has said: blocks in their order, sources, the end.
 *
 * Pure: the same events give the same transcript, however they were cut and resumed. An event that
 * was seen before (its number is not higher than the last) is passed over, so a reader that comes
 * back with an older cursor shows nothing twice.
 */

import type { Citation, EventOf, Kind, SnapshotBlock, StreamEvent } from './events.ts';

/** A piece of the answer. */
export interface Block {
  block: string;
  kind: Kind;
  /** What it says; a tool call's arguments. */
  text: string;
  name: string | undefined;
  call: string | undefined;
  over: boolean;
  /** Whether it was said to the end; undefined until it is over. */
  complete: boolean | undefined;
  result: unknown;
  /** Whether a tool of the provider's did not work. */
  failed: boolean;
  /** What a file is, and where it lies or how many bytes of it came; they are not kept. */
  media: string | undefined;
  url: string | undefined;
  bytes: number;
}

/** What was said by some moment; it does not change any more. */
export interface Said {
  readonly blocks: readonly Readonly<Block>[];
  readonly citations: readonly Citation[];
  readonly warnings: readonly EventOf<'warning'>[];
  readonly flags: readonly EventOf<'safety.flag'>[];
  readonly end: EventOf<'stream.end'> | undefined;
}

/** Everything that was said in blocks of a kind. */
export function spoken(said: Said, kind: Kind): string {
  return said.blocks
    .filter((block) => block.kind === kind)
    .map((block) => block.text)
    .join('');
}

/** What was said by somebody who will say no more, and has not said so. */
export function broken(said: Said): Said {
  const blocks = said.blocks.map((block) =>
    block.over ? block : { ...block, over: true, complete: false },
  );
  return { ...said, blocks };
}

export class Transcript {
  /** The number of the last event that was folded; -1 before the first. */
  #seq = -1;
  readonly #blocks = new Map<string, Block>();
  #citations: Citation[] = [];
  #warnings: EventOf<'warning'>[] = [];
  #flags: EventOf<'safety.flag'>[] = [];
  #end: EventOf<'stream.end'> | undefined;

  /** A copy of what was said by now. */
  view(): Said {
    return {
      blocks: Array.from(this.#blocks.values(), (block) => ({ ...block })),
      citations: [...this.#citations],
      warnings: [...this.#warnings],
      flags: [...this.#flags],
      end: this.#end,
    };
  }

  /** Fold an event; whether it was new. */
  add(event: StreamEvent): boolean {
    if (event.type === 'stream.snapshot') return this.#restore(event);
    if (event.seq === undefined || event.seq <= this.#seq) return false;
    this.#seq = event.seq;
    this.#fold(event);
    return true;
  }

  #fold(event: StreamEvent): void {
    switch (event.type) {
      case 'block.start':
        this.#blocks.set(event.block, begun(event));
        return;
      case 'text.delta':
      case 'reasoning.delta':
      case 'refusal.delta':
      case 'tool.delta': {
        const block = this.#blocks.get(event.block);
        if (block !== undefined) block.text += event.delta;
        return;
      }
      case 'block.end': {
        const block = this.#blocks.get(event.block);
        if (block === undefined) return;
        block.over = true;
        block.complete = event.status === 'complete';
        if (event.args !== undefined) block.text = event.args;
        return;
      }
      case 'server_tool.update': {
        const block = this.#blocks.get(event.block);
        if (block === undefined) return;
        block.name = event.name;
        if (event.input !== undefined) block.text = JSON.stringify(event.input);
        if (event.result !== undefined) block.result = event.result;
        block.failed = event.status === 'failed';
        return;
      }
      case 'file.delta': {
        const block = this.#blocks.get(event.block);
        if (block === undefined) return;
        block.url = event.url ?? block.url;
        block.bytes += event.data === undefined ? 0 : decoded(event.data);
        return;
      }
      case 'failover':
        for (const name of event.drop ?? []) this.#blocks.delete(name);
        if (event.mode === 'restart') this.#citations = [];
        return;
      case 'citation.add':
        this.#citations.push(event.citation);
        return;
      case 'warning':
        this.#warnings.push(event);
        return;
      case 'safety.flag':
        this.#flags.push(event);
        return;
      case 'stream.end':
        this.#end = event;
        return;
      default:
        return;
    }
  }

  /** The blocks so far, in place of events that are no longer kept. */
  #restore(event: EventOf<'stream.snapshot'>): boolean {
    if (event.as_of <= this.#seq) return false;
    this.#seq = event.as_of;
    this.#blocks.clear();
    for (const block of event.blocks) this.#blocks.set(block.block, restored(block));
    return true;
  }
}

/** A block of which nothing was said yet. */
const BLANK = {
  text: '',
  over: false,
  complete: undefined,
  result: undefined,
  failed: false,
  media: undefined,
  url: undefined,
  bytes: 0,
};

function begun(event: EventOf<'block.start'>): Block {
  const { block, kind, name, call_id: call, media_type: media } = event;
  return { ...BLANK, block, kind, name, call, media };
}

function restored(block: SnapshotBlock): Block {
  return {
    ...BLANK,
    block: block.block,
    kind: block.kind,
    text: block.text ?? block.args ?? '',
    name: block.name,
    call: block.call_id,
    over: block.done ?? false,
    complete: block.done ? true : undefined,
  };
}

/** How many bytes a text in base64 stands for. */
function decoded(base64: string): number {
  return Math.floor((base64.replace(/=+$/, '').length * 3) / 4);
}
