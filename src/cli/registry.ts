import type { AnyCommand, AnyDescription } from './command.ts'

/** A command by name; its code is loaded when it is needed. */
export interface CommandEntry {
  readonly name: string
  /** Older names, still understood with a warning. */
  readonly deprecatedNames?: readonly string[]
  /** The description alone, without the code that does the work. */
  describe(): Promise<AnyDescription>
  load(): Promise<AnyCommand>
}

/** The first word of commands of two words. */
export interface CommandFolder {
  readonly name: string
  readonly summary: string
}

/** A thing that holdfast.yaml describes, and what can be done with it: `holdfast source test`, also written `source:test`. */
export interface Noun {
  readonly name: string
  readonly summary: string
  readonly verbs: readonly CommandEntry[]
}

/** All commands of the program. */
export interface Registry {
  readonly commands: readonly CommandEntry[]
  readonly folders: readonly CommandFolder[]
  /** Commands of restic that are refused, with the reason. */
  readonly refused: Readonly<Record<string, string>>
  readonly nouns: readonly Noun[]
}

const development = "it belongs to restic's own development builds"

export const registry: Registry = {
  commands: [
    {
      name: 'backup',
      describe: async () => (await import('./descriptions/backup.ts')).backupDescription,
      load: async () => (await import('./commands/backup.ts')).backupCommand,
    },
    {
      name: 'completion',
      describe: async () => (await import('./descriptions/completion.ts')).completionDescription,
      load: async () => (await import('./commands/completion.ts')).completionCommand,
    },
    {
      name: 'diff',
      describe: async () => (await import('./descriptions/diff.ts')).diffDescription,
      load: async () => (await import('./commands/diff.ts')).diffCommand,
    },
    {
      name: 'dump',
      describe: async () => (await import('./descriptions/dump.ts')).dumpDescription,
      load: async () => (await import('./commands/dump.ts')).dumpCommand,
    },
    {
      name: 'find',
      describe: async () => (await import('./descriptions/find.ts')).findDescription,
      load: async () => (await import('./commands/find.ts')).findCommand,
    },
    {
      name: 'help',
      describe: async () => (await import('./descriptions/help.ts')).helpDescription,
      load: async () => (await import('./commands/help.ts')).helpCommand,
    },
    {
      name: 'init',
      describe: async () => (await import('./descriptions/init.ts')).initDescription,
      load: async () => (await import('./commands/init.ts')).initCommand,
    },
    {
      name: 'ls',
      describe: async () => (await import('./descriptions/ls.ts')).lsDescription,
      load: async () => (await import('./commands/ls.ts')).lsCommand,
    },
    {
      name: 'restore',
      describe: async () => (await import('./descriptions/restore.ts')).restoreDescription,
      load: async () => (await import('./commands/restore.ts')).restoreCommand,
    },
    {
      name: 'snapshots',
      describe: async () => (await import('./descriptions/snapshots.ts')).snapshotsDescription,
      load: async () => (await import('./commands/snapshots.ts')).snapshotsCommand,
    },
    {
      name: 'version',
      describe: async () => (await import('./descriptions/version.ts')).versionDescription,
      load: async () => (await import('./commands/version.ts')).versionCommand,
    },
  ],
  folders: [],
  refused: {
    mount: 'it needs a FUSE driver; look around with "ls", "find" and "dump", or mount the same repository with restic',
    'self-update': 'Holdfast is updated by what installed it, for example npm install --global holdfast',
    generate: '"holdfast completion bash|zsh|fish" prints completions; the manual is docs/reference/cli.md',
    features: 'Holdfast has no feature flags',
    options: 'the settings of a storage are named when -o key=value names an unknown one',
    debug: development,
  },
  nouns: [],
}
