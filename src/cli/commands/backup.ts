import { availableParallelism, hostname } from 'node:os'
import { backupFiles, backupStream } from '../../engine/archive/backup.ts'
import { createSelector, patternSources, readPatternFiles, type Selector } from '../../engine/archive/filter/index.ts'
import { ReadAhead } from '../../engine/archive/read-ahead.ts'
import type { BackupResult, BackupOptions as EngineOptions } from '../../engine/archive/run-backup.ts'
import { scanTargets } from '../../engine/archive/scan.ts'
import { missingFeatures } from '../../engine/posix/missing-features.ts'
import { userName } from '../../engine/posix/owner-names.ts'
import { type ByteString, byteStringToText } from '../../engine/repository/tree/node.ts'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { localTimestamp, type Timestamp } from '../../lib/go-time.ts'
import { shortId } from '../../lib/id.ts'
import { absolutePaths, existingTargets } from '../backup-targets.ts'
import type { Command } from '../command.ts'
import { readCommandOutput } from '../command-output.ts'
import type { CommandContext } from '../context.ts'
import { type BackupOptions, backupDescription } from '../descriptions/backup.ts'
import { usageError } from '../descriptions/usage.ts'
import { BackupReport } from '../output/backup-report.ts'
import { chooseParent } from '../parent-choice.ts'
import { cacheDirectoryOf, type RepositorySession, resolveRepository, withRepository } from '../repository-session.ts'
import { readInput } from '../standard-input.ts'
import { versionFacts } from '../version.ts'

export const backupCommand: Command<BackupOptions> = {
  ...backupDescription,
  async run(context, options, args) {
    await refuseTwoUsesOfInput(context, options)
    const isComplete =
      options.stdin || options.stdinFromCommand
        ? await backUpStream(context, options, args)
        : await backUpFiles(context, options, args)
    if (isComplete) return 0
    throw new HoldfastError('HF_INCOMPLETE', 'at least one source file could not be read')
  },
}

/** A backup that is ready to begin. */
interface Start extends RepositorySession {
  readonly report: BackupReport
  /** What the engine is told, whatever is backed up. */
  readonly common: EngineOptions
}

/** Backs up files and folders; whether all could be read. */
async function backUpFiles(context: CommandContext, options: BackupOptions, args: readonly string[]): Promise<boolean> {
  const { output } = context
  const { targets, isComplete } = await existingTargets(context, options, args)
  const selector = await selectorOf(context, options, targets)
  const readAhead = new ReadAhead(selector)
  void readAhead.run(targets)
  try {
    const names = `[${targets.map(byteStringToText).join(' ')}]`
    const { errors } = await backUp(context, options, absolutePaths(targets), async (start) => {
      const missing = missingFeatures()
      if (missing.length > 0) start.report.warn(`without native calls (the package koffi): ${missing.join('; ')}`)
      const scan = options.noScan ? undefined : startScan(start.report, targets, selector)
      if (scan !== undefined) output.detail(`start scan on ${names}`)
      output.detail(`start backup on ${names}`)
      try {
        return await backupFiles(start.repository, {
          ...start.common,
          targets,
          selector,
          ignoreCtime: options.ignoreCtime,
          ignoreInode: options.ignoreInode,
          withAccessTime: options.withAtime,
          readAhead,
        })
      } finally {
        scan?.abort()
      }
    })
    return isComplete && errors === 0
  } finally {
    readAhead.stop()
  }
}

/** Backs up standard input or what a command prints. */
async function backUpStream(
  context: CommandContext,
  options: BackupOptions,
  args: readonly string[],
): Promise<boolean> {
  const { output, stdin } = context
  const filename = options.stdinFilename
  const { errors } = await backUp(context, options, options.stdin ? undefined : [], async (start) => {
    const { repository, signal, common } = start
    output.detail('read data from stdin')
    const input = options.stdinFromCommand
      ? readCommandOutput(args, {
          signal,
          onErrorLine: (line) => output.warn(`subprocess ${args[0]}: ${line}`),
        })
      : readInput(stdin, signal)
    output.detail(`start backup on [${filename}]`)
    return backupStream(repository, { ...common, filename, input: notEmpty(input, filename) })
  })
  return errors === 0
}

/** Opens the repository, finds the parent (none is looked for without `paths`), loads the index, backs up, tells what came of it. */
async function backUp(
  context: CommandContext,
  options: BackupOptions,
  paths: readonly string[] | undefined,
  work: (start: Start) => Promise<BackupResult>,
): Promise<BackupResult> {
  const { output, clock } = context
  const time = options.time ?? localTimestamp(clock.now())
  const host = options.host || hostname()
  output.detail('open repository')
  return withRepository(context, { lock: 'append', early: true, dryRun: options.dryRun }, async (session) => {
    const { repository, signal } = session
    const report = new BackupReport(context)
    try {
      const parent = paths && (await chooseParent(repository, options, { host, paths, time, report, signal }))
      if (parent !== undefined) output.print(`using parent snapshot ${shortId(parent.id)}`)
      else if (paths !== undefined) output.print('no parent snapshot found, will read all files')
      output.detail('load index files')
      await repository.loadIndex(signal)
      const common: EngineOptions = {
        labels: labelsOf(options, time, host),
        parent,
        skipIfUnchanged: options.skipIfUnchanged,
        threads: options.readConcurrency || Math.max(2, availableParallelism()),
        dryRun: options.dryRun,
        observer: report.observer(),
        signal,
      }
      const result = await work({ ...session, report, common })
      await session.settled
      report.finish(result.summary, result.snapshot?.id, options.dryRun)
      return result
    } finally {
      report.stop()
    }
  })
}

function labelsOf({ tags, excludes }: BackupOptions, time: Timestamp, host: string): EngineOptions['labels'] {
  const uid = process.getuid?.() ?? 0
  return {
    time,
    host,
    username: userName(uid),
    uid,
    gid: process.getgid?.() ?? 0,
    tags: tags.flat(),
    excludes,
    programVersion: `holdfast ${versionFacts().version}`,
  }
}

async function selectorOf(
  context: CommandContext,
  options: BackupOptions,
  targets: readonly ByteString[],
): Promise<Selector> {
  const { output, environment } = context
  const files = (paths: readonly string[], name: string) => readPatternFiles(paths, name, environment)
  const cacheDirectory = cacheDirectoryOf(context)
  return createSelector({
    targets: targets.map((target) => Buffer.from(target, 'latin1')),
    exclude: [...patternSources(options.excludes), ...(await files(options.excludeFiles, '--exclude-file'))],
    iexclude: [
      ...patternSources(options.insensitiveExcludes),
      ...(await files(options.insensitiveExcludeFiles, '--iexclude-file')),
    ],
    excludeIfPresent: options.excludeIfPresent.map(({ name, header }) =>
      header === undefined ? name : `${name}:${header}`,
    ),
    excludeCaches: options.excludeCaches,
    excludeLargerThanBytes: options.excludeLargerThanBytes,
    oneFileSystem: options.oneFileSystem,
    cacheDirectory: cacheDirectory === undefined ? undefined : Buffer.from(cacheDirectory),
    warn: (message) => output.warn(message),
  })
}

/** Counts what there is, when somebody looks; abort what it returns when the backup has ended. */
function startScan(
  report: BackupReport,
  targets: readonly ByteString[],
  selector: Selector,
): AbortController | undefined {
  if (!report.wantsTotals) return undefined
  const controller = new AbortController()
  const startMs = monotonicMilliseconds()
  void scanTargets(targets, {
    selector,
    signal: controller.signal,
    onTotals: (totals) => {
      report.total = totals
    },
    onError: (item, error) => report.scanFailed(item, error),
  }).then((totals) => {
    if (!controller.signal.aborted) report.scanned(totals, monotonicMilliseconds() - startMs)
  })
  return controller
}

/** An empty stream is more likely a broken pipe than something worth keeping. */
async function* notEmpty(input: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  let isEmpty = true
  for await (const chunk of input) {
    isEmpty &&= chunk.length === 0
    yield chunk
  }
  if (isEmpty)
    throw new HoldfastError('HF_SOURCE_UNREADABLE', `no data was read for ${name}`, {
      hint: 'no snapshot was made; check the command that should have sent something',
    })
}

async function refuseTwoUsesOfInput(context: CommandContext, options: BackupOptions): Promise<void> {
  const holdsData = options.stdin && !options.stdinFromCommand
  const holdsFiles = [...options.filesFrom, ...options.filesFromVerbatim, ...options.filesFromRaw].includes('-')
  if ((!holdsData && !holdsFiles) || (await resolveRepository(context)).password?.kind !== 'prompt') return
  throw usageError(
    `standard input cannot hold both the password and the ${holdsData ? 'data' : 'list of files'}`,
    'give --password-file or --password-command, or set HOLDFAST_PASSWORD',
  )
}
