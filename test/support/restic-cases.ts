import { open, rm, stat, truncate } from 'node:fs/promises'
import type { ProgramWorld, RunOptions, RunResult } from './program-world.ts'

/** One command line of the record. */
export interface ResticCase {
  readonly name: string
  /** The words, or how to find them out. */
  readonly args: string | readonly string[] | ((world: ProgramWorld) => Promise<readonly string[]> | readonly string[])
  readonly options?: RunOptions
  /** What has to happen before; nothing of it is recorded. */
  readonly before?: (world: ProgramWorld) => Promise<unknown>
  /** Arguments of one letter are beginnings of ids. */
  readonly prefixes?: boolean
  /** Interrupted by SIGINT while it holds its lock. */
  readonly interrupted?: boolean
  /** Run while another process holds a lock. */
  readonly whileHeld?: boolean
  /** For output whose order is left to chance. */
  readonly sorted?: boolean
  /** Numbers that vary, by key of the JSON. */
  readonly volatile?: readonly string[]
}

/** Cases that share a repository, in order. */
export interface ResticScenario {
  readonly name: string
  /** Makes the state the first case finds. */
  readonly prepare?: (world: ProgramWorld) => Promise<unknown>
  readonly cases: readonly ResticCase[]
}

const wrong: RunOptions = { environment: { RESTIC_PASSWORD_FILE: 'wrong-password' } }
const nowhere: RunOptions = { environment: { RESTIC_REPOSITORY: 'nowhere' } }

/** What depends on how well things compress. */
const pruneNumbers = ['used', 'unused', 'total', 'repack', 'repack_remove', 'remove', 'remove_total', 'remaining']

const init = (world: ProgramWorld): Promise<string> => world.must(['init'])

/** The words of a text; none of the cases needs a space inside a word there. */
const words = (text: string): readonly string[] => text.split(' ')

/** The same command line as text and with --json. */
const both = (name: string, args: string, more: Omit<ResticCase, 'name' | 'args'> = {}): ResticCase[] => [
  { name, args, ...more },
  { name: `${name}, JSON`, args: `${args} --json`, ...more },
]

/** The file of the largest pack, which holds big.bin; sizes in the index tell it even when the file is damaged. */
async function largestPack(world: ProgramWorld): Promise<string> {
  const sizes = new Map<string, number>()
  for (const index of await world.files('index')) {
    const { packs } = JSON.parse(await world.must(['cat', 'index', index])) as {
      packs: { id: string; blobs: { length: number }[] }[]
    }
    for (const { id, blobs } of packs)
      sizes.set(
        id,
        blobs.reduce((sum, blob) => sum + blob.length, 0),
      )
  }
  const [largest] = [...sizes].sort(([, a], [, b]) => b - a)
  return world.packFile(largest![0])
}

/** The index file of the backup that stored the least. */
async function smallestIndex(world: ProgramWorld): Promise<string> {
  const sizes = new Map<string, number>()
  for (const id of await world.files('index')) sizes.set(id, (await stat(world.path('repository', 'index', id))).size)
  return [...sizes].sort(([, a], [, b]) => a - b)[0]![0]
}

/** Changes one byte of a file. */
async function flip(path: string, position: number): Promise<void> {
  await using file = await open(path, 'r+')
  const byte = new Uint8Array(1)
  await file.read(byte, 0, 1, position)
  await file.write(Uint8Array.of(byte[0]! ^ 0x40), 0, 1, position)
}

/** A backup that is killed leaves its lock behind. */
async function leaveLock(world: ProgramWorld): Promise<void> {
  const before = (await world.files('locks')).length
  const child = world.start(['backup', '--stdin'])
  await moreLocks(world, before)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.on('close', resolve))
}

/** A first snapshot, a changed tree, a second snapshot with tags, and one of another host and path. */
async function threeSnapshots(world: ProgramWorld): Promise<void> {
  await init(world)
  await world.must(['backup', '--host', 'golden', '--time', '2024-03-02 10:00:00', 'tree'])
  await world.writeTree('a.txt', 'one\ntwo\nfour\n')
  await world.writeTree('sub/new.txt', 'delta\n')
  await rm(world.path('tree', 'copy of a.txt'))
  await world.must(['backup', '--host', 'golden', '--tag', 'nightly,full', '--time', '2024-03-03 10:00:00', 'tree'])
  await world.must(['backup', '--host', 'other', '--time', '2024-03-04 10:00:00', 'tree/sub'])
}

const snapshotAt =
  (index: number, ...before: readonly string[]) =>
  async (world: ProgramWorld): Promise<readonly string[]> => [...before, (await world.snapshots()).at(index)!]

export const resticScenarios: readonly ResticScenario[] = [
  {
    name: 'usage',
    prepare: init,
    cases: [
      { name: 'unknown command', args: 'frobnicate' },
      { name: 'unknown command that is close to one', args: 'snapshts' },
      { name: 'unknown option', args: 'snapshots --frob' },
      { name: 'unknown option, JSON', args: 'snapshots --json --frob' },
      { name: 'unknown letter', args: 'snapshots -Z' },
      { name: 'option without its value', args: 'snapshots --repo' },
      { name: 'bad number', args: 'snapshots --latest x' },
      { name: 'bad boolean', args: 'snapshots --json=maybe' },
      { name: 'bad calendar duration', args: 'forget --keep-within 5' },
      { name: 'bad duration', args: 'snapshots --retry-lock 5' },
      { name: 'bad size', args: 'backup --exclude-larger-than 5Q tree' },
      { name: 'bad percentage', args: 'prune --max-unused 120%' },
      { name: 'bad subset', args: 'check --read-data-subset 5/3' },
      { name: 'bad compression', args: 'snapshots --compression zip' },
      { name: 'bad pack size', args: 'snapshots --pack-size 1' },
      { name: 'bad group', args: 'forget --group-by colour' },
      { name: 'bad time', args: 'backup --time yesterday tree' },
      { name: 'quiet and verbose', args: 'snapshots -q -v' },
      { name: 'no repository given', args: 'snapshots', options: { environment: { RESTIC_REPOSITORY: '' } } },
      { name: 'repository given twice', args: 'snapshots --repository-file password' },
      { name: 'superfluous argument', args: 'init superfluous' },
      { name: 'list without type', args: 'list' },
      { name: 'cat without type', args: 'cat' },
      { name: 'diff with one snapshot', args: 'diff latest' },
      { name: 'restore without target', args: 'restore latest' },
      { name: 'tag without change', args: 'tag' },
      { name: 'rewrite without change', args: 'rewrite' },
      { name: 'forget without policy', args: 'forget' },
      { name: 'backup of nothing', args: 'backup' },
      { name: 'version', args: 'version' },
      { name: 'version, JSON', args: 'version --json' },
      { name: 'deprecated option', args: 'snapshots --last' },
      { name: 'deprecated command', args: 'rebuild-index' },
    ],
  },
  {
    name: 'init',
    cases: [
      { name: 'make a repository', args: 'init' },
      { name: 'make a repository, JSON', args: 'init --json -r second' },
      { name: 'there already', args: 'init' },
      { name: 'there already, JSON', args: 'init --json' },
      { name: 'version 1', args: 'init -r third --repository-version 1' },
      { name: 'version 9', args: 'init -r fourth --repository-version 9' },
      { name: 'bad version', args: 'init -r fourth --repository-version x' },
      {
        name: 'with the chunker parameters of another',
        args: 'init -r fifth --from-repo repository --from-password-file password --copy-chunker-params',
      },
      {
        name: 'with another but nothing to copy',
        args: 'init -r sixth --from-repo repository --from-password-file password',
      },
      {
        name: 'without a password',
        args: 'init -r seventh --insecure-no-password',
        options: { environment: { RESTIC_PASSWORD_FILE: '' } },
      },
    ],
  },
  {
    name: 'errors',
    prepare: async (world) => {
      await init(world)
      // Until two ids begin with the same digit.
      for (let n = 0; ; n++) {
        await world.must(['backup', '--quiet', '--stdin', '--stdin-filename', `file-${n}`], { input: 'x' })
        const ids = await world.files('snapshots')
        if (new Set(ids.map((id) => id[0])).size < ids.length) return
      }
    },
    cases: [
      ...both('wrong password', 'snapshots', { options: wrong }),
      ...both('no repository', 'snapshots', { options: nowhere }),
      ...both('backup without a repository', 'backup tree', { options: nowhere }),
      ...both('unknown snapshot', 'ls 0123abcd'),
      ...both('unknown snapshot to restore', 'restore 0123abcd --target out'),
      { name: 'unknown snapshot to forget', args: 'forget 0123abcd' },
      { name: 'unknown snapshot to list', args: 'snapshots 0123abcd --json' },
      {
        name: 'ambiguous snapshot',
        prefixes: true,
        args: async (world) => {
          const firsts = (await world.files('snapshots')).map((id) => id[0]!)
          return ['ls', firsts.find((digit, index) => firsts.indexOf(digit) !== index)!]
        },
      },
      { name: 'missing source', args: 'backup missing' },
      { name: 'missing source, JSON', args: 'backup missing --json' },
      { name: 'missing password file', args: 'snapshots --password-file missing' },
      {
        name: 'password command that fails',
        args: 'snapshots --password-command false',
        options: { environment: { RESTIC_PASSWORD_FILE: '' } },
      },
      { name: 'empty password', args: 'snapshots', options: { environment: { RESTIC_PASSWORD_FILE: '' } } },
      ...both('locked', 'forget --keep-last 1', { whileHeld: true }),
      ...both('locked, check', 'check', { whileHeld: true }),
      { name: 'locked, waiting', args: 'prune --retry-lock 1s', whileHeld: true },
      { name: 'locked, list', args: 'list locks', whileHeld: true },
      { name: 'locked, unlock', args: 'unlock', whileHeld: true },
      { name: 'unknown file to dump', args: 'dump latest /missing' },
    ],
  },
  {
    name: 'backup',
    prepare: init,
    cases: [
      { name: 'dry run', args: 'backup --dry-run tree' },
      { name: 'dry run, JSON', args: 'backup --dry-run --json tree' },
      { name: 'dry run, every file', args: 'backup --dry-run -vv tree', sorted: true },
      { name: 'first', args: 'backup tree' },
      { name: 'unchanged, JSON', args: 'backup tree --json' },
      { name: 'unchanged, skipped', args: 'backup tree --skip-if-unchanged' },
      { name: 'unchanged, skipped, JSON', args: 'backup tree --skip-if-unchanged --json' },
      { name: 'read again, every file, JSON', args: 'backup tree --force -vv --json', sorted: true },
      { name: 'verbose', args: 'backup tree -v', sorted: true },
      { name: 'quiet', args: 'backup tree -q' },
      { name: 'quiet, JSON', args: 'backup tree -q --json' },
      {
        name: 'with excludes, every file, JSON',
        args: 'backup tree --exclude *.txt --exclude-caches -vv --json',
        sorted: true,
      },
      ...both('one source missing', 'backup tree missing'),
      ...both('one source unreadable', 'backup tree /proc/self/mem'),
      { name: 'standard input', args: 'backup --stdin --stdin-filename typed.txt', options: { input: 'typed\n' } },
      { name: 'standard input, JSON', args: 'backup --stdin --json', options: { input: 'typed\n' } },
      { name: 'interrupted', args: 'backup --stdin', interrupted: true },
      { name: 'interrupted, JSON', args: 'backup --stdin --json', interrupted: true },
      { name: 'output of a command, JSON', args: 'backup --json --stdin-from-command -- echo hello' },
      { name: 'output of a command that fails', args: 'backup --stdin-from-command -- false' },
      { name: 'output of a command that fails, JSON', args: 'backup --json --stdin-from-command -- false' },
      {
        name: 'status messages, JSON',
        args: 'backup tree --force --json --limit-upload 500',
        before: (world) =>
          world.writeTree(
            'big.bin',
            new Uint8Array(500_000).map((_, i) => (i * i * 2654435761) >>> 24),
          ),
        options: { environment: { RESTIC_PROGRESS_FPS: '60' } },
      },
    ],
  },
  {
    name: 'look',
    prepare: threeSnapshots,
    cases: [
      ...both('snapshots', 'snapshots'),
      { name: 'snapshots, compact', args: 'snapshots --compact' },
      { name: 'snapshots, the newest', args: 'snapshots --latest 1' },
      { name: 'snapshots by group', args: 'snapshots --group-by host --host golden' },
      { name: 'snapshots by group, JSON', args: 'snapshots --group-by host,paths --host golden --json' },
      { name: 'snapshots of no host, JSON', args: 'snapshots --host nobody --json' },
      { name: 'snapshots of no host', args: 'snapshots --host nobody' },
      ...both('ls', 'ls latest --host golden'),
      { name: 'ls, long', args: 'ls -l latest --host golden' },
      { name: 'ls, long, readable', args: 'ls -l --human-readable latest --host golden' },
      { name: 'ls of a folder', args: 'ls latest --host golden /tree/sub' },
      {
        name: 'snapshots of the host in the environment',
        args: 'snapshots --compact',
        options: { environment: { RESTIC_HOST: 'other' } },
      },
      {
        name: 'snapshots of all hosts in spite of that',
        args: ['snapshots', '--compact', '--host', ''],
        options: { environment: { RESTIC_HOST: 'other' } },
      },
      { name: 'snapshots by id and filter', args: snapshotAt(0, 'snapshots', '--compact', '--host', 'other') },
      { name: 'ls, relative folder', args: 'ls latest sub' },
      { name: 'ls, ncdu', args: 'ls latest --host golden --ncdu', volatile: ['asize', 'dsize', 'dev', 'ino', 'mtime'] },
      ...both('find', 'find naïve.txt'),
      { name: 'find, long', args: 'find -l b.txt' },
      { name: 'find nothing', args: 'find nothing' },
      { name: 'find nothing, JSON', args: 'find nothing --json' },
      {
        name: 'find a tree, JSON',
        args: async (world) => {
          const snapshot = JSON.parse(await world.must(['cat', 'snapshot', (await world.snapshots())[1]!])) as {
            tree: string
          }
          return ['find', '--json', '--tree', snapshot.tree.slice(0, 8)]
        },
      },
      {
        name: 'diff',
        args: async (world) => ['diff', ...(await world.snapshots()).slice(0, 2)],
      },
      {
        name: 'diff, JSON',
        args: async (world) => ['diff', '--json', ...(await world.snapshots()).slice(0, 2)],
        volatile: ['bytes'],
      },
      { name: 'dump a file', args: 'dump latest --host golden /tree/a.txt' },
      { name: 'dump a folder', args: 'dump latest --host golden /tree/sub' },
      { name: 'dump as an unknown archive', args: 'dump -a rar latest --host golden /tree/sub' },
      ...both('stats', 'stats'),
      ...both('stats of the newest', 'stats latest --host golden'),
      ...both('stats by contents', 'stats --mode files-by-contents'),
      ...both('stats by blobs', 'stats --mode blobs-per-file'),
      ...both('stats of what is stored', 'stats --mode raw-data', {
        volatile: [
          'total_size',
          'total_uncompressed_size',
          'compression_ratio',
          'compression_space_saving',
          'compression_progress',
        ],
      }),
      { name: 'stats by nonsense', args: 'stats --mode nonsense' },
      { name: 'cat config', args: 'cat config' },
      { name: 'cat masterkey', args: 'cat masterkey' },
      { name: 'cat snapshot', args: snapshotAt(1, 'cat', 'snapshot') },
      { name: 'cat snapshot by a word', args: 'cat snapshot latest' },
      { name: 'cat tree', args: 'cat tree latest:/tree/sub' },
      { name: 'cat key', args: async (world) => ['cat', 'key', (await world.files('keys'))[0]!], volatile: ['N', 'p'] },
      {
        name: 'cat index',
        args: async (world) => ['cat', 'index', await smallestIndex(world)],
        volatile: ['offset', 'length', 'uncompressed_length'],
        sorted: true,
      },
      { name: 'cat something unknown', args: 'cat nonsense x' },
      { name: 'cat snapshot without an id', args: 'cat snapshot' },
      ...['blobs', 'packs', 'index', 'snapshots', 'keys', 'locks'].map((type) => ({
        name: `list ${type}`,
        args: `list ${type}`,
        sorted: true,
      })),
      { name: 'list blobs, JSON', args: 'list blobs --json', sorted: true },
      { name: 'list something unknown', args: 'list nonsense' },
      { name: 'cache', args: 'cache' },
      { name: 'migrate', args: 'migrate' },
    ],
  },
  {
    name: 'restore',
    prepare: threeSnapshots,
    cases: [
      { name: 'dry run', args: 'restore latest --host golden --target out --dry-run' },
      { name: 'dry run, every file', args: 'restore latest --host golden --target out --dry-run -vv', sorted: true },
      {
        name: 'dry run, every file, JSON',
        args: 'restore latest --host golden --target out --dry-run -vv --json',
        sorted: true,
      },
      { name: 'everything', args: 'restore latest --host golden --target out' },
      { name: 'again, unchanged, JSON', args: 'restore latest --host golden --target out --json' },
      { name: 'with verification', args: 'restore latest --host golden --target out --verify' },
      { name: 'a folder, JSON', args: 'restore latest:/tree/sub --host golden --target sub-out --json' },
      { name: 'a folder that is not there', args: 'restore latest:/missing --host golden --target sub-out' },
      {
        name: 'never over existing files, JSON',
        args: 'restore latest --host golden --target out --overwrite never --json',
      },
      { name: 'with deletion', args: 'restore latest --host golden --target out --delete --include b.txt' },
      { name: 'include and exclude', args: 'restore latest --target out --include a --exclude b' },
      { name: 'to a file', args: 'restore latest --host golden --target password' },
      { name: 'to a file, JSON', args: 'restore latest --host golden --target password --json' },
    ],
  },
  {
    name: 'forget',
    prepare: threeSnapshots,
    cases: [
      ...both('dry run', 'forget --keep-last 1 --dry-run --host golden'),
      {
        name: 'dry run in groups, JSON',
        args: 'forget --keep-last 1 --keep-daily 2 --keep-tag nightly --dry-run --json',
        sorted: true,
      },
      { name: 'nothing to do', args: 'forget --keep-last 9 --host golden' },
      { name: 'no snapshot matches', args: 'forget --keep-last 1 --host nobody' },
      { name: 'no snapshot matches, JSON', args: 'forget --keep-last 1 --host nobody --json' },
      { name: 'dry run with prune', args: 'forget --keep-last 1 --host golden --dry-run --prune' },
      { name: 'prune, dry run', args: 'prune --dry-run' },
      { name: 'prune, dry run, verbose', args: 'prune --dry-run -v', sorted: true },
      { name: 'prune, dry run, JSON', args: 'prune --dry-run --json', volatile: pruneNumbers },
      { name: 'one snapshot', args: snapshotAt(0, 'forget') },
      { name: 'prune', args: 'prune --max-unused 0' },
      { name: 'by policy, JSON', args: 'forget --keep-last 1 --group-by host --host golden --json' },
      {
        name: 'with prune, JSON',
        args: 'forget --keep-tag none --keep-last 1 --group-by paths --prune --json',
        sorted: true,
      },
      { name: 'everything without a filter', args: 'forget --unsafe-allow-remove-all' },
      { name: 'everything of a host', args: 'forget --unsafe-allow-remove-all --host golden' },
      { name: 'prune when nothing is left', args: 'prune --json', volatile: pruneNumbers },
    ],
  },
  {
    name: 'change',
    prepare: threeSnapshots,
    cases: [
      { name: 'tag', args: 'tag --add new --host golden' },
      { name: 'tag, JSON', args: 'tag --set a,b --host golden --json', sorted: true },
      { name: 'tag that changes nothing, JSON', args: 'tag --set a,b --host golden --json' },
      { name: 'tag that changes nothing', args: 'tag --set a,b --host golden' },
      { name: 'rewrite, dry run', args: 'rewrite --exclude *.bin --dry-run --host golden', sorted: true },
      { name: 'rewrite', args: 'rewrite --exclude *.bin --host other' },
      { name: 'rewrite and forget', args: 'rewrite --new-host third --forget --host other', sorted: true },
      { name: 'key list', args: 'key list' },
      { name: 'key list, JSON', args: 'key list --json' },
      { name: 'key add', args: 'key add --new-password-file new-password --user ann --host desk' },
      {
        name: 'key remove of the one in use',
        args: async (world) => [
          'key',
          'remove',
          JSON.parse(await world.must(['key', 'list', '--json'])).find((key: { current: boolean }) => key.current).id,
        ],
      },
      {
        name: 'key remove',
        args: async (world) => [
          'key',
          'remove',
          JSON.parse(await world.must(['key', 'list', '--json'])).find((key: { current: boolean }) => !key.current).id,
        ],
      },
      { name: 'key remove of an unknown one', args: 'key remove 0123abcd' },
      { name: 'key passwd', args: 'key passwd --new-password-file new-password' },
      { name: 'old password afterwards', args: 'snapshots' },
      {
        name: 'unknown key command',
        args: 'key frobnicate',
        options: { environment: { RESTIC_PASSWORD_FILE: 'new-password' } },
      },
    ],
  },
  {
    name: 'copy',
    prepare: async (world) => {
      await threeSnapshots(world)
      await world.must([
        'init',
        '-r',
        'second',
        '--from-repo',
        'repository',
        '--from-password-file',
        'password',
        '--copy-chunker-params',
      ])
    },
    cases: [
      { name: 'one host', args: 'copy --from-repo repository --from-password-file password -r second --host other' },
      { name: 'all', args: 'copy --from-repo repository --from-password-file password -r second', sorted: true },
      { name: 'again, JSON', args: 'copy --from-repo repository --from-password-file password -r second --json' },
      { name: 'without a source', args: 'copy -r second' },
      { name: 'from nowhere', args: 'copy --from-repo nowhere --from-password-file password -r second' },
      {
        name: 'with a wrong password',
        args: 'copy --from-repo repository --from-password-file wrong-password -r second',
      },
    ],
  },
  {
    name: 'check',
    prepare: threeSnapshots,
    cases: [
      ...both('clean', 'check'),
      ...both('clean, reading everything', 'check --read-data'),
      { name: 'clean, reading a part', args: 'check --read-data-subset 1/1' },
      { name: 'both kinds of reading', args: 'check --read-data --read-data-subset 1/2' },
      { name: 'recover with nothing to find', args: 'recover' },
      {
        name: 'recover',
        args: 'recover',
        before: async (world) => world.must(['forget', (await world.snapshots())[2]!]),
      },
      { name: 'repair index of a sound repository', args: 'repair index' },
      { name: 'repair snapshots of a sound repository', args: 'repair snapshots', sorted: true },
      { name: 'repair packs without ids', args: 'repair packs' },
      { name: 'unlock', args: 'unlock' },
      { name: 'unlock with a stale lock', args: 'unlock', before: leaveLock },
      { name: 'unlock everything', args: 'unlock --remove-all', before: leaveLock },
      {
        name: 'a damaged pack',
        args: 'check --read-data',
        before: async (world) => flip(await largestPack(world), 5000),
        sorted: true,
      },
      { name: 'a damaged pack, JSON', args: 'check --read-data --json', sorted: true },
      {
        name: 'a pack cut short, JSON',
        args: 'check --json',
        before: async (world) => truncate(await largestPack(world), 100),
        sorted: true,
      },
      {
        name: 'a missing pack',
        args: 'check',
        before: async (world) => rm(await largestPack(world)),
        sorted: true,
      },
      { name: 'a missing pack, JSON', args: 'check --json', sorted: true },
      { name: 'repair a pack that is not there', args: ['repair', 'packs', '0'.repeat(64)], sorted: true },
      { name: 'repair index', args: 'repair index', sorted: true },
      { name: 'repair snapshots, dry run', args: 'repair snapshots --dry-run', sorted: true },
      { name: 'repair snapshots', args: 'repair snapshots --forget', sorted: true },
    ],
  },
]

/** The words of a case in a world. */
export async function argumentsOf(one: ResticCase, world: ProgramWorld): Promise<readonly string[]> {
  if (typeof one.args === 'function') return one.args(world)
  return typeof one.args === 'string' ? words(one.args) : one.args
}

/** Runs a case: what it prints and returns. */
export async function runCase(one: ResticCase, args: readonly string[], world: ProgramWorld): Promise<RunResult> {
  if (one.interrupted === true) {
    const before = (await world.files('locks')).length
    const child = world.start(args, one.options)
    child.stdin!.write('x')
    await moreLocks(world, before)
    child.kill('SIGINT')
    return world.finish(child)
  }
  const held = one.whileHeld === true ? await heldLocks(world) : undefined
  try {
    return await world.run(args, one.options)
  } finally {
    await held?.release()
  }
}

async function moreLocks(world: ProgramWorld, before: number): Promise<void> {
  for (let tries = 0; (await world.files('locks')).length === before; tries++) {
    if (tries > 200) throw new Error('the lock did not appear')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Holds a lock on the repository, as a backup that goes on; resolves when it is there. */
async function heldLocks(world: ProgramWorld): Promise<{ release(): Promise<void> }> {
  const before = (await world.files('locks')).length
  const holder = world.start(['backup', '--stdin', '--quiet'])
  holder.stdin!.write('x')
  const ended = new Promise<void>((resolve) => holder.on('close', () => resolve()))
  await moreLocks(world, before)
  return {
    async release() {
      holder.stdin!.end()
      await ended
    },
  }
}
