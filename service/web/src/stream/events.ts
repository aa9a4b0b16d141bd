/**
 * The events of a stream, as far as this app reads them: docs/streams.md, /v1/schema.json.
 *
 * Fields and types that are not named here are passed over, as the schema asks of its readers.
 */

import type { Problem } from '../api/problem.ts';

export type Status = 'completed' | 'incomplete' | 'failed' | 'cancelled';

export type Outcome =
  | 'completed'
  | 'lost_race'
  | 'failed'
  | 'cancelled'
  | 'superseded'
  | 'timeout';

export type Role = 'primary' | 'hedge' | 'race' | 'fallback' | 'continuation';

export type Kind =
  | 'text'
  | 'reasoning'
  | 'refusal'
  | 'tool_call'
  | 'file'
  | 'server_tool'
  | 'raw';

/** Token counts; null is unknown, which is not 0. */
export interface Usage {
  input: number | null;
  input_cached: number | null;
  output: number | null;
  output_reasoning: number | null;
  total: number | null;
  /** US dollars, as a decimal. */
  cost_usd?: string;
  source: 'provider' | 'counted' | 'estimated' | 'none';
}

export interface Substitution {
  provider: string;
  model: string;
  kinship: string;
}

export interface Candidate {
  provider: string;
  model: string;
  cost_usd?: string;
  ttft_ms?: number;
  substitutes?: Substitution;
}

export interface Passed {
  provider: string;
  model?: string;
  reason: string;
  detail?: string;
}

export interface Citation {
  id: string;
  kind: string;
  url?: string;
  title?: string;
  quote?: string;
}

export interface SnapshotBlock {
  block: string;
  kind: Kind;
  text?: string;
  args?: string;
  call_id?: string;
  name?: string;
  done?: boolean;
}

interface Envelope {
  stream: string;
  /** Missing on what is for one connection only. */
  seq?: number;
  /** Unix milliseconds; a label. */
  ts?: number;
}

type Delta = 'text.delta' | 'reasoning.delta' | 'refusal.delta' | 'tool.delta';

export type StreamEvent = Envelope &
  (
    | { type: 'stream.start'; request_id: string; created_at: number; model_requested: string }
    | {
        type: 'route.plan';
        strategy: 'single' | 'fallback' | 'hedge' | 'race';
        policy: string;
        candidates: Candidate[];
        hedge_after_ms?: number;
        max_attempts: number;
        skipped?: Passed[];
        use_case?: string;
        budget_tier?: string;
        cap_usd?: string;
        preset?: string;
      }
    | {
        type: 'attempt.start';
        attempt: number;
        provider: string;
        model: string;
        role: Role;
        after_ms: number;
        replaces?: number;
        substitutes?: Substitution;
      }
    | {
        type: 'attempt.commit';
        attempt: number;
        reason: string;
        ttft_ms: number;
        model_actual?: string;
      }
    | { type: 'attempt.end'; attempt: number; outcome: Outcome; error?: Problem; usage?: Usage }
    | {
        type: 'failover';
        from: number;
        to: number;
        mode: 'continue' | 'restart';
        drop?: string[];
        error: Problem;
      }
    | {
        type: 'block.start';
        block: string;
        index: number;
        attempt: number;
        kind: Kind;
        call_id?: string;
        name?: string;
        media_type?: string;
      }
    | { type: 'file.delta'; block: string; data?: string; offset?: number; url?: string }
    | { type: Delta; block: string; delta: string }
    | { type: 'block.end'; block: string; status: 'complete' | 'incomplete'; args?: string }
    | { type: 'citation.add'; block?: string; citation: Citation }
    | {
        type: 'server_tool.update';
        block: string;
        status: 'running' | 'done' | 'failed';
        name: string;
        input?: unknown;
        result?: unknown;
      }
    | { type: 'usage.update'; attempt?: number; usage: Usage }
    | { type: 'warning'; code: string; message: string; field?: string }
    | {
        type: 'safety.flag';
        where: 'input' | 'output';
        provider: string;
        category?: string;
        action: 'blocked' | 'annotated';
      }
    | {
        type: 'stream.end';
        status: Status;
        finish: string;
        provider: string | null;
        model: string | null;
        usage: Usage;
        usage_total: Usage;
        error?: Problem;
        timing: { queued_ms: number; ttft_ms: number | null; total_ms: number; tokens_per_s?: number };
        attempts: { attempt: number; outcome: Outcome; usage?: Usage; error?: Problem }[];
      }
    | { type: 'stream.snapshot'; as_of: number; blocks: SnapshotBlock[]; attempt?: number }
    | { type: 'notice'; code: string; reconnect_after_ms?: number }
  );

/** One member of the union. */
export type EventOf<T extends StreamEvent['type']> = Extract<StreamEvent, { type: T }>;
