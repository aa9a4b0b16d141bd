/** Usage as sums and as it happens: docs/usage.md. */

import { get } from './http.ts';

export const GROUPS = [
  'provider',
  'model',
  'use_case',
  'tier',
  'client',
  'outcome',
  'role',
] as const;

export type Group = (typeof GROUPS)[number];

/** What a sum holds; money as decimals, null where nothing of it is known. */
export interface Sum {
  attempts: number;
  input_tokens: number | null;
  output_tokens: number | null;
  cost_nano_usd: string | null;
  cost_usd: string | null;
  unknown_cost_attempts: number;
  estimated_attempts: number;
  hedge_attempts: number;
  hedge_cost_usd: string | null;
  saved_ms: number | null;
}

export type Row = Sum & Partial<Record<Group | 'hour' | 'day', string | null>>;

export interface Report {
  from: string | null;
  to: string | null;
  rows: Row[];
  total: Sum;
}

/** An address of sums from a moment on. */
export function address(from: Date | undefined, by: readonly string[], format?: 'csv'): string {
  const query = new URLSearchParams();
  if (from !== undefined) query.set('from', from.toISOString());
  if (by.length > 0) query.set('group_by', by.join(','));
  if (format !== undefined) query.set('format', format);
  return `/v1/usage?${query}`;
}

export function sums(from: Date | undefined, by: readonly string[], signal: AbortSignal): Promise<Report> {
  return get(address(from, by), signal);
}

/**
 * What everything would have cost on the dearest Claude, and what that saved; US dollars, null where
 * nobody knows. Savings are below 0 where that would have been cheaper.
 */
export interface Baseline {
  total_cost: number | null;
  requests: number;
  savings: number | null;
  baseline: number | null;
}

export function baseline(signal: AbortSignal): Promise<Baseline> {
  return get('/api/coordination/llm/cost-summary', signal);
}

/**
 * US dollars of nano-USD. Divided: that is the number nearest to the amount, which is written as the
 * decimal it is; times 1e-9 would be off by a digit.
 */
export function dollars(nano: number | null): number | null {
  return nano === null ? null : nano / 1e9;
}

/** One attempt, as the stream of usage tells it. */
export interface UsageEvent {
  id: string;
  time: string;
  data: {
    provider: string;
    model: string;
    role: string;
    outcome: string;
    use_case: string | null;
    usage: { input_tokens: number | null; output_tokens: number | null };
    cost_nano_usd: number | null;
    estimated: boolean;
  };
}
