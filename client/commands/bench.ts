/** `ferry bench`. */
import { resolve } from 'node:path';
import { Argument, type Command } from 'commander';
import { FerryError } from '../../protocol/errors.ts';
import { limits } from '../../protocol/limits.ts';
import type { FerryEvent } from '../events.ts';
import type { Report } from '../measure/report-file.ts';
import { type BenchMode, type BenchSettings, benchModes, directions } from '../measure/settings.ts';
import { remoteText, requireRemote } from '../remote.ts';
import type { Outputs, Renderer, View } from '../render.ts';
import {
  addConnectOptions,
  addViewOptions,
  connectOptions,
  option,
  type ParsedConnect,
  type ParsedView,
  viewOf,
} from './options.ts';
import { writtenOut } from './paired-words.ts';
import { perform, type Task } from './perform.ts';
import type { Outcome, Shell } from './shell.ts';
import { parseCount, parseDuration, parseRate, parseSize, parseTimeout } from './values.ts';

const examples = `
Modes:
  net         memory to memory: what network and processors carry
  disk-write  to the receiver's disk, every fsync counted; nothing is kept
  disk-read   from the sender's disk; what is read is written there first
  hash        checksums alone, at both ends, without a transfer
  e2e         files that are uploaded and stored (or downloaded), then removed

Examples:
  ferry bench net nas:                          up, for 10 s, and what held it back
  ferry bench net nas: --direction both --connections 4
  ferry bench disk-write nas:backup --bytes 20G
  ferry bench net nas: --json --min-rate 100M   exit 28 when it is slower
  ferry bench net nas: --report report.html     a page with charts`;

const mostClients = 256;
const mostConnections = 64;

interface Parsed extends ParsedView, ParsedConnect {
  direction?: (typeof directions)[number] | 'both';
  connections: number;
  clients: number;
  duration?: number;
  bytes?: number;
  chunk: number;
  bytesPerWrite?: number;
  rate?: number;
  omit: number;
  interval: number;
  checksum: boolean;
  folder: string;
  minRate?: number;
  csv?: true;
  report?: string;
}

export function addBench(program: Command, shell: Shell, outcome: Outcome): void {
  const command = program
    .command('bench')
    .description('measure what network, disks and processors carry, and what holds them back')
    .addArgument(new Argument('<mode>', 'what to measure').choices(benchModes))
    .argument('<remote>', 'the daemon; for disk-write, disk-read and e2e a folder on it')
    .addHelpText('after', examples);
  addLoadOptions(command);
  addReportOptions(command);
  addViewOptions(addConnectOptions(command));
  command.action(async (mode: BenchMode, remote: string, parsed: Parsed) => {
    const view: View = {
      ...viewOf(parsed, { summary: 'none' }),
      ...(parsed.json === true ? {} : { create: (outputs) => createRenderer(outputs, parsed) }),
    };
    outcome.exitCode = await perform(shell, 'bench', view, async () => {
      const [there = ''] = await writtenOut(shell, [remote]);
      return await prepare(shell, mode, there, parsed);
    });
  });
}

function addLoadOptions(command: Command): Command {
  return command
    .addOption(
      option('--direction <which>', 'up, down or both (default: up; of hash both)').choices([
        ...directions,
        'both',
      ]),
    )
    .addOption(
      option('--connections <n>', 'connections of each client')
        .argParser(parseCount(1, mostConnections))
        .default(1, '1'),
    )
    .addOption(
      option('--clients <n>', 'clients at once, in as many threads as there are processors')
        .argParser(parseCount(1, mostClients))
        .default(1, '1'),
    )
    .addOption(
      option('--duration <time>', 'time to measure (default: 10s)')
        .argParser(parseTimeout)
        .conflicts('bytes'),
    )
    .addOption(
      option('--bytes <size>', 'content of each direction, in place of a time').argParser(
        parseSize,
      ),
    )
    .addOption(
      option('--chunk <size>', 'bytes of a chunk, 1k to 4M')
        .argParser(parseSize)
        .default(limits.fileChunkBytes, '64k'),
    )
    .addOption(
      option(
        '--bytes-per-write <size>',
        'bytes handed to the socket or disk at a time (default: as for files)',
      ).argParser(parseSize),
    )
    .addOption(
      option('--rate <rate>', 'offered load of each direction: 500k, 2M, 1G').argParser(parseRate),
    )
    .addOption(
      option('--omit <time>', 'warm-up that does not count')
        .argParser(parseDuration)
        .default(0, '0s'),
    )
    .addOption(option('--no-checksum', 'leave chunk checksums out, to see what they cost'))
    .addOption(
      option('--folder <path>', 'local folder whose disk is measured').default(
        '.',
        'the current one',
      ),
    );
}

function addReportOptions(command: Command): Command {
  return command
    .addOption(
      option('--interval <time>', 'between two lines of the report')
        .argParser(parseTimeout)
        .default(1000, '1s'),
    )
    .addOption(
      option('--min-rate <rate>', 'a slower result is a failure (exit 28)').argParser(parseRate),
    )
    .addOption(option('--csv', 'comma-separated values').conflicts('json'))
    .addOption(option('--report <file>', 'write one HTML page with charts'));
}

async function createRenderer(outputs: Outputs, parsed: Parsed): Promise<Renderer> {
  if (parsed.csv === true) {
    const { BenchCsvRenderer } = await import('../measure/render-csv.ts');
    return new BenchCsvRenderer(outputs);
  }
  const { BenchTextRenderer } = await import('../measure/render-text.ts');
  const { quiet = false, verbose = false } = parsed;
  return new BenchTextRenderer(outputs, { quiet, verbose });
}

async function prepare(
  shell: Shell,
  mode: BenchMode,
  there: string,
  parsed: Parsed,
): Promise<Task> {
  const remote = requireRemote(there);
  const settings = settingsOf(shell, mode, remote.path, parsed);
  const report = parsed.report === undefined ? undefined : await newReport(shell, parsed.report);
  const { shownSettings } = await import('../measure/summary.ts');
  return {
    remote,
    connect: connectOptions(parsed),
    settings: { ...shownSettings(settings), report: parsed.report ?? null },
    stopsItself: true,
    resumes: false,
    async *run(ferry, signal) {
      const events: FerryEvent[] = [];
      for await (const event of ferry.bench(settings, shell.cpuUs, signal)) {
        events.push(event);
        if (event.type === 'summary') await report?.write(events, remoteText(remote));
        yield event;
      }
    },
  };
}

async function newReport(shell: Shell, path: string): Promise<Report> {
  const { openReport } = await import('../measure/report-file.ts');
  return await openReport(shell.folder, path);
}

function settingsOf(shell: Shell, mode: BenchMode, path: string, parsed: Parsed): BenchSettings {
  const { chunk: chunkBytes, bytesPerWrite: writeBytes, bytes } = parsed;
  if (chunkBytes < limits.chunkBytesMin || chunkBytes > limits.chunkBytesMax) {
    throw new FerryError('usage', 'A chunk has from 1k to 4M bytes (--chunk).');
  }
  if (writeBytes !== undefined && (writeBytes < chunkBytes || writeBytes > mostWriteBytes)) {
    throw new FerryError(
      'usage',
      'A write has at least a chunk, and at most 16M (--bytes-per-write).',
    );
  }
  if (mode === 'e2e' && (!parsed.checksum || chunkBytes !== limits.fileChunkBytes)) {
    throw new FerryError(
      'usage',
      'e2e moves files as they always move: leave --chunk and --no-checksum out.',
    );
  }
  const asked = parsed.direction ?? (mode === 'hash' ? 'both' : 'up');
  const omitMs = Math.round(parsed.omit);
  const isUnlimited = parsed.rate === undefined || parsed.rate === 0;
  return {
    mode,
    directions: asked === 'both' ? directions : [asked],
    path,
    folder: resolve(shell.folder, parsed.folder),
    clients: parsed.clients,
    connections: parsed.connections,
    durationMs: bytes === undefined ? (parsed.duration ?? usualDurationMs) : undefined,
    bytes,
    chunkBytes,
    writeBytes,
    bytesPerSecond: isUnlimited ? undefined : parsed.rate,
    omitMs,
    intervalMs: parsed.interval,
    checksums: parsed.checksum,
    minBytesPerSecond: parsed.minRate === 0 ? undefined : parsed.minRate,
  };
}

const usualDurationMs = 10_000;
const mostWriteBytes = 16 * 1024 * 1024;
