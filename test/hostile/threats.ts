/**
 * The attacks and faults that this project stands, by class, each with the cases that play it: a test
 * file and a part of a title in it. threats.test.ts checks that every one is there.
 */
export interface Threat {
  readonly line: string;
  /** `file: part of a title`, the file below test/ without `.test.ts`. */
  readonly cases: readonly string[];
}

export const threats: Readonly<Record<string, readonly Threat[]>> = {
  'Framing and state': [
    {
      line: 'Megabytes after what ended the connection, in one write with it',
      cases: ['hostile/after-end: a peer that goes on after its end is not heard'],
    },
    {
      line: 'Records under TLS that nobody can decrypt, and megabytes behind them',
      cases: [
        'hostile/after-end: what TLS cannot read ends the connection at once, and is not kept',
      ],
    },
    {
      line: 'Random bytes, a TLS hello on the plain port, an HTTP GET',
      cases: ['hostile/framing: random bytes, a TLS hello on the plain port, an HTTP GET'],
    },
    {
      line: 'Unknown version; unknown feature bits',
      cases: [
        'hostile/framing: an unknown version is answered with the supported range',
        'hostile/framing: unknown features and limits are ignored',
      ],
    },
    {
      line: 'Length 0xFFFFFFFF, max + 1; max, max - 1, 0, 1',
      cases: [
        'hostile/framing: lengths beyond a limit are refused by the header alone',
        'hostile/framing: lengths up to the limit are taken for what they hold',
        'hostile/framing: a chunk of the greatest size is stored',
      ],
    },
    {
      line: '64-bit sizes and indexes at 2^53, 2^63, 2^64 - 1',
      cases: ['hostile/framing: sizes and indexes from 2^53 on are refused'],
    },
    {
      line: 'A valid session cut at every byte, then FIN or RST; one byte a packet; all in one write',
      cases: [
        'hostile/session: a valid session cut at every byte',
        'hostile/session: the greeting cut at every byte',
        'hostile/session: one byte a packet and all in one write',
      ],
    },
    {
      line: 'Every state × frame type pair that the table does not allow',
      cases: [
        'hostile/conversation: what is not in the table ends the connection',
        'hostile/conversation: every state was met',
      ],
    },
    {
      line: 'A wrong checksum three times, a duplicate, past the end, short, a byte too long',
      cases: [
        'hostile/session: a damaged chunk is asked for again, alone, at most three times',
        'hostile/session: duplicates are dropped',
        'hostile/session: chunks past the end, short in the middle, a byte too long',
        'hostile/session: pages: chunks of the wrong place or size',
      ],
    },
    {
      line: 'A reader that never reads its replies',
      cases: [
        'daemon/serve: a listing nobody reads stops at the window',
        'hostile/limits: replyQueueBytes: who asks and never reads is closed',
        'hostile/progress: a download that nobody reads ends',
        'hostile/exhaustion: who asks without end and never reads the answers is cut off',
        'hostile/exhaustion: pageBytes: listings that nobody reads are not read from the disk either',
      ],
    },
    {
      line: 'Sizes 0, 1, 65,535, 65,536, 65,537, up and down',
      cases: [
        'hostile/framing: files of sizes around a chunk',
        'system/names: sizes around a chunk and a segment',
      ],
    },
  ],
  Paths: [
    {
      line: '`../x`, `/etc/passwd`, `a//b`, empty, `.`, a trailing slash: refused, never normalised',
      cases: [
        'hostile/paths: paths that break a rule are refused in every request',
        'hostile/paths: an empty path is the root',
      ],
    },
    {
      line: 'NUL and invalid UTF-8; odd characters stored byte for byte, escaped where shown',
      cases: [
        'hostile/paths: a path longer than its limit and invalid UTF-8',
        'hostile/paths: everything else is stored byte for byte',
        'system/names: names are escaped wherever people read them',
      ],
    },
    {
      line: 'Names that a platform cannot hold: refused by a share with `portable-names`',
      cases: [
        'system/names: a share with portable-names takes no others',
        'daemon/portable-names: what Windows or macOS cannot hold is told by its reason',
      ],
    },
    {
      line: 'Component of 255 and 256 bytes, path of 4,096 and 4,097, depth 64 and 65',
      cases: [
        'hostile/paths: a path of 4,096 bytes and 64 components',
        'hostile/paths: paths that break a rule are refused',
      ],
    },
    {
      line: 'The staging area by any spelling',
      cases: ['hostile/paths: paths that break a rule are refused'],
    },
    {
      line: 'A planted symlink as leaf or parent',
      cases: ['hostile/paths: planted links are never followed out'],
    },
    {
      line: 'A process that flips a directory and a symlink',
      cases: [
        'transfer/local/containment: someone who flips a folder and a link',
        'system/races: a swapped folder does not lead out',
        'system/held-paths: every path of a share is a held folder and one name',
      ],
    },
  ],
  'Authentication, TLS, allow-list': [
    {
      line: 'No token, a wrong one, a longer, a shorter, 4 KiB of it: the same error',
      cases: [
        'hostile/authentication: whatever is wrong with a proof, the answer is the same',
        'hostile/authentication: proofs of another length are no frames',
      ],
    },
    {
      line: 'Growing delays for the failures of one address; a valid proof clears them',
      cases: [
        'hostile/authentication: each failure of an address waits longer',
        'daemon/penalties: the table is bounded',
      ],
    },
    {
      line: 'A denied address, mapped forms, a malformed rule',
      cases: [
        'daemon/allow-list: IPv4 ranges, as plain arithmetic has it',
        'daemon/allow-list: a malformed rule is an error',
        'system/config: an address that is not allowed is closed before a byte',
        'system/config: with TLS, a denied address gets no handshake',
        'system/config: check exits with 2 on whatever would stop a start',
      ],
    },
    {
      line: 'TLS 1.2, plaintext on the TLS port, another certificate, a man in the middle',
      cases: [
        'system/tls: TLS 1.2, and TLS without our ALPN name',
        'system/tls: plain against TLS and TLS against plain',
        'system/tls: a man in the middle with a certificate of his own',
        'system/tls: with --ca a certificate is good for what it names alone',
        'hostile/authentication: replay, reflection and a proof for a changed greeting',
      ],
    },
    {
      line: 'Silent TCP, half a ClientHello, one byte per 100 ms, 200 of each',
      cases: ['hostile/crowd: silent and trickling strangers do not keep a client out'],
    },
    {
      line: 'A token file that others can read; no token in logs or error texts',
      cases: [
        'system/tls: the wrong token, none, a revoked pin, one that others can read',
        'daemon/tokens: what others can read or change is refused',
      ],
    },
    {
      line: 'A read-only token that tries to write; a prefix-scoped token one step outside',
      cases: [
        'daemon/access: each scope allows its requests and no other',
        'daemon/access: a step outside of the prefix is refused',
        'hostile/tokens: a token does what it allows',
      ],
    },
  ],
  Exhaustion: [
    {
      line: '5,000 idle connections under a descriptor limit of 1,024',
      cases: ['hostile/crowd: five thousand idle strangers'],
    },
    {
      line: 'A trickler, one byte a second',
      cases: [
        'hostile/crowd: silent and trickling strangers',
        'hostile/progress: a frame that has begun, and trickles',
        'hostile/progress: a request that moves nothing ends',
        'hostile/progress: the same is not served for ever',
        'system/limits: progressMs: who sends a byte a second is closed, who sends slowly is not',
      ],
    },
    {
      line: 'Fifty readers that stop reading during a download',
      cases: [
        'system/limits: fifty readers that stop cost the daemon little',
        'hostile/exhaustion: readers that read nothing of a download hold two chunks each',
        'hostile/exhaustion: readers that stop reading during a download shrink',
      ],
    },
    {
      line: 'Ten thousand offers without data',
      cases: [
        'hostile/exhaustion: a thousand offers of the greatest size reserve and leave nothing',
        'hostile/zeros: a flood of zeros costs neither memory nor disk',
        'daemon/uploads: offers without data reserve nothing and leave nothing',
      ],
    },
    {
      line: 'Large uploads under a memory limit',
      cases: ['system/memory: promise 6', 'system/limits: sixty-four uploads of 1 GB at once'],
    },
    { line: 'A slow disk', cases: ['system/slow-disk: one slow disk: another share'] },
  ],
  'Resume and crash': [
    {
      line: 'kill -9 of either end, and at every write, fsync and rename',
      cases: ['system/kill: promise', 'system/crash: kill -9 at every'],
    },
    {
      line: 'Power loss',
      cases: [
        'system/durability: promise 1',
        'system/power-loss: ',
        'transfer/local/crash-model: ',
      ],
    },
    {
      line: 'Journal cut, flipped, garbage, missing',
      cases: [
        'transfer/local/partial: a journal cut anywhere',
        'transfer/local/partial: a journal of a version to come',
        'system/damage: promises 3 and 4',
      ],
    },
    {
      line: 'Staging data shortened, lengthened, flipped',
      cases: ['transfer/local/partial: shortened data', 'system/damage: a damaged partial'],
    },
    { line: 'The source changes', cases: ['system/source: promise 5'] },
    {
      line: 'No space and no inodes left; read-only; EIO on read, write, fsync',
      cases: [
        'system/errors: a full disk',
        'system/full-disk: no space left during a large file',
        'system/full-disk: no inodes left during a page',
        'system/errors: a read-only share',
        'transfer/local/faults: every call that goes wrong',
      ],
    },
    {
      line: 'SIGTERM during ten transfers, a second one',
      cases: [
        'system/daemon: ${signal} during ${count} transfers: exit 0 within 10 s',
        'system/daemon: the second signal ends it at once',
      ],
    },
    {
      line: 'Two daemons on one share; a stale lock',
      cases: ['system/daemon: one daemon a folder; a lock that was left behind by kill -9'],
    },
  ],
  Concurrency: [
    {
      line: 'Two uploads to one name, one hundred rounds',
      cases: ['system/concurrency: two uploads to one name at once, a hundred rounds'],
    },
    {
      line: 'A takeover fences the older connection',
      cases: [
        'daemon/registry: the same session takes over at once',
        'hostile/session: another session cannot join',
      ],
    },
    {
      line: 'A download while its file is replaced',
      cases: [
        'daemon/serve: a download while its file is replaced',
        'system/concurrency: what is downloaded while its file is replaced is one version',
      ],
    },
    {
      line: 'Clients with random operations while connections are cut',
      cases: [
        'daemon/serve: a client whose connections break all the time',
        'system/crowd: 64 clients do random things while their connections are cut',
      ],
    },
  ],
  'The client against a hostile daemon': [
    {
      line: 'Names with `..`, absolute, outside, duplicate; symlink entries; ten million entries',
      cases: [
        'hostile/rogue-daemon: a listing with ${what}',
        'hostile/rogue-daemon: names that come twice, or below a file',
        'hostile/rogue-daemon: a link in a listing is no way out',
        'hostile/listing: ${what} of very many entries',
        'hostile/listing: a folder of very many names',
      ],
    },
    {
      line: 'More or less data, another file, an endless stream, a wrong checksum',
      cases: [
        'hostile/rogue-daemon: a page with ${what}',
        'hostile/rogue-daemon: a download of ${what}',
        'hostile/rogue-daemon: an upload that is ${what}',
      ],
    },
    {
      line: 'Control characters and a megabyte of text in an error message',
      cases: ['hostile/rogue-daemon: control characters and a megabyte of text'],
    },
  ],
  Network: [
    {
      line: 'A link with 30 % loss and 200 ms',
      cases: ['system/lossy-link: over a link with 30 % loss and 200 ms a file comes whole'],
    },
    {
      line: 'RST, FIN or a stall after n bytes',
      cases: ['transfer/faults: cut at every byte', 'hostile/session: then ${'],
    },
    {
      line: 'One bit flipped at each position class',
      cases: [
        'hostile/mutation: raw bits flipped, bytes dropped, cuts',
        'hostile/mutation: changed with right checks',
        'hostile/mutation: no validator was left out',
        'hostile/tls-mutation: TLS mutated: ${session}',
      ],
    },
  ],
};
