/**
 * Records what restic forgets: node scripts/record-golden-forget.ts RESTIC
 *
 * Generated histories are judged by the given restic program under several policies; `test/golden/forget/<version>.json` keeps the histories
 * and, for each policy and host, the snapshots that stay (by their place in the list) with the reasons.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatTime } from '../src/lib/go-time.ts'
import type { ForgetGolden } from '../test/support/forget-golden.ts'
import { askRestic, forgetPolicies, generateHistories, storeSnapshots } from '../test/support/forget-histories.ts'
import { resticVersion } from '../test/support/restic-trees.ts'

const [program] = process.argv.slice(2)
if (program === undefined) throw new Error('usage: node scripts/record-golden-forget.ts RESTIC')

const scratch = mkdtempSync(join(tmpdir(), 'golden-forget-'))
try {
  const snapshots = await storeSnapshots(scratch, generateHistories(16))
  const places = new Map(snapshots.map(({ id }, place) => [id, place]))
  const golden: ForgetGolden = {
    snapshots: snapshots.map(({ time, hostname, tags }) => [formatTime(time), hostname, tags]),
    kept: Object.fromEntries(
      [...forgetPolicies.keys()].map((options) => [
        options,
        Object.fromEntries(
          askRestic(program, scratch, options)
            .sort((a, b) => (a.host < b.host ? -1 : 1))
            .map(({ host, reasons }) => [
              host,
              (reasons ?? []).map(({ snapshot, matches }) => [places.get(snapshot.id)!, matches] as const),
            ]),
        ),
      ]),
    ),
  }
  const folder = join(import.meta.dirname, '../test/golden/forget')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${resticVersion(program)}.json`), `${JSON.stringify(golden)}\n`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
