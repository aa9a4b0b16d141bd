/** Requests to the service this page came from. */

import { refused } from './problem.ts';

/** GET a JSON document. Throws Refused, or what fetch throws where nobody answers. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return answered(await fetch(path, { headers: { Accept: 'application/json' }, ...given(signal) }));
}

/** Send a JSON document with `method`. Throws as `get`. */
export async function send<T>(
  method: 'POST' | 'PATCH',
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
  const init = { method, headers, body: JSON.stringify(body), ...given(signal) };
  return answered(await fetch(path, init));
}

async function answered<T>(response: Response): Promise<T> {
  if (!response.ok) throw await refused(response);
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

function given(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
