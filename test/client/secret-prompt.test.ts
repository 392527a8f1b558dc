import { PassThrough } from 'node:stream';
import test from 'ava';
import { readSecret } from '../../client/secret-prompt.ts';

/** A terminal echoes what is typed until it is raw. */
class Terminal extends PassThrough {
  readonly isTTY = true;
  isRaw = false;
  readonly shown: string[] = [];

  setRawMode(isRaw: boolean): void {
    this.isRaw = isRaw;
  }

  type(text: string): void {
    if (!this.isRaw) this.shown.push(text);
    setImmediate(() => this.write(text));
  }
}

test('what is pasted the moment the prompt stands is not shown', async (t) => {
  const terminal = new Terminal();
  const output = {
    write(text: string): void {
      terminal.shown.push(text);
      if (text === 'Secret: ') terminal.type('hidden\r');
    },
  };
  t.is(await readSecret(terminal, output, 'Secret: '), 'hidden');
  t.deepEqual(terminal.shown, ['Secret: ', '\n']);
  t.false(terminal.isRaw, 'the terminal is given back as it was');
});

test('without a terminal nothing is asked, and the first line counts', async (t) => {
  const input = new PassThrough();
  const said: string[] = [];
  input.end('first\nsecond\n');
  t.is(await readSecret(input, { write: (text) => said.push(text) }, 'Secret: '), 'first');
  t.deepEqual(said, []);
});

test('an end without a line is told', async (t) => {
  const input = new PassThrough();
  input.end();
  const error = await t.throwsAsync(readSecret(input, { write: () => undefined }, 'Secret: '));
  t.like(error, { failure: 'usage', message: 'No line came on stdin.' });
});
