import test from 'ava';
import {
  codeToError,
  errorToCode,
  type FailureName,
  FerryError,
  failures,
  ProtocolError,
  TransferError,
} from '../../protocol/errors.ts';
import { quoted, table } from './helpers/doc.ts';

const names = Object.keys(failures) as FailureName[];

test('codes are unique and fit their field', (t) => {
  const codes = names.map((name) => failures[name].code);
  t.is(new Set<number>(codes).size, codes.length);
  t.true(codes.every((code) => code >= 1 && code <= 0xffff));
});

test('codes travel there and back; findings of the client travel as internal', (t) => {
  for (const name of names) {
    const travels = failures[name].code < 100;
    t.is(codeToError(errorToCode(name)), travels ? name : 'internal', name);
    t.is(codeToError(failures[name].code), travels ? name : 'internal', name);
  }
  for (const code of [0, 8, 99, 100, 109, 0xffff]) t.is(codeToError(code), 'internal');
});

test('errors know their class, exit code and cause', (t) => {
  const cause = new Error('inner');
  const error = new TransferError('no-space', 'The disk is full.', { cause });
  t.true(error instanceof FerryError);
  t.false(error instanceof ProtocolError);
  t.is(error.name, 'TransferError');
  t.is(error.exitCode, 8);
  t.false(error.retryable);
  t.is(error.cause, cause);
  t.true(new ProtocolError('corrupt', 'Damaged.').retryable);
});

test('exit codes are those of a program that failed', (t) => {
  for (const name of names) {
    t.true(failures[name].exit >= 1 && failures[name].exit <= 143, name);
  }
});

test('the errors of the specification are those of the code', (t) => {
  const documented = table('Errors').map((row) => [
    quoted(row.get('Name') ?? '')[0],
    {
      code: Number(row.get('Code')),
      exit: Number(row.get('Exit')),
      retryable: row.get('Retryable') === 'yes',
    },
  ]);
  t.deepEqual(documented, Object.entries(failures));
});
