/**
 * An answer as a component sees it: what it has said and its route, fresh once a frame.
 *
 * Tokens may come faster than a screen shows them; the events are folded as they come, and the page
 * is told of it at most once for each frame it draws; and at once in a tab that is hidden, as no frame
 * is drawn there, not even one that was ordered before.
 */

import type { Problem } from '../api/problem.ts';
import type { StreamEvent } from './events.ts';
import { Following, type Carrier, type Place, type State } from './follow.ts';
import { Route, type Taken } from './route.ts';
import type { Stop } from './stopping.ts';
import { broken, Transcript, type Said } from './transcript.ts';

/** What an earlier visit knew of an answer. */
export interface Remains {
  said: Said;
  /** Why it was refused, if it was. */
  problem?: Problem | undefined;
}

export class Answer {
  readonly place: Place;
  readonly carrier: Carrier;
  state = $state<State>('connecting');
  /** The service no longer keeps it: what was said is known, its route is not. */
  forgotten = $state(false);
  /** How far ending it has come, once somebody wanted that. */
  stopping = $state<Stop>();
  problem = $state<Problem>();

  readonly #transcript = new Transcript();
  readonly #route = new Route();
  /** What was said, as it is drawn. */
  said = $state.raw<Said>(this.#transcript.view());
  /** Who was asked, as it is drawn. */
  route = $state.raw<Taken>(this.#route.view());
  /** It was over before it was followed: only its route is still to be learned. */
  readonly #known: boolean;
  /** What has come since it was shown last is not shown yet. */
  #stale = false;
  /** A frame is to show it. */
  #ordered = false;
  /** Nobody sees it any more. */
  #dismissed = false;
  #following: Following | undefined;

  constructor(place: Place, carrier: Carrier, remains?: Remains) {
    this.place = place;
    this.carrier = carrier;
    this.#known = remains?.said.end !== undefined;
    if (remains === undefined) return;
    this.said = remains.said;
    this.problem = remains.problem;
    if (this.#known) this.state = 'over';
    else if (remains.problem !== undefined) this.state = 'refused';
  }

  /** Ask, or take up what was asked; `opened` hears that there is a stream. Ends with it. */
  async follow(opened: () => void): Promise<void> {
    let known = false;
    this.#following = new Following(this.place, this.carrier, {
      event: (event) => {
        this.#fold(event);
        this.place.stream = event.stream;
        if (!known) opened();
        known = true;
      },
      state: (state, problem) => {
        this.forgotten = this.#known && state === 'refused';
        if (this.#known) return;
        this.state = state;
        this.problem = problem ?? this.problem;
      },
      stop: (stop, problem) => {
        this.stopping = stop;
        this.problem = problem ?? this.problem;
        if (this.#dismissed && (stop === 'told' || stop === 'refused')) this.leave();
      },
    });
    await this.#following.run();
    this.show();
    if (this.state === 'refused') this.said = broken(this.said);
  }

  get running(): boolean {
    return this.state !== 'over' && this.state !== 'refused';
  }

  /** End the generation; what was said stays. */
  stop(): void {
    this.#following?.cancel();
  }

  /** Listen no more; the generation goes on. */
  leave(): void {
    this.#following?.leave();
  }

  /** End what runs, and listen only until the service has heard that. */
  dismiss(): void {
    this.#dismissed = true;
    if (this.running) this.stop();
    else this.leave();
  }

  /** Let what has come be seen, without waiting for a frame. */
  show(): void {
    if (!this.#stale) return;
    this.#stale = false;
    if (!this.#known) this.said = this.#transcript.view();
    this.route = this.#route.view();
  }

  #fold(event: StreamEvent): void {
    this.#transcript.add(event);
    this.#route.add(event);
    this.#stale = true;
    if (document.hidden) queueMicrotask(() => this.show());
    else this.#order();
  }

  #order(): void {
    if (this.#ordered) return;
    this.#ordered = true;
    requestAnimationFrame(() => {
      this.#ordered = false;
      this.show();
    });
  }
}
