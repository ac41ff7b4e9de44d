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
}
