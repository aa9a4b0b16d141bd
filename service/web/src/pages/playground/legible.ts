/**
 * Whether a turn that was found in this browser's storage can be shown.
 *
 * Another version of this page may have kept it, or somebody's hand: one that lacks what is drawn
 * would leave the whole page blank, at every visit, and one that nobody can be asked for would wait
 * for ever. What cannot be read is left out.
 */

import { CARRIERS } from './choices.ts';
import type { KeptTurn } from './memory.ts';

type Fields = Record<string, unknown>;

export function legible(turn: unknown): turn is KeptTurn {
  return (
    has(turn, { question: text, key: text, stream: optional(text), carrier: among(CARRIERS) }) &&
    has(turn, { said: whatWasSaid, problem: optional(problem) }) &&
    // Its name or what to ask; nobody is asked for what was refused.
    (has(turn, { stream: text }) || has(turn, { request: filled }) || has(turn, { problem }))
  );
}

const STATUSES = ['completed', 'incomplete', 'failed', 'cancelled'];
const WHERE = ['input', 'output'];
const ACTIONS = ['blocked', 'annotated'];

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string';

const among = (known: readonly unknown[]): Check => (value) => known.includes(value);

const optional = (check: Check): Check => (value) => value === undefined || check(value);

const each = (fields: Record<string, Check>): Check => (value) =>
  Array.isArray(value) && value.every((one) => has(one, fields));

const filled: Check = (value) => typeof value === 'object' && value !== null;

const problem: Check = (value) => has(value, { code: text, message: text });

const end: Check = (value) =>
  has(value, { status: among(STATUSES), finish: text, error: optional(problem) });

const whatWasSaid: Check = (value) =>
  has(value, {
    blocks: each({ block: text, kind: text, text, name: optional(text), url: optional(text) }),
    citations: each({ id: text, url: optional(text), title: optional(text), quote: optional(text) }),
    warnings: each({ message: text }),
    flags: each({ where: among(WHERE), provider: text, action: among(ACTIONS) }),
    end: optional(end),
  });

function has(value: unknown, fields: Record<string, Check>): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(fields).every(([name, check]) => check((value as Fields)[name]));
}
