/** What a question can be asked with, and the request that makes: POST /v1/streams in docs/. */

export const USE_CASES = [
  'conversation',
  'classification',
  'summarization',
  'analysis',
  'code_generation',
  'translation',
  'question_answering',
  'creative_writing',
  'data_extraction',
  'web_search',
  'long_context',
  'expert',
] as const;

export const TIERS = ['ultra_economy', 'economy', 'standard', 'premium', 'enterprise'] as const;

export const COMPLEXITIES = ['simple', 'moderate', 'complex', 'expert'] as const;

export const STRATEGIES = ['normal', 'hedge', 'race'] as const;

export const CARRIERS = ['sse', 'websocket'] as const;

export interface Choices {
  useCase: (typeof USE_CASES)[number];
  tier: (typeof TIERS)[number];
  /** Empty: as the use case has it. */
  complexity: (typeof COMPLEXITIES)[number] | '';
  strategy: (typeof STRATEGIES)[number];
  /** `<provider>/<model>`; empty: whoever is chosen. */
  model: string;
  carrier: (typeof CARRIERS)[number];
}

export const DEFAULTS: Choices = {
  useCase: 'conversation',
  tier: 'standard',
  complexity: '',
  strategy: 'normal',
  model: '',
  carrier: 'sse',
};

/** A message as the API takes it. */
export interface Message {
  role: 'user' | 'assistant';
  content: string;
}

/**
 * The body of POST /v1/streams. The headers leave at once (`open_early_ms` 0): the route is told as
 * it happens, before anybody has answered.
 */
export function request(messages: Message[], choices: Choices): Record<string, unknown> {
  return {
    messages,
    use_case: choices.useCase,
    // A pinned model is held to a tier's price only where one is named.
    ...(choices.model === '' ? { budget_tier: choices.tier } : { model: choices.model }),
    ...(choices.complexity === '' ? {} : { complexity: choices.complexity }),
    latency: choices.strategy,
    open_early_ms: 0,
  };
}

/** What was kept of an earlier visit, as far as it is still a choice. */
export function restored(kept: unknown): Choices {
  if (typeof kept !== 'object' || kept === null) return { ...DEFAULTS };
  const given = kept as Partial<Record<keyof Choices, unknown>>;
  return {
    useCase: among(USE_CASES, given.useCase) ?? DEFAULTS.useCase,
    tier: among(TIERS, given.tier) ?? DEFAULTS.tier,
    complexity: among(COMPLEXITIES, given.complexity) ?? '',
    strategy: among(STRATEGIES, given.strategy) ?? DEFAULTS.strategy,
    model: typeof given.model === 'string' ? given.model : '',
    carrier: among(CARRIERS, given.carrier) ?? DEFAULTS.carrier,
  };
}

function among<T extends string>(known: readonly T[], value: unknown): T | undefined {
  return known.find((one) => one === value);
}
