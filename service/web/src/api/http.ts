/** Requests to the service this page came from, none of which waits for ever. */

import { refused, Unanswered } from './problem.ts';

/** A service that hangs keeps its connections open: only the time that passes tells. */
const PATIENCE = 10_000; // milliseconds

/** GET a JSON document. Throws Refused, Unanswered, or what fetch throws where nobody is there. */
export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return asked<T>(path, { headers: { Accept: 'application/json' }, signal: signal ?? null }, json);
}

/** GET whatever is there as a file. Throws as `get`. */
export function fetched(path: string): Promise<Blob> {
  return asked(path, {}, (response) => response.blob());
}

/** Send a JSON document with `method`, and wait `patience` milliseconds. Throws as `get`. */
export function send<T>(
  method: 'POST' | 'PATCH',
  path: string,
  body: unknown,
  { signal, patience }: { signal?: AbortSignal; patience?: number } = {},
): Promise<T> {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
  const init = { method, headers, body: JSON.stringify(body), signal: signal ?? null };
  return asked<T>(path, init, json, patience);
}

async function asked<T>(
  path: string,
  init: RequestInit,
  read: (response: Response) => Promise<T>,
  patience = PATIENCE,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patience);
  const signal = init.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal;
  try {
    const response = await fetch(path, { ...init, signal });
    if (!response.ok) throw await refused(response);
    return await read(response);
  } catch (failure) {
    throw late.signal.aborted ? new Unanswered(init.method !== undefined) : failure;
  } finally {
    clearTimeout(timer);
  }
}

async function json<T>(response: Response): Promise<T> {
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}
