import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ForgetGolden } from '../../../test/support/forget-golden.ts'
import { forgetPolicies } from '../../../test/support/forget-histories.ts'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { systemClock } from '../../lib/clock.ts'
import { applyPolicy } from './forget-policy.ts'

const golden = join(import.meta.dirname, '../../../test/golden/forget')

describe.each(readdirSync(golden))('recorded from restic %s', (file) => {
  const { snapshots, kept } = JSON.parse(readFileSync(join(golden, file), 'utf8')) as ForgetGolden
  const all = snapshots.map(([time, hostname, tags], uid) => makeSnapshot(time, { hostname, tags, uid }))

  test.each(Object.keys(kept))('%s', (options) => {
    const ours = Object.keys(kept[options]!).map((host) => {
      const history = all.filter(({ hostname }) => hostname === host)
      const { reasons } = applyPolicy(history, forgetPolicies.get(options)!, systemClock.now())
      return [host, reasons.map(({ snapshot, matches }) => [snapshot.uid, matches])]
    })
    expect(ours.length).toBe(16)
    expect(Object.fromEntries(ours)).toEqual(kept[options])
  })
})
