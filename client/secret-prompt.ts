/** Reads one line that nobody else should see. */
import { createInterface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';
import { FerryError } from '../protocol/errors.ts';

const longestLine = 4_096;

/** Asks at a terminal, without echo; else takes the first line of `input`. Throws FerryError. */
export async function readSecret(
  input: Readable,
  output: { write(text: string): unknown },
  prompt: string,
): Promise<string> {
  const terminal = (input as { isTTY?: boolean }).isTTY === true;
  const silent = new Writable({ write: (_bytes, _encoding, done) => done() });
  const lines = createInterface({ input, output: silent, terminal });
  // Only now the terminal echoes nothing: whoever pastes at once must not see it either.
  if (terminal) output.write(prompt);
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', (line) => resolve(line.slice(0, longestLine)));
      lines.once('close', () => reject(new FerryError('usage', 'No line came on stdin.')));
      lines.once('SIGINT', () => reject(new FerryError('interrupted', 'Interrupted.')));
    });
  } finally {
    lines.close();
    if (terminal) output.write('\n');
  }
}
