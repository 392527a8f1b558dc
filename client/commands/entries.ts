/** `ferry ls` and `ferry stat`. */
import type { Command } from 'commander';
import type { Entry } from '../../protocol/entry.ts';
import { FerryError } from '../../protocol/errors.ts';
import { parentAndName } from '../../protocol/paths.ts';
import type { EntryEvent, FerryEvent } from '../events.ts';
import type { Ferry } from '../ferry.ts';
import { requireRemote } from '../remote.ts';
import { nameText } from '../render-names.ts';
import { bytesText, localTimeText, modeText, timestamp } from '../render-units.ts';
import {
  addConnectOptions,
  addViewOptions,
  askingOptions,
  option,
  type ParsedConnect,
  type ParsedView,
  viewOf,
} from './options.ts';
import { writtenOut } from './paired-words.ts';
import { perform } from './perform.ts';
import type { Outcome, Shell } from './shell.ts';
import { emptySummary } from './summary.ts';

type Parsed = ParsedView & ParsedConnect;
type ParsedList = Parsed & { long?: true; recursive?: true; print0?: true };

export function addList(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('ls')
    .description('list a folder, or one file; without a remote, the daemons that are paired')
    .argument('[remote]', 'the folder')
    .addOption(option('-l, --long', 'mode, size and time before each name'))
    .addOption(option('-R, --recursive', 'everything below, too'))
    .addOption(
      option('-0, --print0', 'bare names, each ended by a NUL').conflicts(['long', 'json']),
    );
  addViewOptions(addConnectOptions(command));
  command.action(async (text: string | undefined, parsed: ParsedList) => {
    if (text === undefined) {
      const { listPaired } = await import('./pair.ts');
      outcome.exitCode = await listPaired(shell, parsed.json ?? false);
      return;
    }
    const entryText =
      parsed.print0 === true ? rawName : parsed.long === true ? longLine : shortLine;
    const view = viewOf(parsed, { summary: 'none', entryText });
    outcome.exitCode = await perform(shell, 'ls', view, async () => {
      const [word = ''] = await writtenOut(shell, [text]);
      const remote = requireRemote(word);
      const recursive = parsed.recursive ?? false;
      return {
        remote,
        connect: askingOptions(parsed),
        settings: { recursive },
        stopsItself: false,
        resumes: false,
        run: (ferry) => listEvents(ferry, remote.path, recursive),
      };
    });
  });
}

export function addStat(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('stat')
    .description('show what is known of one file or folder')
    .argument('<remote>', 'the file or folder');
  addViewOptions(addConnectOptions(command));
  command.action(async (text: string, parsed: Parsed) => {
    const view = viewOf(parsed, { summary: 'none', entryText: description });
    outcome.exitCode = await perform(shell, 'stat', view, async () => {
      const [word = ''] = await writtenOut(shell, [text]);
      const remote = requireRemote(word);
      return {
        remote,
        connect: askingOptions(parsed),
        settings: {},
        stopsItself: false,
        resumes: false,
        run: (ferry) => statEvents(ferry, remote.path),
      };
    });
  });
}

/** Sorted in memory up to here; a longer listing comes as the daemon tells it. */
const sortedEntries = 100_000;
/** After so many, more are likely to come: millions would let the room for new objects grow at once. */
const manyEntries = 1_000;
const failedNamesShown = 100;

async function* listEvents(
  ferry: Ferry,
  path: string,
  recursive: boolean,
): AsyncGenerator<FerryEvent> {
  const startedAtMs = performance.now();
  const counts = { files: 0, directories: 0, bytes: 0, failed: 0 };
  const failedNames: string[] = [];
  for await (const entry of sorted(entriesOf(ferry, path, recursive))) {
    if (entry.kind === 'directory') counts.directories += 1;
    if (entry.kind === 'file') counts.files += 1;
    counts.bytes += entry.size;
    yield entryEvent(entry, entry.path);
    if (entry.kind !== 'unreadable') continue;
    counts.failed += 1;
    if (failedNames.length < failedNamesShown) failedNames.push(nameText(entry.path));
    const message = 'It cannot be read by the daemon, or its name is not UTF-8.';
    yield { type: 'error', failure: 'some-failed', message, exitCode: 23, path: entry.path };
  }
  const exitCode = counts.failed > 0 ? new FerryError('some-failed', '').exitCode : 0;
  yield { ...emptySummary(startedAtMs, exitCode), ...counts, failedNames };
}

/** A file is listed as itself. */
async function* entriesOf(ferry: Ferry, path: string, recursive: boolean): AsyncGenerator<Entry> {
  let listed = false;
  try {
    for await (const entry of ferry.list(path, { recursive })) {
      listed = true;
      yield entry;
    }
  } catch (error) {
    const isFile = error instanceof FerryError && error.failure === 'wrong-kind' && !listed;
    if (!isFile) throw error;
    yield { ...(await ferry.stat(path)), path: parentAndName(path).name };
  }
}

/** A short listing needs no part of V8 for it. */
async function keepNewSpaceSmall(): Promise<void> {
  (await import('../../transfer/local/new-space.ts')).keepNewSpaceSmall();
}

async function* sorted(entries: AsyncIterable<Entry>): AsyncGenerator<Entry> {
  const held: Entry[] = [];
  let isLong = false;
  for await (const entry of entries) {
    if (isLong) yield entry;
    else held.push(entry);
    if (held.length === manyEntries) await keepNewSpaceSmall();
    if (held.length < sortedEntries) continue;
    isLong = true;
    yield* held.splice(0);
  }
  yield* held.sort(byPath);
}

/** Component by component, so that a folder stands before what it holds. */
function byPath(a: Entry, b: Entry): number {
  const [left, right] = [a.path.replaceAll('/', '\0'), b.path.replaceAll('/', '\0')];
  return left < right ? -1 : left > right ? 1 : 0;
}

async function* statEvents(ferry: Ferry, path: string): AsyncGenerator<FerryEvent> {
  const startedAtMs = performance.now();
  const entry = await ferry.stat(path);
  yield entryEvent(entry, path);
  const counts = {
    files: entry.kind === 'file' ? 1 : 0,
    directories: entry.kind === 'directory' ? 1 : 0,
    bytes: entry.size,
  };
  yield { ...emptySummary(startedAtMs, 0), ...counts };
}

function entryEvent({ kind, size, mtimeNs, mode, contentType }: Entry, path: string): EntryEvent {
  return { type: 'entry', path, kind, size, mtime: timestamp(mtimeNs), mode, contentType };
}

function rawName({ path }: EntryEvent): string {
  return `${path}\0`;
}

function shortLine({ path, kind }: EntryEvent): string {
  return `${nameText(path)}${kind === 'directory' ? '/' : ''}\n`;
}

const sizeColumns = 14;

function longLine(event: EntryEvent): string {
  const { kind, mode, size, mtime } = event;
  const facts = [modeText(kind, mode), String(size).padStart(sizeColumns), localTimeText(mtime)];
  return `${facts.join(' ')} ${shortLine(event)}`;
}

function description({ path, kind, size, mtime, mode, contentType }: EntryEvent): string {
  const lines = [
    `path      /${nameText(path)}`,
    `kind      ${kind}`,
    ...(kind === 'file' ? [`size      ${size} (${bytesText(size)})`] : []),
    `modified  ${mtime} (${localTimeText(mtime)} here)`,
    `mode      ${mode.toString(8).padStart(4, '0')} (${modeText(kind, mode)})`,
    ...(contentType === '' ? [] : [`content   ${nameText(contentType)}`]),
  ];
  return `${lines.join('\n')}\n`;
}
