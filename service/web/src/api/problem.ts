/** A request that was refused, or that did not arrive. */

/** What went wrong, in an event or in the body of an HTTP error. */
export interface Problem {
  code: string;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
  param?: string;
  provider?: string;
  causes?: Problem[];
  /** What a message may have, where it had more: this page's own, of a socket that was closed. */
  limit_bytes?: number;
}

/** What the service refused, as it said it. */
export class Refused extends Error {
  readonly status: number;
  readonly problem: Problem;

  constructor(status: number, problem: Problem) {
    super(problem.message);
    this.name = 'Refused';
    this.status = status;
    this.problem = problem;
  }
}

/** Nothing came for as long as one waits; the request may have been heard all the same. */
export class Unanswered extends Error {
  /** Whether something may happen that was asked for. */
  readonly changing: boolean;

  constructor(changing: boolean) {
    super('no answer in time');
    this.name = 'Unanswered';
    this.changing = changing;
  }
}

/** The error of a response that is not one of success; whatever its body is. */
export async function refused(response: Response): Promise<Refused> {
  const text = await response.text();
  return new Refused(response.status, told(text) ?? unreadable(response));
}

/** The service's own word, if it is one: a proxy's error may be JSON as well, of another shape. */
function told(text: string): Problem | undefined {
  const body = parsed(text);
  if (!isObject(body)) return undefined;
  const { success, error } = body;
  if (isObject(error)) return isProblem(error) ? error : undefined;
  // The coordination API says it in words.
  if (success !== false || typeof error !== 'string') return undefined;
  return { code: 'refused', message: error, retryable: false };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isProblem(value: object): value is Problem {
  const { code, message, retryable } = value as Partial<Record<keyof Problem, unknown>>;
  return typeof code === 'string' && typeof message === 'string' && typeof retryable === 'boolean';
}

/** What a proxy refuses for now, though it says that the client is at fault. */
const BUSY = new Set([408, 425, 429]);

function unreadable(response: Response): Problem {
  const message = `HTTP ${response.status} ${response.statusText}`.trim();
  return { code: 'http', message, retryable: response.status >= 500 || BUSY.has(response.status) };
}
