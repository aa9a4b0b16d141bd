/** Providers as GET /v1/providers tells them: docs/providers-admin.md. */

import { get, send } from './http.ts';

export type State = 'active' | 'degraded' | 'inactive' | 'disabled' | 'retired';

export interface Breaker {
  state: 'closed' | 'slow' | 'open' | 'cooling' | 'disabled';
  cause: string | null;
  over_in_ms: number | null;
}

export interface Model {
  id: string;
  alias: string | null;
  context: number | null;
  max_output: number | null;
  capabilities: { images: boolean; tools: boolean; reasoning: 'none' | 'optional' | 'always' };
  price: {
    /** US dollars for a million tokens, as decimals. */
    usd_per_million: { input: string | null; output: string | null; cached: string | null };
    source: string;
  } | null;
  /** Null where the provider is not asked. */
  breaker: Breaker | null;
}

export interface Limit {
  limit: number | null;
  used: number;
  left: number | null;
  /** Until nothing of it is used any more. */
  full_in_ms: number | null;
}

/** What a provider said of one of its own limits. */
export interface Said {
  limit: number | null;
  remaining: number | null;
  reset_ms: number | null;
}

/** The limits that can be set, as PATCH names them. */
export const LIMITS = ['requests_per_minute', 'tokens_per_minute', 'concurrent_streams'] as const;

export type LimitName = (typeof LIMITS)[number];

export type Limits = Record<LimitName, Limit> & {
  shared: boolean;
  provider_says: Record<string, Record<string, Said>>;
};

export interface Provider {
  name: string;
  title: string;
  state: State;
  reason: string | null;
  models: Model[];
  limits: Limits;
}

export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
  count: number;
}

export interface Figures {
  attempts: number;
  outcomes: Record<string, number>;
  error_rate: number | null;
  errors: Record<string, { count: number }>;
  /** Null before anything was measured. */
  first_token_ms: Percentiles | null;
  inter_token_ms: Percentiles | null;
  hedges: { won: number; lost: number };
  cost_usd: string | null;
  unknown_cost_attempts: number;
}

export interface Stats {
  window_ms: number;
  total: Figures;
  models: (Figures & { id: string; breaker: Breaker })[];
}

/** What a test said of a provider. */
export interface Tested {
  success: boolean;
  provider: string;
  model: string;
  latency_ms: number;
  ttft_ms: number | null;
  error?: string;
}

export type Change = Partial<Record<LimitName, number | null> & { enabled: boolean }>;

export async function providers(signal?: AbortSignal): Promise<Provider[]> {
  return (await get<{ providers: Provider[] }>('/v1/providers', signal)).providers;
}

export function stats(name: string, signal?: AbortSignal): Promise<Stats> {
  return get(`/v1/providers/${encodeURIComponent(name)}/stats`, signal);
}

/** Change a provider; what it is then. Throws Refused naming the field. */
export function change(name: string, changed: Change): Promise<Provider> {
  return send('PATCH', `/v1/providers/${encodeURIComponent(name)}`, changed);
}

/** Milliseconds: the service gives a provider a minute, and then says that it took too long. */
const TESTING = 65_000;

/** A short real request to one provider. */
export function test(name: string): Promise<Tested> {
  return send('POST', '/api/coordination/llm/test', { provider: name }, { patience: TESTING });
}
