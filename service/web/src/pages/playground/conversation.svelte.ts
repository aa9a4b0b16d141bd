/**
 * The playground's conversation: questions and answers, kept in this browser.
 *
 * Answers are kept as they are shown. One that was not over when it was kept is asked for again from
 * its beginning, and goes on; so is the last one, whose route is shown beside it. Those before it are
 * shown from what was kept, and nobody is asked for them.
 */

import { Answer } from '../../stream/answer.svelte.ts';
import { freshKey } from '../../stream/key.ts';
import { spoken } from '../../stream/transcript.ts';
import { DEFAULTS, request, restored, type Choices, type Message } from './choices.ts';
import { read, readDraft, write, writeDraft, type KeptTurn } from './memory.ts';

/** A question and its answer. */
export class Turn {
  readonly question: string;
  readonly key: string;
  readonly answer: Answer;
  /** Another tab may show it, too: it was asked there, and taken up by this one. */
  readonly adopted: boolean;

  constructor(question: string, key: string, answer: Answer, adopted = false) {
    this.question = question;
    this.key = key;
    this.answer = answer;
    this.adopted = adopted;
  }

  /** What the next question goes on from. */
  get said(): string {
    return spoken(this.answer.said, 'text');
  }
}

export class Conversation {
  choices = $state<Choices>({ ...DEFAULTS });
  turns = $state<Turn[]>([]);
  /** What is being written and was not asked yet. */
  draft = $state(readDraft());
  #left = false;

  /** Take up what this browser keeps. */
  constructor() {
    const { choices, turns } = read();
    this.choices = restored(choices);
    this.turns = turns.map(recalled);
    turns.forEach(({ stopped }, position) => this.#resume(position, stopped === true));
    addEventListener('pagehide', this.#hidden);
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
    this.keep();
  }

  /**
   * Begin anew. Nobody can come back to an answer that runs: it is ended, when it has a name; but not
   * what another tab may show.
   */
  clear(): void {
    for (const { adopted, answer } of this.turns) {
      if (adopted && answer.stopping === undefined) answer.leave();
      else answer.dismiss();
    }
    this.turns = [];
    this.keep();
  }

  /**
   * Leave the page: the answers go on, and are there when it is opened again. One that is to end is
   * listened to until the service has heard that.
   */
  leave(): void {
    removeEventListener('pagehide', this.#hidden);
    this.#hidden();
    this.#left = true;
    for (const { answer } of this.turns) {
      if (answer.stopping === undefined) answer.leave();
      else answer.dismiss();
    }
  }

  keep(): void {
    write({ choices: this.choices, turns: this.turns.map(recorded) });
  }

  /** What has been said by now may be all that is ever said: the service may not be there again. */
  readonly #hidden = (): void => {
    writeDraft(this.draft);
    if (this.running === undefined) return;
    this.running.answer.show();
    this.keep();
  };

  /** Go on with what was not over; learn the last one's route again. */
  #resume(position: number, stopped: boolean): void {
    const turn = this.turns[position]!;
    const { running, said } = turn.answer;
    const last = position === this.turns.length - 1;
    if (running || (last && said.end !== undefined)) void this.#follow(turn);
    if (stopped) turn.answer.stop();
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
    const over = !turn.answer.running;
    // Looking at it again is nothing new, and makes this tab's conversation not the newest one. What
    // was cleared is kept no more, and once the page is left another conversation may be kept there.
    const changed = (): void => {
      if (!over && !this.#left && this.turns.includes(turn)) this.keep();
    };
    await turn.answer.follow(changed);
    changed();
  }
}

function recorded({ question, key, answer, adopted }: Turn): KeptTurn {
  const { place, carrier, said, problem, running, stopping } = answer;
  const unasked = running && place.stream === undefined;
  return {
    question,
    key,
    stream: place.stream,
    carrier,
    said,
    ...(unasked ? { request: place.request } : {}),
    ...(adopted ? { adopted } : {}),
    ...(answer.state === 'refused' ? { problem } : {}),
    ...(running && stopping !== undefined && stopping !== 'refused' ? { stopped: true } : {}),
  };
}

function recalled(kept: KeptTurn): Turn {
  const { question, key, stream, request, carrier, said, problem } = kept;
  const place = { request, key, stream, after: -1, asked: true };
  return new Turn(question, key, new Answer(place, carrier, { said, problem }), kept.adopted);
}
