// The AI SDK's `streamText` through one of its providers.
//
//   node stream_text.mjs
//
// Commands: connect {kind, url} through openai-compatible, anthropic or open-responses; ask {model,
// tools?} streams to the end and answers with what came; start {model} streams on and answers with
// the first text; cancel aborts that and answers with how it ended.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { serve } from './remote.mjs';

const name = 'tailrace';
const apiKey = 'test-key-client';

const providers = {
  'openai-compatible': url =>
    createOpenAICompatible({ name, baseURL: `${url}/v1`, apiKey, includeUsage: true }),
  anthropic: url => createAnthropic({ baseURL: `${url}/v1`, apiKey }),
  'open-responses': url => createOpenResponses({ name, url: `${url}/v1/responses`, apiKey }),
};

const tools = {
  weather: tool({
    description: 'The weather in a city.',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `rain in ${city}`,
  }),
};

// A client of the Messages API is shown no thoughts that it did not ask for.
const providerOptions = { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } };

function asked(model, options) {
  return streamText({
    model: provider(model),
    prompt: 'Say hello.',
    maxRetries: 0,
    onError: () => {},
    ...options,
  });
}

/** The rest of a stream's parts, folded. */
async function folded(parts, seen = { text: '', reasoning: '', errors: [], calls: [] }) {
  for await (const part of parts) {
    if (part.type === 'text-delta') seen.text += part.text;
    if (part.type === 'reasoning-delta') seen.reasoning += part.text;
    if (part.type === 'error') seen.errors.push(String(part.error?.message ?? part.error));
    if (part.type === 'tool-call') seen.calls.push([part.toolName, part.input]);
    if (part.type === 'abort') seen.aborted = true;
    if (part.type === 'finish') {
      seen.finish = part.finishReason;
      seen.tokens = part.totalUsage.totalTokens;
    }
  }
  return seen;
}

let provider, controller, running;

await serve({
  connect({ kind, url }) {
    provider = providers[kind](url);
  },
  ask: ({ model, withTools = false }) =>
    folded(asked(model, withTools ? { tools, stopWhen: isStepCount(2) } : { providerOptions }).stream),
  async start({ model }) {
    controller = new AbortController();
    const parts = asked(model, { abortSignal: controller.signal }).stream[Symbol.asyncIterator]();
    const seen = { text: '', reasoning: '', errors: [], calls: [] };
    while (seen.text === '') {
      const { value } = await parts.next();
      if (value.type === 'text-delta') seen.text += value.text;
    }
    running = folded({ [Symbol.asyncIterator]: () => parts }, seen);
    return { text: seen.text };
  },
  cancel() {
    controller.abort();
    return running;
  },
});
