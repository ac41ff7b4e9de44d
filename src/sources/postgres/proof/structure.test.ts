import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Alteration,
  altered,
  fillServer,
  flipped,
  keepWriting,
  recordedChecks,
  removed,
  replaced,
  shortened,
  snapshotOf,
} from '../../../../test/support/postgres-stage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import { startPostgres } from '../../../../test/support/servers/postgres.ts'
import type { PostgresVersion } from '../../../../test/support/servers/postgres-programs.ts'
import { nodesOf } from '../../../../test/support/stored-nodes.ts'
import { newRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import { checkClusterStructure } from './structure.ts'

describe.each<PostgresVersion>([15, 18])('the structure of a snapshot of PostgreSQL %i', (version) => {
  const isMissing = lacks(version === 15 ? 'postgres15' : 'postgres18')
  let scratch: ReturnType<typeof scratchFolder>
  let repository: Repository
  let snapshot: StoredSnapshot
  let another: StoredSnapshot
  let relation = ''
  let segments: string[] = []
  const segmentBytes = version === 15 ? 16 * 1024 ** 2 : 1024 ** 2

  beforeAll(async () => {
    if (isMissing) return
    scratch = scratchFolder()
    repository = await newRepository(scratch.join('repository'))
    await using server = await startPostgres({ version, initdb: version === 15 ? [] : ['--wal-segsize=1'] })
    await fillServer(server)
    another = await snapshotOf(server, repository)
    const writing = await keepWriting(server)
    // Several segments, and records that go over the borders of pages and segments.
    const bulk = server.sql('CREATE TABLE much AS SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 150000) g')
    snapshot = await snapshotOf(server, repository)
    await Promise.all([writing.stop(), bulk])
    relation = String((await server.sql("SELECT pg_relation_filepath('bulk_md5') AS file"))[0]!.file)
    const names = [...(await nodesOf(repository, snapshot.tree!)).keys()]
    segments = names.filter((name) => /\/pg_wal\/[0-9A-F]{24}$/.test(name)).sort()
  })
  afterAll(() => scratch?.[Symbol.dispose]())

  const check = async (
    changes: Readonly<Record<string, Alteration>>,
    of = snapshot,
  ): Promise<ReturnType<typeof recordedChecks>> => {
    const record = recordedChecks()
    const changed = Object.keys(changes).length === 0 ? of : await altered(repository, of, changes)
    await checkClusterStructure('shop', { repository, snapshot: changed, report: record.report })
    return record
  }

  test.skipIf(isMissing)('is found sound', async () => {
    for (const one of [snapshot, another]) {
      const { checks } = await check({}, one)
      expect(
        checks.map(({ outcome, name, detail }) => (outcome === 'passed' ? '' : `${name}: ${detail}`)).join(''),
      ).toBe('')
      expect(checks.map(({ name }) => name)).toEqual([
        'manifest of the snapshot',
        'backup manifest of the server',
        'files and their sizes',
        'tablespaces',
        'control file and version',
        'backup_label',
        'WAL from the start to the end of the backup',
      ])
      expect(Number(/^([0-9]+) records/.exec(checks.at(-1)!.detail!)![1])).toBeGreaterThan(2)
    }
  })

  test.skipIf(isMissing)('tells every fault, and what it is about', async () => {
    const data = '/shop/data'
    const manifest = (await nodesOf(repository, another.tree!)).get('/shop/.holdfast/manifest.json')!
    const { contentOf } = await import('../../../../test/support/stored-nodes.ts')
    const ofAnother = await contentOf(repository, manifest)
    const faults: readonly (readonly [string, Readonly<Record<string, Alteration>>, RegExp])[] = [
      ['no manifest', { '/shop/.holdfast/manifest.json': removed }, /manifest of the snapshot: there is none/],
      [
        'manifest of another snapshot',
        { '/shop/.holdfast/manifest.json': () => ofAnother },
        /it is of another snapshot/,
      ],
      ['no server manifest', { [`${data}/backup_manifest`]: removed }, /backup_manifest is missing/],
      ['changed server manifest', { [`${data}/backup_manifest`]: flipped(5000) }, /its own checksum/],
      ['missing table', { [`${data}/${relation}`]: removed }, new RegExp(`${relation}: it is missing`)],
      ['cut index', { [`${data}/${relation}`]: shortened(8192) }, new RegExp(`${relation}: it has [0-9]+ bytes`)],
      ['a file too many', { [`${data}/base/intruder`]: () => Buffer.from('x') }, /base\/intruder: the server did not/],
      ['another version', { [`${data}/PG_VERSION`]: () => Buffer.from('12\n') }, /PG_VERSION has the checksum/],
      ['another control file', { [`${data}/global/pg_control`]: flipped(3) }, /pg_control has the checksum/],
      ['no label', { [`${data}/backup_label`]: removed }, /backup_label is missing/],
      [
        'altered label',
        { [`${data}/backup_label`]: replaced('START TIMELINE: 1', 'START TIMELINE: 2') },
        /backup_label has/,
      ],
      ['no segment', { [segments[0]!]: removed }, new RegExp(`${segments[0]!.slice(data.length + 1)}.*missing`)],
      ['cut segment', { [segments[0]!]: shortened(segmentBytes / 2) }, /ends after|of another|checksum|begins with/],
    ]
    for (const [what, changes, expected] of faults) expect((await check(changes)).failures(), what).toMatch(expected)
  })

  test.skipIf(isMissing)('has no byte of the log that may be another one', async () => {
    const { checks } = await check({})
    const [, bytes, unit] = /records, ([0-9.]+) (KiB|MiB|B)$/.exec(checks.at(-1)!.detail!)!
    const length = Number(bytes) * { B: 1, KiB: 1024, MiB: 1024 ** 2 }[unit as 'B']
    const start = Number.parseInt(/from 0\/([0-9A-F]+)/.exec(checks.at(-2)!.detail!)![1]!, 16) % segmentBytes
    let found = 0
    for (const share of [0.05, 0.3, 0.5, 0.77, 0.95]) {
      const at = start + Math.floor((length * share) / 8) * 8 + 3
      const segment = segments[Math.floor(at / segmentBytes)]!
      const failures = (await check({ [segment]: flipped(at % segmentBytes) })).failures()
      // Bytes between records mean nothing to anybody.
      if (failures === '') continue
      found++
      expect(failures).toMatch(new RegExp(`${segment.slice('/shop/data/'.length)} at 0/[0-9A-F]+: `))
    }
    expect(found).toBeGreaterThan(2)
    const inFirstRecord = (await check({ [segments[0]!]: flipped(start + 25) })).failures()
    expect(inFirstRecord).toContain('the checksum of the record is wrong')
  })
})
