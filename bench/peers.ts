/** The programs that people use today, each started and stopped here, on loopback. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A running server. */
export interface Peer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

const startMs = 10_000;

/** Where a program is; undefined when it is not installed. */
export function find(program: string): string | undefined {
  // sshd and nginx are not on every user's PATH.
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => path.join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** An rsync daemon whose module `files` is the folder `served`. */
export async function startRsync(folder: string, served: string): Promise<Peer> {
  const config = path.join(folder, 'rsyncd.conf');
  const identity = process.getuid?.() === 0 ? 'uid = 0\ngid = 0\n' : '';
  const text = `use chroot = no\n${identity}[files]\npath = ${served}\nread only = no\n`;
  return await onFreePort('rsync', (port) => {
    writeFileSync(config, text);
    return [
      '--daemon',
      '--no-detach',
      `--config=${config}`,
      `--port=${port}`,
      '--address=127.0.0.1',
    ];
  });
}

/** nginx as a distribution sets it up, with sendfile, in one process. */
export async function startNginx(folder: string, served: string): Promise<Peer> {
  const config = path.join(folder, 'nginx.conf');
  return await onFreePort('nginx', (port) => {
    writeFileSync(
      config,
      `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
events {}
http {
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen 127.0.0.1:${port}; root ${served}; }
}
`,
    );
    return ['-p', folder, '-c', config];
  });
}

export interface SshPeer extends Peer {
  /** Options that let scp in. */
  readonly options: readonly string[];
}

export async function startSshd(folder: string): Promise<SshPeer> {
  const at = (name: string): string => path.join(folder, name);
  for (const name of ['host', 'user']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  }
  // Root's sshd drops its privileges into this folder, which packages make at the first start only.
  if (process.getuid?.() === 0 && !existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  const peer = await onFreePort('sshd', (port) => {
    writeFileSync(
      at('sshd_config'),
      `ListenAddress 127.0.0.1:${port}\nHostKey ${at('host')}\nAuthorizedKeysFile ${at('user.pub')}
PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n`,
    );
    return ['-D', '-e', '-f', at('sshd_config')];
  });
  const knownHosts = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes'];
  const options = knownHosts.flatMap((option) => ['-o', option]);
  return { ...peer, options: ['-q', '-i', at('user'), '-P', String(peer.port), ...options] };
}

export async function startIperf(): Promise<Peer> {
  return await onFreePort('iperf3', (port) => ['-s', '-B', '127.0.0.1', '-p', String(port)]);
}

export async function startRclone(served: string): Promise<Peer> {
  return await onFreePort('rclone', (port) => [
    'serve',
    'webdav',
    served,
    '--addr',
    `127.0.0.1:${port}`,
    '--config',
    '/dev/null',
  ]);
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a server on a port that was free a moment ago, again on another if somebody took it. */
async function onFreePort(program: string, args: (port: number) => string[]): Promise<Peer> {
  const file = find(program);
  if (file === undefined) throw new Error(`${program} is not installed.`);
  for (let tries = 1; ; tries += 1) {
    const port = await freePort();
    const child = spawn(file, args(port), { stdio: ['ignore', 'ignore', 'pipe'] });
    running.add(child);
    let complaints = '';
    child.stderr.on('data', (bytes: Buffer) => {
      complaints = (complaints + bytes.toString()).slice(-2_000);
    });
    const closed = once(child, 'close').then(() => running.delete(child));
    if (await answers(port, child)) {
      const stop = async (): Promise<void> => {
        child.kill();
        await closed;
      };
      return { pid: child.pid as number, port, stop };
    }
    child.kill('SIGKILL');
    if (tries === 3) throw new Error(`${program} does not start: ${complaints.trim()}`);
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether somebody listens there before `child` ends. */
async function answers(port: number, child: ChildProcess): Promise<boolean> {
  const untilMs = performance.now() + startMs;
  while (child.exitCode === null && performance.now() < untilMs) {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return true;
    await sleep(20);
  }
  return false;
}
