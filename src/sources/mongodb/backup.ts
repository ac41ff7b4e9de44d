import { BSON } from 'mongodb'
import { backupEntries } from '../../engine/archive/entries-backup.ts'
import { sha256Hex } from '../../engine/kernels/sha256.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { formatTime, localTimestamp } from '../../lib/go-time.ts'
import type { BackupJob, SourceBackup } from '../source.ts'
import { encodeEntry, readCatalog } from './catalog.ts'
import { Dump } from './dump.ts'
import { DumpWriter, metadataPath } from './dump-writer.ts'
import type { DumpedCollection, MongoManifest } from './manifest.ts'
import { chooseMember } from './member.ts'
import { namespaceText } from './names.ts'
import { timeText } from './op-time.ts'
import { namespaceFilter, requireCollections, unmatchedPatterns } from './selection.ts'
import { checkSameSet, readState, refuseResharding } from './server-state.ts'
import type { MongoSettings } from './settings.ts'
import { previousManifest, SnapshotFiles } from './snapshot-files.ts'

export interface MongoBackup {
  readonly source: string
  readonly settings: MongoSettings
  readonly password: string | undefined
  readonly clock: Clock
  /** Collections of twice as much are read by several cursors. */
  readonly partBytes?: number
}

const NO_INCREMENTS = 'all documents were read: a server does not tell which ones changed'

/**
 * Makes a snapshot of a replica set or a standalone server: a directory of mongodump, read from one member.
 * @throws HoldfastError when there is no snapshot, with what to do about it
 */
export async function backupServer(backup: MongoBackup, job: BackupJob): Promise<SourceBackup> {
  const { source, settings, password, clock, partBytes } = backup
  const { repository, options, type: asked } = job
  const { parent, signal, labels } = options
  const now = (): string => formatTime(localTimestamp(clock.now()))
  const started = now()
  const previous = parent && (await previousManifest(new SnapshotFiles(repository, rootOf(parent), source, signal)))
  await using member = await chooseMember({ settings, password, signal })
  const { connection, facts } = member
  const state = await readState(connection, facts)
  checkSameSet(source, previous?.server, state.setId)
  await refuseResharding(connection)
  const isSelected = namespaceFilter(settings.include, settings.exclude)
  const catalog = await readCatalog(connection, { isIncluded: isSelected }, signal)
  requireCollections(source, job.require, catalog)
  const absent = unmatchedPatterns(settings.include, catalog)
  const reason = asked === 'full' ? undefined : NO_INCREMENTS
  const before = new Map((previous?.collections ?? []).map((one) => [namespaceText(one), one.data]))
  let manifest: MongoManifest | undefined
  const result = await backupEntries(repository, {
    ...options,
    paths: [`/${source}`],
    lateTags: () => ['type=full', ...(manifest?.end === undefined ? [] : [`point=${manifest.end.time}`])],
    write: async (entries) => {
      const { time: mtime, uid, gid } = labels
      const writer = new DumpWriter(entries, source, { mtime, uid, gid })
      await writer.prelude(facts.version, labels.programVersion)
      const dump = new Dump({
        connection,
        facts,
        writer,
        settings,
        clock,
        isSelected,
        catalog,
        previous: (one) => before.get(namespaceText(one)),
        partBytes,
        signal,
      })
      await dump.run()
      const { consistency, start, end, oplog } = dump.outcome
      manifest = {
        format: 1,
        source,
        type: 'mongodb',
        server: {
          version: facts.version,
          product: facts.product,
          fcv: state.fcv,
          topology: facts.topology === 'standalone' ? 'standalone' : 'replica set',
          setName: facts.setName,
          setId: state.setId,
          member: member.name,
          role: facts.role,
        },
        consistency: consistency.mode,
        consistencyReason: consistency.reason,
        start: start === undefined ? undefined : { time: timeText(start), term: undefined },
        end: end && { time: timeText(end.time), term: end.term },
        oplog,
        isWhole: settings.include.length === 0,
        collections: dump.collections.map(({ entry, data }): DumpedCollection => {
          const { database, collection, type, uuid } = entry
          const query = settings.query[namespaceText(entry)]
          return {
            database,
            collection,
            type,
            uuid,
            indexes: indexNames(entry.indexes),
            metadata: metadataPath(entry),
            definition: sha256Hex(encodeEntry(entry)),
            data,
            query: query && BSON.EJSON.stringify(query, { relaxed: false }),
          }
        }),
        asked,
        done: 'full',
        reason,
        started,
        ended: now(),
        warnings: dump.warnings,
      }
      await writer.finish(
        manifest,
        dump.collections.map(({ entry }) => entry),
      )
    },
  })
  const { warnings, end } = manifest!
  for (const pattern of absent) {
    const error = new HoldfastError('HF_REQUIRED_MISSING', `${pattern} is not there, and the source names it`, {
      hint: 'bring it back, or take it out of the configuration',
    })
    options.observer.onError(`/${source}/data`, error)
  }
  for (const warning of warnings) options.observer.onError(`/${source}/data`, new Error(warning))
  return {
    result: { ...result, errors: result.errors + warnings.length + absent.length },
    type: 'full',
    reason,
    point: end?.time,
  }
}

const indexNames = (indexes: readonly Buffer[]): readonly string[] =>
  indexes.map((index) => String(BSON.deserialize(index).name))
