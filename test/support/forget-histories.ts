import * as fc from 'fast-check'
import { emptyPolicy, type ForgetPolicy } from '../../src/engine/repository/forget-policy.ts'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { encodeSnapshot, type StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { parseCalendarDuration } from '../../src/lib/durations.ts'
import { makeSnapshot } from './make-snapshot.ts'
import { runRestic } from './restic-trees.ts'

const policy = (fields: Partial<ForgetPolicy>): ForgetPolicy => ({ ...emptyPolicy, ...fields })

/** Options of restic's forget, and what they mean to us. */
export const forgetPolicies: ReadonlyMap<string, ForgetPolicy> = new Map([
  ['--keep-last 3', policy({ last: 3 })],
  ['--keep-hourly 5', policy({ hourly: 5 })],
  [
    '--keep-daily 7 --keep-weekly 3 --keep-monthly 4 --keep-yearly 2',
    policy({ daily: 7, weekly: 3, monthly: 4, yearly: 2 }),
  ],
  ['--keep-weekly 60', policy({ weekly: 60 })],
  ['--keep-yearly unlimited --keep-last 1', policy({ yearly: 'unlimited', last: 1 })],
  ['--keep-within 1m14d', policy({ within: parseCalendarDuration('1m14d') })],
  [
    '--keep-within-hourly 36h --keep-within-daily 20d --keep-within-weekly 3m --keep-within-monthly 1y --keep-within-yearly 9999y',
    policy({
      withinHourly: parseCalendarDuration('36h'),
      withinDaily: parseCalendarDuration('20d'),
      withinWeekly: parseCalendarDuration('3m'),
      withinMonthly: parseCalendarDuration('1y'),
      withinYearly: parseCalendarDuration('9999y'),
    }),
  ],
  ['--keep-tag a,b --keep-tag c --keep-last 1', policy({ tags: [['a', 'b'], ['c']], last: 1 })],
])

/** Histories of different density, zones and tags; one host each, no two snapshots of one history at the same time. */
export function generateHistories(count: number): StoredSnapshot[] {
  const history = fc.tuple(
    fc.constantFrom(41, 3001, 80_011),
    fc.uniqueArray(fc.nat(1000), { minLength: 1, maxLength: 25 }),
    fc.infiniteStream(fc.tuple(fc.constantFrom('Z', '+02:00', '-05:30', '+14:00'), fc.subarray(['a', 'b', 'c']))),
  )
  return fc.sample(history, { numRuns: count, seed: 4 }).flatMap(([spacingSeconds, steps, details], host) =>
    steps.map((step) => {
      const [offset, tags] = details.next().value
      const time = new Date(Date.UTC(2022, 9, 30) + step * spacingSeconds * 1000).toISOString().slice(0, 19)
      return makeSnapshot(`${time}${offset}`, { hostname: `host${host}`, tags, paths: ['/z', '/<a>'] })
    }),
  )
}

/** Makes a repository with these snapshots, which get their ids; the password is that of `runRestic`. */
export async function storeSnapshots(folder: string, snapshots: readonly StoredSnapshot[]): Promise<StoredSnapshot[]> {
  const key = { kdf: { N: 1024, r: 8, p: 1 } }
  const repository = await initRepository(openLocalStorage(folder), { password: 'golden' }, { key })
  const stored: StoredSnapshot[] = []
  for (const snapshot of snapshots)
    stored.push({ ...snapshot, id: await repository.saveUnpacked('snapshot', encodeSnapshot(snapshot)) })
  return stored
}

/** One group of `forget --json`. */
export interface ForgetReport {
  readonly host: string
  readonly reasons:
    | readonly { readonly snapshot: { readonly id: string }; readonly matches: readonly string[] }[]
    | null
}

/** What restic would forget, by host and paths. */
export function askRestic(program: string, folder: string, options: string): ForgetReport[] {
  const args = ['forget', '--dry-run', '--json', '--group-by', 'host,paths', ...options.split(' ')]
  return JSON.parse(runRestic(program, folder, args).toString().split('\n')[0]!) as ForgetReport[]
}
