import type { CommandDescription } from '../command.ts'
import { type OptionTable, value } from '../options/option.ts'
import { integerKind } from '../options/values.ts'

export interface KeyDoctorOptions {
  readonly maxAgeDays: number | undefined
}

export const keyDoctorDescription: CommandDescription<KeyDoctorOptions> = {
  name: 'key doctor',
  group: 'maintenance',
  summary: 'Try every key, and tell their age',
  description: `Tries each of the keys that the configuration names for the repository, all at the same time, and says which of them open it, and why others do not. Also says how old the key files are. Where several repositories are configured and none is named, it does so for all of them, one after the other. It needs no password, takes no lock, and ends within seconds, so that it can run every minute.

With a key that cannot be used the exit code is 13, even when others work; with one that is older than it may become (maxKeyAge in the configuration) it is 14. Key files of recovery kits do not grow too old.`,
  examples: [
    { line: 'holdfast key doctor', does: 'try all keys of all configured repositories' },
    { line: 'holdfast key doctor --max-age 30', does: 'find a key older than 30 days too old' },
  ],
  options: {
    maxAgeDays: value('max-age', integerKind('days', 1), 'find keys too old that are older than this many days'),
  } satisfies OptionTable<KeyDoctorOptions>,
  arguments: [],
  exitCodes: [10, 13, 14],
}
