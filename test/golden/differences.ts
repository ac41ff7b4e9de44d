import { versionFacts } from '../../src/cli/version.ts'
import type { Differences } from '../support/golden.ts'

const { version, platform, architecture } = versionFacts()

/** The lines without those that `isLeftOut` says. */
const without =
  (isLeftOut: (line: unknown) => boolean) =>
  (lines: readonly unknown[]): readonly unknown[] =>
    lines.filter((line) => !isLeftOut(line))

/** JSON messages with other fields. */
const withFields =
  (type: string, fields: object) =>
  (lines: readonly unknown[]): readonly unknown[] =>
    lines.map((line) => (messageType(line) === type ? { ...(line as object), ...fields } : line))

const messageType = (line: unknown): unknown =>
  typeof line === 'object' && line !== null && 'message_type' in line ? line.message_type : undefined

type Change = (lines: readonly unknown[]) => readonly unknown[]

const chain =
  (...changes: readonly Change[]): Change =>
  (lines) =>
    changes.reduce((changed, change) => change(changed), lines)

/** One line in place of another. */
const replacing =
  (pattern: RegExp, line: string): Change =>
  (lines) =>
    lines.map((found) => (typeof found === 'string' && pattern.test(found) ? line : found))

const SNAPSHOTS_COUNTED = /^\[<duration>\] .* snapshots(, |$)/

const countingTrees = (count: number): Change => replacing(SNAPSHOTS_COUNTED, `[<duration>]  ${count} trees`)

const countingLess = (count: number): Change =>
  replacing(SNAPSHOTS_COUNTED, `[<duration>] 100.00%  ${count} / ${count} snapshots`)

const counted = (count: number) => ({ see: 'What is counted meanwhile', stdout: countingTrees(count) })

/** How our check begins; restic makes a folder for its cache first. */
const checking = (trees: number): Change =>
  chain(
    without((line) => typeof line === 'string' && line.startsWith('using temporary cache')),
    countingTrees(trees),
  )

/** A finding of a check in place of restic's messages, which hold the finding and advice. */
const finding = (kind: string, hint: string) => [
  { message_type: 'error', message: '<text>', kind, object: { type: 'data', id: '<id>' }, hint },
  { message_type: 'exit_error', code: 1, message: '<text>' },
]

const REPAIR_PACKS = 'run "holdfast repair packs <id>", then "holdfast repair snapshots --forget"'

/** What `prune --json` prints, numbers masked. */
function pruneMessage(more: object, flags: object = {}): readonly unknown[] {
  const sums = { used: 0, unused: 0, total: 0, repack: 0, repack_remove: 0, remove: 0, remove_total: 0, remaining: 0 }
  const { remaining, repack_remove, ...packs } = masked(sums)
  return [
    {
      message_type: 'summary',
      ...flags,
      blobs: { ...masked(sums), duplicate: 0 },
      bytes: { ...masked(sums), duplicate: 0, unreferenced: 0, uncompressed: 0, remaining_unused: 0 },
      packfiles: { ...packs, ...more, unreferenced: 0 },
    },
  ]
}

const masked = <T extends object>(sums: T): Record<keyof T, string> =>
  Object.fromEntries(Object.keys(sums).map((name) => [name, '<number>'])) as Record<keyof T, string>

const byWord = { see: 'cat understands', exitCode: 0, stderr: [] }

const times = { mtime: '<time>', atime: '<time>', ctime: '<time>' }
const owner = { uid: '<number>', gid: '<number>', user: '<user>', group: '<user>' }
const device = { inode: '<number>', device_id: '<number>' }

const fileNode = (name: string, size: number) => ({
  ...{ name, type: 'file', mode: 420, ...times, ...owner, ...device },
  ...{ size, links: 1, content: ['<id>'] },
})

const recovering = without(
  (line) => typeof line === 'string' && ['load index files', 'load snapshots', 'done'].includes(line),
)

const WAITING =
  'the repository is locked by process <number> of <user> on <host> since <time> (<duration> ago, lock <short-id>); waiting up to 1 s'

const lockedAtOnce = {
  see: 'Waiting for a lock',
  stdout: without(
    (line) => typeof line === 'string' && (line.startsWith('repo already locked') || line.startsWith('using temporary')),
  ),
}

/** Where Holdfast differs from the recordings of restic 0.19.1 on purpose, each explained in docs/guide/from-restic.md. */
export const differences: Differences = {
  usage: {
    'bad size': { see: 'The command line is checked first', stdout: [] },
    'repository given twice': { see: 'What is said last wins', exitCode: 10 },
    version: {
      see: 'Own version',
      stdout: [`holdfast ${version} (like restic 0.19.1) with node ${process.version} on ${platform}/${architecture}`],
    },
    'version, JSON': {
      see: 'Own version',
      stdout: withFields('version', {
        version,
        go_version: `node ${process.version}`,
        go_os: platform,
        go_arch: architecture,
        runtime: `node ${process.version}`,
        restic_version: '0.19.1',
      }),
    },
  },
  backup: {
    'with excludes, every file, JSON': {
      see: 'Excluded files',
      stdout: (lines) => [
        ...['a.txt', 'cache/data', 'copy of a.txt', 'empty.txt', 'sub/b.txt', 'sub/deep/naïve.txt'].map((name) => ({
          message_type: 'excluded_item',
          item: `<work>/tree/${name}`,
        })),
        ...lines,
      ],
    },
    'output of a command, JSON': {
      see: 'Streams are new',
      stdout: withFields('summary', { files_new: 1, files_changed: 0 }),
    },
    'output of a command that fails, JSON': {
      see: 'Failures are said once',
      stderr: without((line) => messageType(line) === 'error'),
    },
  },
  restore: {
    'never over existing files, JSON': {
      see: 'Sums of a restore',
      stdout: withFields('summary', { total_files: 4 }),
    },
    'with deletion': {
      see: 'Sums of a restore',
      stdout: [
        'restoring snapshot <short-id> of [<work>/tree] at <time> by <user>@golden to out',
        'Summary: Restored 2 files/dirs (<size>) in <duration>, skipped 1 files/dirs <size>',
      ],
    },
  },
  errors: {
    locked: lockedAtOnce,
    'locked, check': lockedAtOnce,
    'locked, waiting': {
      see: 'Waiting for a lock',
      stdout: (lines) => lines.map(() => WAITING),
    },
  },
  look: {
    stats: { see: 'What is counted meanwhile', stdout: countingLess(3) },
    'stats of the newest': { see: 'What is counted meanwhile', stdout: countingLess(1) },
    'stats by contents': { see: 'What is counted meanwhile', stdout: countingLess(3) },
    'stats by blobs': { see: 'What is counted meanwhile', stdout: countingLess(3) },
    'stats of what is stored': counted(10),
    'cat snapshot by a word': {
      ...byWord,
      stdout: [
        {
          ...{ time: '<time>', tree: '<id>', paths: ['<work>/tree/sub'], hostname: 'other', username: '<user>' },
          program_version: '<program>',
          summary: {
            ...{ backup_start: '<time>', backup_end: '<time>' },
            ...{ files_new: 3, files_changed: 0, files_unmodified: 0 },
            ...{ dirs_new: 3, dirs_changed: 0, dirs_unmodified: 0 },
            ...{ data_blobs: 0, tree_blobs: 2, data_added: '<number>', data_added_packed: '<number>' },
            ...{ total_files_processed: 3, total_bytes_processed: 10_012 },
          },
        },
      ],
    },
    'cat tree': {
      ...byWord,
      stdout: [
        {
          nodes: [
            fileNode('b.txt', 10_000),
            {
              ...{ name: 'deep', type: 'dir', mode: 2_147_484_141, ...times, ...owner, ...device },
              ...{ content: null, subtree: '<id>' },
            },
            fileNode('new.txt', 6),
          ],
        },
      ],
    },
  },
  forget: {
    'dry run with prune': counted(7),
    'prune, dry run': counted(10),
    'prune, dry run, verbose': {
      see: 'Repeated dry runs',
      stdout: chain(
        countingTrees(10),
        without((line) => typeof line === 'string' && line.startsWith('Repeated prune dry-runs')),
      ),
    },
    'prune, dry run, JSON': { see: 'Numbers of a prune', stdout: pruneMessage({ partly_used: 0, keep: 5 }, { dry_run: true }) },
    prune: counted(7),
    'prune when nothing is left': { see: 'Numbers of a prune', stdout: pruneMessage({ partly_used: 4, keep: 1 }) },
  },
  change: {
    'key passwd': { see: 'The id of a new key', stdout: ['saved new key with ID <id>'] },
    'unknown key command': {
      see: 'Unknown words',
      exitCode: 1,
      stdout: [],
      stderr: ['unknown command "key frobnicate"', 'key can be followed by add, doctor, export, import, list, passwd, remove, rotate'],
    },
  },
  copy: {
    'again, JSON': {
      see: 'Messages in place of text',
      stdout: [{ message_type: 'summary', copied_snapshots: 0, skipped_snapshots: 3 }],
    },
  },
  check: {
    clean: { see: 'No cache for a check', stdout: checking(10) },
    'clean, reading everything': { see: 'Reading and looking at once', anyOrder: true, stdout: checking(10) },
    'clean, reading a part': {
      see: 'Reading and looking at once',
      anyOrder: true,
      stdout: chain(
        checking(10),
        replacing(/^read group/, 'read group #1 of 1 groups of data: 5 of 5 packs, <size>'),
      ),
    },
    'recover with nothing to find': { see: 'recover says less', stdout: recovering },
    recover: { see: 'recover says less', stdout: recovering },
    'a damaged pack': { see: 'No cache for a check', stdout: checking(11) },
    'a damaged pack, JSON': { see: 'Findings of a check', stderr: finding('pack-damaged', REPAIR_PACKS) },
    'a pack cut short, JSON': { see: 'Findings of a check', stderr: finding('pack-size', REPAIR_PACKS) },
    'a missing pack': { see: 'No cache for a check', stdout: checking(11) },
    'a missing pack, JSON': {
      see: 'A missing pack',
      stdout: withFields('summary', { broken_packs: ['<id>'] }),
      stderr: finding(
        'pack-missing',
        'bring the file back from a copy of the repository, or run "holdfast repair index", then "holdfast repair snapshots --forget"',
      ),
    },
    'repair a pack that is not there': { see: 'A pack that is nowhere', stdout: [] },
  },
}
