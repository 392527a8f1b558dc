/** What the daemon did so far, as plain numbers: cheap to keep, whether somebody asks or not. */
import type { FailureName } from '../protocol/errors.ts';
import type { Frame } from '../protocol/frames.ts';
import type { Traffic } from '../transfer/request.ts';

/** Why somebody was not let in; `pending`: gave way to others before it proved a token. */
type Refusal = 'address' | 'token' | 'connections' | 'pending';

export type Result = 'ok' | FailureName;

export class Counts {
  connections = 0;
  readonly refused: Record<Refusal, number> = { address: 0, token: 0, connections: 0, pending: 0 };
  readonly traffic: Traffic = { receivedBytes: 0, sentBytes: 0 };
  /** Requests that have come to their end; of few kinds, whatever peers say. */
  readonly requests = new Map<Frame['type'], Map<Result, number>>();

  /** Hears how long it took to bring content to disk under its name. */
  onCommitted: (seconds: number) => void = () => undefined;

  ended(request: Frame['type'], result: Result): void {
    const results = this.requests.get(request) ?? new Map<Result, number>();
    results.set(result, (results.get(result) ?? 0) + 1);
    this.requests.set(request, results);
  }
}
