/**
 * The playground's conversation: questions and answers, kept in this browser.
 *
 * An answer is kept as its key and its stream (until there is one, its request), not as its text: a
 * page that is opened anew asks the service for the stream from the beginning, and shows what was
 * said and what goes on being said. When the service has forgotten it, the text that was there when
 * it ended is shown.
 */

import { Answer } from '../../stream/answer.svelte.ts';
import { freshKey } from '../../stream/key.ts';
import { spoken } from '../../stream/transcript.ts';
import { DEFAULTS, request, restored, type Choices, type Message } from './choices.ts';

const KEPT = 'tailrace.playground';

/** A question and its answer. */
export class Turn {
  readonly question: string;
  readonly key: string;
  answer = $state<Answer>()!;
  /** What was said, once it is over: for a page that comes after the stream is forgotten. */
  text = $state('');

  constructor(question: string, key: string, answer: Answer, text = '') {
    this.question = question;
    this.key = key;
    this.answer = answer;
    this.text = text;
  }

  /** What the next question goes on from. */
  get said(): string {
    return spoken(this.answer.said, 'text') || this.text;
  }
}

interface KeptTurn {
  question: string;
  key: string;
  stream: string | undefined;
  /** Until there is a stream: it holds all that was said before, and so would every turn. */
  request?: unknown;
  carrier: Choices['carrier'];
  text: string;
}

interface Kept {
  choices: Choices;
  turns: KeptTurn[];
}

export class Conversation {
  choices = $state<Choices>({ ...DEFAULTS });
  turns = $state<Turn[]>([]);

  /** Take up what this browser keeps. */
  constructor() {
    const kept = read();
    this.choices = restored(kept?.choices);
    for (const { question, key, stream, request, carrier, text } of kept?.turns ?? []) {
      const answer = new Answer({ request, key, stream, after: -1 }, carrier);
      const turn = new Turn(question, key, answer, text);
      this.turns.push(turn);
      void this.#follow(turn);
    }
  }

  get running(): Turn | undefined {
    return this.turns.find((turn) => turn.answer.running);
  }

  ask(question: string): void {
    this.#begin(question, this.#before(this.turns.length));
  }

  /** Ask the last question again; its answer goes. */
  regenerate(): void {
    const last = this.turns.pop();
    if (last === undefined) return;
    last.answer.leave();
    this.#begin(last.question, this.#before(this.turns.length));
  }

  stop(): void {
    this.running?.answer.stop();
  }

  clear(): void {
    for (const turn of this.turns) turn.answer.leave();
    this.turns = [];
    this.keep();
  }

  /** Leave the page: the answers go on, and are there when it is opened again. */
  leave(): void {
    for (const turn of this.turns) turn.answer.leave();
  }

  /** Keep it in this browser; where there is no room for all of it, the newer turns. */
  keep(): void {
    let turns = this.turns.map(recorded);
    while (!written({ choices: this.choices, turns }) && turns.length > 0) {
      turns = turns.slice(Math.ceil(turns.length / 2));
    }
  }

  #begin(question: string, before: Message[]): void {
    const messages: Message[] = [...before, { role: 'user', content: question }];
    const key = freshKey();
    const place = { request: request(messages, this.choices), key, stream: undefined, after: -1 };
    const turn = new Turn(question, key, new Answer(place, this.choices.carrier));
    this.turns.push(turn);
    this.keep();
    void this.#follow(turn);
  }

  #before(count: number): Message[] {
    // A question that nobody answered stays behind: one that is too long would fail all after it.
    return this.turns.slice(0, count).flatMap(({ question, said }): Message[] =>
      said === '' ? [] : [{ role: 'user', content: question }, { role: 'assistant', content: said }],
    );
  }

  async #follow(turn: Turn): Promise<void> {
    await turn.answer.follow(() => this.keep());
    // Also of what was cut off for good: the service forgets it, and this browser need not.
    turn.text = spoken(turn.answer.said, 'text') || turn.text;
    this.keep();
  }
}

function recorded({ question, key, answer, text }: Turn): KeptTurn {
  const { stream, request } = answer.place;
  const posted = stream !== undefined;
  return { question, key, stream, carrier: answer.carrier, text, ...(posted ? {} : { request }) };
}

/** Whether there was room. */
function written(kept: Kept): boolean {
  try {
    localStorage.setItem(KEPT, JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}

function read(): Partial<Kept> | undefined {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? 'null');
    return typeof kept === 'object' && kept !== null ? (kept as Partial<Kept>) : undefined;
  } catch {
    return undefined; // written by something else; it is written anew
  }
}
