import type { CommandDescription } from '../command.ts'
import type { NoOptions } from '../options/option.ts'
import { usageError } from './usage.ts'

const sourceArgument = { name: 'source', help: 'name of a source in holdfast.yaml; all by default', repeatable: true }

export const sourceListDescription: CommandDescription<NoOptions> = {
  name: 'source:list',
  group: 'inspection',
  summary: 'List configured sources',
  description: 'Lists the sources of holdfast.yaml with their types and repositories. Nothing is connected to.',
  examples: [{ line: 'holdfast source:list', does: 'list what is configured' }],
  options: {},
  arguments: [],
  exitCodes: [2],
}

export const sourceTestDescription: CommandDescription<NoOptions> = {
  name: 'source:test',
  group: 'inspection',
  summary: 'Reach configured sources',
  description: 'Connects to each source and says what it is. The exit code is 1 when one cannot be reached.',
  examples: [{ line: 'holdfast source:test shop', does: 'see whether one source can be reached' }],
  options: {},
  arguments: [sourceArgument],
  exitCodes: [2],
}

export const sourceDoctorDescription: CommandDescription<NoOptions> = {
  name: 'source:doctor',
  group: 'inspection',
  summary: 'Find what would keep backups of sources from working',
  description: `Looks at versions, permissions and settings of each source, and prints for each problem the statement, setting or command that mends it.

The exit code is 1 when something would make backups or restores fail; warnings and notes do not count.`,
  examples: [{ line: 'holdfast source:doctor', does: 'examine all sources' }],
  options: {},
  arguments: [sourceArgument],
  exitCodes: [2],
}

export const sourceCheckDescription: CommandDescription<NoOptions> = {
  name: 'source:check',
  group: 'inspection',
  summary: 'Look for damage in live sources',
  description: `Reads all of each source and has its server look through its own structures, so that damage is found before it is in every backup. It changes nothing; it takes time, and makes the server work.

The exit code is 4 when something is damaged, or could not be looked at.`,
  examples: [{ line: 'holdfast source:check shop', does: 'look through a database' }],
  options: {},
  arguments: [{ name: 'source', help: 'name of a source in holdfast.yaml', repeatable: true }],
  exitCodes: [2, 4],
  check(_, names) {
    if (names.length === 0) throw usageError('no source was named', 'name those that are to be read whole')
  },
}
