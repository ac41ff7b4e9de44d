import { Sha256Stream } from '../../../engine/kernels/sha256.ts'
import { toHex } from '../../../lib/bytes.ts'
import { type ErrorCode, isHoldfastError } from '../../../lib/errors.ts'
import type { ProofCheck, ProofJob } from '../../proof.ts'
import { type DatabaseFingerprint, Fingerprint, sameFunctions, sameTotals } from '../fingerprint.ts'
import type { RedisManifest } from '../manifest.ts'
import { keyCount } from '../plan-text.ts'
import { RdbReader, type RdbSummary } from '../rdb/reader.ts'
import { openSnapshot, type RedisSnapshot } from '../snapshot.ts'

/** What says that a snapshot is not as it should be, rather than that it could not be looked at. */
const damages: ReadonlySet<ErrorCode> = new Set([
  'HF_SOURCE_DAMAGED',
  'HF_DATA_DAMAGED',
  'HF_PATH_NOT_FOUND',
  'HF_BLOB_NOT_FOUND',
  'HF_PACK_DAMAGED',
  'HF_TREE_INVALID',
  'HF_CRYPTO_AUTH',
  'HF_INDEX_INCOMPLETE',
  'HF_STORAGE_NOT_FOUND',
])

/** How a check ends with this error. @throws the error when it says nothing about the snapshot */
export function outcomeOf(error: unknown): Pick<ProofCheck, 'outcome' | 'detail'> {
  if (isHoldfastError(error)) {
    if (damages.has(error.code)) return { outcome: 'failed', detail: error.message }
    if (error.code === 'HF_SOURCE_UNSUPPORTED') return { outcome: 'skipped', detail: error.message }
  }
  throw error
}

/** The snapshot, or undefined when it cannot be opened, which is reported then. */
export async function openForProof(
  { repository, snapshot, report, signal }: ProofJob,
  level: ProofCheck['level'],
): Promise<RedisSnapshot | undefined> {
  try {
    return await openSnapshot(repository, snapshot, signal)
  } catch (error) {
    report({ level, name: 'manifest, server record and dump.rdb', ...outcomeOf(error) })
    return undefined
  }
}

/** Reads the RDB file whole, decodes every value, and compares with what the manifest says was read at the backup. */
export async function checkStructure(job: ProofJob): Promise<void> {
  const snapshot = await openForProof(job, 'structure')
  if (snapshot === undefined) return
  const report = (name: string, check: Pick<ProofCheck, 'outcome' | 'detail'>): void =>
    job.report({ level: 'structure', name, ...check })
  report('manifest, server record and dump.rdb', { outcome: 'passed' })
  const fingerprint = new Fingerprint()
  const hash = new Sha256Stream()
  let summary: RdbSummary
  try {
    const reader = new RdbReader({ onEntry: (entry) => fingerprint.add(entry) })
    for await (const piece of snapshot.rdb(job.signal)) {
      reader.push(piece)
      hash.update(piece)
    }
    summary = reader.end()
  } catch (error) {
    report('every value of dump.rdb', outcomeOf(error))
    return
  }
  report('every value of dump.rdb', { outcome: 'passed' })
  report(
    'checksum of dump.rdb',
    summary.checksum === 'matches'
      ? { outcome: 'passed' }
      : { outcome: 'not applicable', detail: 'the server wrote none: it has `rdbchecksum no`' },
  )
  const { manifest } = snapshot
  const content = { bytes: summary.bytes, sha256: toHex(hash.digest()) }
  report(
    'size and SHA-256 of dump.rdb',
    content.bytes === manifest.rdb.bytes && content.sha256 === manifest.rdb.sha256
      ? { outcome: 'passed' }
      : {
          outcome: 'failed',
          detail: `the manifest is of a file of ${manifest.rdb.bytes} bytes with ${manifest.rdb.sha256}; this one has ${content.bytes} and ${content.sha256}`,
        },
  )
  for (const [name, check] of databaseChecks(manifest, fingerprint.databases)) report(name, check)
  if (manifest.functions.libraries + summary.functions.libraries === 0)
    report('functions', { outcome: 'not applicable', detail: 'there are none' })
  else
    report(
      'functions',
      sameFunctions(manifest.functions, summary.functions)
        ? { outcome: 'passed' }
        : { outcome: 'failed', detail: 'the libraries are others than those that were read at the backup' },
    )
}

function* databaseChecks(
  manifest: RedisManifest,
  found: readonly DatabaseFingerprint[],
): Generator<[string, Pick<ProofCheck, 'outcome' | 'detail'>]> {
  const numbers = new Set([...manifest.databases, ...found].map(({ db }) => db))
  if (numbers.size === 0) yield ['keys', { outcome: 'passed', detail: 'there were none, and are none' }]
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const before = manifest.databases.find(({ db }) => db === number)
    const now = found.find(({ db }) => db === number)
    const isEqual = sameTotals(before?.all, now?.all) && sameTotals(before?.expiring, now?.expiring)
    const counts = `${keyCount(before?.all.keys ?? 0)} were read at the backup, ${keyCount(now?.all.keys ?? 0)} are here`
    yield [
      `keys of database ${number}`,
      isEqual
        ? { outcome: 'passed', detail: keyCount(now!.all.keys) }
        : { outcome: 'failed', detail: before?.all.keys === now?.all.keys ? `${counts}, and they differ` : counts },
    ]
  }
}
