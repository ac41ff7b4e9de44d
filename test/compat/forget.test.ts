import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  applyPolicy,
  emptyPolicy,
  type ForgetPolicy,
  forgetGroupJson,
} from '../../src/engine/repository/forget-policy.ts'
import { initRepository, openRepository, type Repository } from '../../src/engine/repository/repository.ts'
import { decodeSnapshot, encodeSnapshot, type StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { groupSnapshots } from '../../src/engine/repository/snapshot-group.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { parseCalendarDuration } from '../../src/lib/durations.ts'
import { goJson } from '../../src/lib/go-json.ts'
import { makeSnapshot } from '../support/make-snapshot.ts'
import { findRestic, runRestic } from '../support/restic-trees.ts'

const programs = ['restic', process.env.RESTIC_NEWEST ?? 'restic-newest'].filter((p) => findRestic(p) !== undefined)
const scratch = mkdtempSync(join(tmpdir(), 'compat-forget-'))
const credentials = { password: 'golden' }
const HISTORIES = 40

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Options of a command line, and what they should mean. */
const policies: readonly (readonly [options: string, policy: Partial<ForgetPolicy>])[] = [
  ['--keep-last 3', { last: 3 }],
  ['--keep-hourly 5', { hourly: 5 }],
  ['--keep-daily 7 --keep-weekly 3 --keep-monthly 4 --keep-yearly 2', { daily: 7, weekly: 3, monthly: 4, yearly: 2 }],
  ['--keep-weekly 60', { weekly: 60 }],
  ['--keep-yearly unlimited --keep-last 1', { yearly: 'unlimited', last: 1 }],
  ['--keep-within 1m14d', { within: parseCalendarDuration('1m14d') }],
  [
    '--keep-within-hourly 36h --keep-within-daily 20d --keep-within-weekly 3m --keep-within-monthly 1y --keep-within-yearly 9999y',
    {
      withinHourly: parseCalendarDuration('36h'),
      withinDaily: parseCalendarDuration('20d'),
      withinWeekly: parseCalendarDuration('3m'),
      withinMonthly: parseCalendarDuration('1y'),
      withinYearly: parseCalendarDuration('9999y'),
    },
  ],
  ['--keep-tag a,b --keep-tag c --keep-last 1', { tags: [['a', 'b'], ['c']], last: 1 }],
]

/** Histories of different density, zones and tags; one host each, no two snapshots of one history at the same time. */
function generateHistories(): StoredSnapshot[] {
  const offsets = ['Z', '+02:00', '-05:30', '+14:00']
  const history = fc.tuple(
    fc.constantFrom(40, 3000, 80_000),
    fc.uniqueArray(fc.nat(1000), { minLength: 1, maxLength: 25 }),
    fc.infiniteStream(fc.tuple(fc.constantFrom(...offsets), fc.subarray(['a', 'b', 'c']))),
  )
  return fc.sample(history, { numRuns: HISTORIES, seed: 4 }).flatMap(([spacingSeconds, steps, details], host) =>
    steps.map((step) => {
      const [offset, tags] = details.next().value
      const time = new Date(Date.UTC(2022, 9, 30) + step * spacingSeconds * 1000).toISOString().slice(0, 19)
      return makeSnapshot(`${time}${offset}`, { hostname: `host${host}`, tags, paths: ['/z', '/<a>'] })
    }),
  )
}

describe.skipIf(programs.length === 0).each(programs)('%s and we', (program) => {
  const folder = join(scratch, `repository-${programs.indexOf(program)}`)
  let repository: Repository
  let snapshots: StoredSnapshot[]

  beforeAll(async () => {
    repository = await initRepository(openLocalStorage(folder), credentials, { key: { kdf: { N: 1024, r: 8, p: 1 } } })
    snapshots = []
    for (const snapshot of generateHistories()) {
      const id = await repository.saveUnpacked('snapshot', encodeSnapshot(snapshot))
      snapshots.push({ ...snapshot, id })
    }
  })

  // The rules of recent versions: before 0.16 the oldest snapshot was not kept while a count lasts.
  const oldRules = /^0\.1[0-6]\./.test(findRestic(program) ?? '')

  test.skipIf(oldRules).each(policies)('agree on what forget %s keeps, and why', (options, fields) => {
    const printed = runRestic(program, folder, [
      'forget',
      '--dry-run',
      '--json',
      '--group-by',
      'host,paths',
      ...options.split(' '),
    ])
    const theirs = JSON.parse(printed.toString().split('\n')[0]!) as { host: string }[]
    const ours = groupSnapshots(snapshots, { host: true, paths: true, tags: false }).map((group) =>
      forgetGroupJson(group, applyPolicy(group.snapshots, { ...emptyPolicy, ...fields }, systemClock.now())),
    )
    expect(ours.length).toBe(HISTORIES)
    const byHost = new Map(theirs.map((group) => [group.host, goJson(group)]))
    for (const group of ours) expect(goJson(group)).toBe(byHost.get(group.host as string))
  })

  test('write a snapshot with the same bytes', async () => {
    const source = join(scratch, `source-${programs.indexOf(program)}`)
    mkdirSync(source)
    writeFileSync(join(source, 'file'), 'x')
    const before = new Set(await repository.list('snapshot'))
    const options = ['--host', 'h<1>', '--tag', 'a,b', '--exclude', '*.tmp', '--time', '2024-05-06 07:08:09']
    runRestic(program, folder, ['backup', ...options, source])
    const opened = await openRepository(openLocalStorage(folder), credentials)
    const written = (await opened.list('snapshot')).filter((id) => !before.has(id))
    expect(written.length).toBe(1)
    const stored = await opened.loadUnpacked('snapshot', written[0]!)
    const snapshot = decodeSnapshot(stored, written[0]!)
    expect(snapshot).toMatchObject({ hostname: 'h<1>', tags: ['a', 'b'], excludes: ['*.tmp'], paths: [source] })
    // Old versions ended the file with a line feed.
    expect(Buffer.from(encodeSnapshot(snapshot)).toString()).toBe(Buffer.from(stored).toString().trimEnd())
  })
})
