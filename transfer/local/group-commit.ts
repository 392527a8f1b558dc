/** Commits that arrive while a round of syncs runs form the next round: no timer, no waiting. */
import type { TransferError } from '../../protocol/errors.ts';
import type { CommitRequest } from './partials.ts';

interface Waiting {
  readonly request: CommitRequest;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit {
  readonly #run: (requests: readonly CommitRequest[]) => Promise<(TransferError | undefined)[]>;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  /** `run` commits one round and gives what went wrong with each request. */
  constructor(run: (requests: readonly CommitRequest[]) => Promise<(TransferError | undefined)[]>) {
    this.#run = run;
  }

  commit(request: CommitRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      this.#running ??= this.#runAll();
    });
  }

  /** Settles when nothing is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const round = this.#waiting;
      this.#waiting = [];
      try {
        const failures = await this.#run(round.map(({ request }) => request));
        for (const [index, { resolve, reject }] of round.entries()) {
          const failure = failures[index];
          if (failure === undefined) resolve();
          else reject(failure);
        }
      } catch (error) {
        for (const { reject } of round) reject(error);
      }
    }
    this.#running = undefined;
  }
}
