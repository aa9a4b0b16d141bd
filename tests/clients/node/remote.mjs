// A program that is told what to do, a line of JSON at a time, and answers each with a line.
//
// One that outlives the service it speaks to is told to `leave` it first: Node's fetch keeps
// connections open for the next request.

import { createInterface } from 'node:readline';

/** Serve `commands`, by name; an answer is what a command returns, or `{failed}`. */
export async function serve(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...given } = JSON.parse(line);
    let answer;
    try {
      answer = (await { leave, ...commands }[name](given)) ?? {};
    } catch (error) {
      answer = { failed: `${name}: ${error.stack}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

// Where Node's fetch looks for what holds its connections; there once it was used.
const FETCH = Symbol.for('undici.globalDispatcher.1');
await fetch('data:,');
const Connections = globalThis[FETCH].constructor; // a package may put its own there

/** End every connection of Node's fetch; the next request makes its own. */
export async function leave() {
  const left = globalThis[FETCH];
  globalThis[FETCH] = new Connections();
  await left.destroy();
}

/** What a client threw, as its users see it. */
export function raised(error) {
  const { constructor, message, status, code, type, param } = error;
  return { name: constructor.name, message, status, code, type, param };
}

/** A fetch for a client that is answered with these bytes, whatever it asks. */
export function answering(body) {
  const headers = { 'content-type': 'text/event-stream' };
  return async () => new Response(body, { headers });
}

/** All that an answer's iterator gives, and what it threw instead of an end. */
export async function readOut(answer) {
  const read = [];
  try {
    for await (const one of await answer) read.push(one);
  } catch (error) {
    return { read, raised: raised(error) };
  }
  return { read, raised: null };
}
