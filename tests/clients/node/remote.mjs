// A program that is told what to do, a line of JSON at a time, and answers each with a line.

import { createInterface } from 'node:readline';

/** Serve `commands`, by name; an answer is what a command returns, or `{failed}`. */
export async function serve(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...given } = JSON.parse(line);
    let answer;
    try {
      answer = (await commands[name](given)) ?? {};
    } catch (error) {
      answer = { failed: `${name}: ${error.stack}` };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}
