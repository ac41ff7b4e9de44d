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
      name: 'cache',
      describe: async () => (await import('./descriptions/cache.ts')).cacheDescription,
      load: async () => (await import('./commands/cache.ts')).cacheCommand,
    },
    {
      name: 'cat',
      describe: async () => (await import('./descriptions/cat.ts')).catDescription,
      load: async () => (await import('./commands/cat.ts')).catCommand,
    },
    {
      name: 'check',
      describe: async () => (await import('./descriptions/check.ts')).checkDescription,
      load: async () => (await import('./commands/check.ts')).checkCommand,
    },
    {
      name: 'completion',
      describe: async () => (await import('./descriptions/completion.ts')).completionDescription,
      load: async () => (await import('./commands/completion.ts')).completionCommand,
    },
    {
      name: 'copy',
      describe: async () => (await import('./descriptions/copy.ts')).copyDescription,
      load: async () => (await import('./commands/copy.ts')).copyCommand,
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
      name: 'forget',
      describe: async () => (await import('./descriptions/forget.ts')).forgetDescription,
      load: async () => (await import('./commands/forget.ts')).forgetCommand,
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
      name: 'key add',
      describe: async () => (await import('./descriptions/key-add.ts')).keyAddDescription,
      load: async () => (await import('./commands/key-add.ts')).keyAddCommand,
    },
    {
      name: 'key doctor',
      describe: async () => (await import('./descriptions/key-doctor.ts')).keyDoctorDescription,
      load: async () => (await import('./commands/key-doctor.ts')).keyDoctorCommand,
    },
    {
      name: 'key export',
      describe: async () => (await import('./descriptions/key-export.ts')).keyExportDescription,
      load: async () => (await import('./commands/key-export.ts')).keyExportCommand,
    },
    {
      name: 'key import',
      describe: async () => (await import('./descriptions/key-import.ts')).keyImportDescription,
      load: async () => (await import('./commands/key-import.ts')).keyImportCommand,
    },
    {
      name: 'key list',
      describe: async () => (await import('./descriptions/key-list.ts')).keyListDescription,
      load: async () => (await import('./commands/key-list.ts')).keyListCommand,
    },
    {
      name: 'key passwd',
      describe: async () => (await import('./descriptions/key-passwd.ts')).keyPasswdDescription,
      load: async () => (await import('./commands/key-passwd.ts')).keyPasswdCommand,
    },
    {
      name: 'key remove',
      describe: async () => (await import('./descriptions/key-remove.ts')).keyRemoveDescription,
      load: async () => (await import('./commands/key-remove.ts')).keyRemoveCommand,
    },
    {
      name: 'key rotate',
      describe: async () => (await import('./descriptions/key-rotate.ts')).keyRotateDescription,
      load: async () => (await import('./commands/key-rotate.ts')).keyRotateCommand,
    },
    {
      name: 'list',
      describe: async () => (await import('./descriptions/list.ts')).listDescription,
      load: async () => (await import('./commands/list.ts')).listCommand,
    },
    {
      name: 'ls',
      describe: async () => (await import('./descriptions/ls.ts')).lsDescription,
      load: async () => (await import('./commands/ls.ts')).lsCommand,
    },
    {
      name: 'migrate',
      describe: async () => (await import('./descriptions/migrate.ts')).migrateDescription,
      load: async () => (await import('./commands/migrate.ts')).migrateCommand,
    },
    {
      name: 'prune',
      describe: async () => (await import('./descriptions/prune.ts')).pruneDescription,
      load: async () => (await import('./commands/prune.ts')).pruneCommand,
    },
    {
      name: 'recover',
      describe: async () => (await import('./descriptions/recover.ts')).recoverDescription,
      load: async () => (await import('./commands/recover.ts')).recoverCommand,
    },
    {
      name: 'repair index',
      deprecatedNames: ['rebuild-index'],
      describe: async () => (await import('./descriptions/repair-index.ts')).repairIndexDescription,
      load: async () => (await import('./commands/repair-index.ts')).repairIndexCommand,
    },
    {
      name: 'repair packs',
      describe: async () => (await import('./descriptions/repair-packs.ts')).repairPacksDescription,
      load: async () => (await import('./commands/repair-packs.ts')).repairPacksCommand,
    },
    {
      name: 'repair snapshots',
      describe: async () => (await import('./descriptions/repair-snapshots.ts')).repairSnapshotsDescription,
      load: async () => (await import('./commands/repair-snapshots.ts')).repairSnapshotsCommand,
    },
    {
      name: 'restore',
      describe: async () => (await import('./descriptions/restore.ts')).restoreDescription,
      load: async () => (await import('./commands/restore.ts')).restoreCommand,
    },
    {
      name: 'rewrite',
      describe: async () => (await import('./descriptions/rewrite.ts')).rewriteDescription,
      load: async () => (await import('./commands/rewrite.ts')).rewriteCommand,
    },
    {
      name: 'snapshots',
      describe: async () => (await import('./descriptions/snapshots.ts')).snapshotsDescription,
      load: async () => (await import('./commands/snapshots.ts')).snapshotsCommand,
    },
    {
      name: 'stats',
      describe: async () => (await import('./descriptions/stats.ts')).statsDescription,
      load: async () => (await import('./commands/stats.ts')).statsCommand,
    },
    {
      name: 'tag',
      describe: async () => (await import('./descriptions/tag.ts')).tagDescription,
      load: async () => (await import('./commands/tag.ts')).tagCommand,
    },
    {
      name: 'unlock',
      describe: async () => (await import('./descriptions/unlock.ts')).unlockDescription,
      load: async () => (await import('./commands/unlock.ts')).unlockCommand,
    },
    {
      name: 'version',
      describe: async () => (await import('./descriptions/version.ts')).versionDescription,
      load: async () => (await import('./commands/version.ts')).versionCommand,
    },
  ],
  folders: [
    { name: 'key', summary: 'Manage what opens the repository' },
    { name: 'repair', summary: 'Put damaged repositories in order' },
  ],
  refused: {
    mount: 'it needs a FUSE driver; look around with "ls", "find" and "dump", or mount the same repository with restic',
    'self-update': 'Holdfast is updated by what installed it, for example npm install --global holdfast',
    generate: '"holdfast completion bash|zsh|fish" prints completions; the manual is docs/reference/cli.md',
    features: 'Holdfast has no feature flags',
    options: 'the settings of a storage are named when -o key=value names an unknown one',
    debug: development,
  },
  nouns: [
    {
      name: 'backup',
      summary: 'Backups of configured sources',
      verbs: [
        {
          name: 'run',
          describe: async () => (await import('./descriptions/backup-run.ts')).backupRunDescription,
          load: async () => (await import('./commands/backup-run.ts')).backupRunCommand,
        },
        {
          name: 'archive',
          describe: async () => (await import('./descriptions/backup-archive.ts')).backupArchiveDescription,
          load: async () => (await import('./commands/backup-archive.ts')).backupArchiveCommand,
        },
      ],
    },
    {
      name: 'copy',
      summary: 'Copies of configured sources',
      verbs: [
        {
          name: 'list',
          describe: async () => (await import('./descriptions/copy-list.ts')).copyListDescription,
          load: async () => (await import('./commands/copy-list.ts')).copyListCommand,
        },
      ],
    },
    {
      name: 'config',
      summary: 'The configuration, holdfast.yaml',
      verbs: [
        {
          name: 'check',
          describe: async () => (await import('./descriptions/config.ts')).configCheckDescription,
          load: async () => (await import('./commands/config-check.ts')).configCheckCommand,
        },
        {
          name: 'show',
          describe: async () => (await import('./descriptions/config.ts')).configShowDescription,
          load: async () => (await import('./commands/config-show.ts')).configShowCommand,
        },
      ],
    },
    {
      name: 'restore',
      summary: 'Restores of configured sources',
      verbs: [
        {
          name: 'run',
          describe: async () => (await import('./descriptions/restore-run.ts')).restoreRunDescription,
          load: async () => (await import('./commands/restore-run.ts')).restoreRunCommand,
        },
      ],
    },
    {
      name: 'source',
      summary: 'What is protected',
      verbs: [
        {
          name: 'check',
          describe: async () => (await import('./descriptions/source.ts')).sourceCheckDescription,
          load: async () => (await import('./commands/source-check.ts')).sourceCheckCommand,
        },
        {
          name: 'doctor',
          describe: async () => (await import('./descriptions/source.ts')).sourceDoctorDescription,
          load: async () => (await import('./commands/source-doctor.ts')).sourceDoctorCommand,
        },
        {
          name: 'list',
          describe: async () => (await import('./descriptions/source.ts')).sourceListDescription,
          load: async () => (await import('./commands/source-list.ts')).sourceListCommand,
        },
        {
          name: 'test',
          describe: async () => (await import('./descriptions/source.ts')).sourceTestDescription,
          load: async () => (await import('./commands/source-test.ts')).sourceTestCommand,
        },
      ],
    },
    {
      name: 'storage',
      summary: 'Stores that repositories lie in',
      verbs: [
        {
          name: 'speed',
          describe: async () => (await import('./descriptions/storage.ts')).storageSpeedDescription,
          load: async () => (await import('./commands/storage-speed.ts')).storageSpeedCommand,
        },
        {
          name: 'undelete',
          describe: async () => (await import('./descriptions/storage.ts')).storageUndeleteDescription,
          load: async () => (await import('./commands/storage-undelete.ts')).storageUndeleteCommand,
        },
        {
          name: 'usage',
          describe: async () => (await import('./descriptions/storage.ts')).storageUsageDescription,
          load: async () => (await import('./commands/storage-usage.ts')).storageUsageCommand,
        },
        {
          name: 'verify',
          describe: async () => (await import('./descriptions/storage.ts')).storageVerifyDescription,
          load: async () => (await import('./commands/storage-verify.ts')).storageVerifyCommand,
        },
      ],
    },
    {
      name: 'verify',
      summary: 'Proofs of snapshots',
      verbs: [
        {
          name: 'run',
          describe: async () => (await import('./descriptions/verify-run.ts')).verifyRunDescription,
          load: async () => (await import('./commands/verify-run.ts')).verifyRunCommand,
        },
      ],
    },
  ],
}
