import { describe, expect, test } from 'vitest'
import { lacks } from '../../test/support/requirements.ts'
import {
  memoryRepository,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../test/support/test-repository.ts'
import { backupEntries } from '../engine/archive/entries-backup.ts'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import { storeJson } from '../sources/json-file.ts'
import type { ProofLevel } from '../sources/proof.ts'
import { orphanedVerifications, proofsOf } from './verification.ts'
import { saveVerification, type Verification } from './verification-record.ts'

async function snapshotOf(repository: Repository, content: object): Promise<StoredSnapshot> {
  const { snapshot } = await backupEntries(repository, {
    ...plainOptions(repository, ['source=shop', 'kind=backup']),
    paths: ['/shop'],
    write: async (entries) => {
      const attributes = { mtime: { seconds: 1, nanoseconds: 0, offsetSeconds: 0 }, uid: 0, gid: 0 }
      entries.directory('/shop', { ...attributes, mode: 0o700 })
      await storeJson(entries, '/shop/file', content, attributes)
    },
  })
  return snapshot!
}

const verification = (
  of: StoredSnapshot,
  outcome: Verification['outcome'],
  proved: ProofLevel | undefined,
): Verification => ({
  format: 1,
  source: 'shop',
  tree: of.tree!,
  snapshot: of.id,
  asked: 'data',
  proved,
  outcome,
  checks: [],
  facts: {},
  started: '2026-11-21T00:00:00Z',
  ended: '2026-11-21T00:00:01Z',
  program: 'holdfast test',
})

const LABELS = { username: 'me', uid: 1, gid: 1, programVersion: 'holdfast test' }

describe('the record of a verification', () => {
  test.each<[string, readonly [Verification['outcome'], ProofLevel | undefined][], object]>([
    ['one that passed', [['passed', 'data']], { level: 'data', failed: undefined }],
    ['one that could not go on', [['unproved', 'structure']], { level: 'structure', failed: undefined }],
    ['one that found nothing right', [['failed', undefined]], { level: undefined, failed: 'checksum' }],
    [
      'a shorter look later',
      [
        ['passed', 'data'],
        ['passed', 'checksum'],
      ],
      { level: 'data', failed: undefined },
    ],
    [
      'a failure later',
      [
        ['passed', 'data'],
        ['failed', 'checksum'],
      ],
      { level: 'checksum', failed: 'structure' },
    ],
    [
      'a failure, and a look that does not go as far',
      [
        ['failed', 'structure'],
        ['passed', 'checksum'],
      ],
      { level: 'structure', failed: 'restore' },
    ],
    [
      'a failure that was mended',
      [
        ['failed', 'structure'],
        ['passed', 'data'],
      ],
      { level: 'data', failed: undefined },
    ],
  ])('says how far a snapshot is proved after %s', async (_, outcomes, expected) => {
    const repository = await memoryRepository()
    const snapshot = await snapshotOf(repository, { a: 1 })
    for (const [outcome, proved] of outcomes)
      await saveVerification(repository, verification(snapshot, outcome, proved), snapshot, LABELS)
    const proofs = proofsOf(await loadSnapshots(repository))
    expect([...proofs.keys()]).toEqual([snapshot.tree])
    expect(proofs.get(snapshot.tree!)).toMatchObject(expected)
  })

  test('goes when nothing is left that it is about', async () => {
    const repository = await memoryRepository()
    const one = await snapshotOf(repository, { a: 1 })
    const other = await snapshotOf(repository, { a: 2 })
    const same = await snapshotOf(repository, { a: 1 })
    const record = await saveVerification(repository, verification(one, 'passed', 'data'), one, LABELS)
    await saveVerification(repository, verification(other, 'passed', 'data'), other, LABELS)
    const all = await loadSnapshots(repository)
    const without = (...gone: readonly StoredSnapshot[]) =>
      orphanedVerifications(all.filter(({ id }) => !gone.some((snapshot) => snapshot.id === id))).map(({ id }) => id)
    expect(without()).toEqual([])
    expect(without(one)).toEqual([])
    expect(without(one, same)).toEqual([record.id])
  })

  test.skipIf(lacks('restic'))('can be read by restic, for whom the latest snapshot is still the data', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    const snapshot = await snapshotOf(repository, { a: 1 })
    const written = verification(snapshot, 'passed', 'data')
    const record = await saveVerification(repository, written, snapshot, LABELS)
    await repository.close()
    expect(restic(path, 'ls', 'latest').stdout).toContain('/shop/file')
    const { stdout } = restic(path, 'dump', record.id, `/verification/shop/${snapshot.tree}/record.json`)
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(written)))
    expect(restic(path, 'check', '--read-data').status).toBe(0)
  })
})
