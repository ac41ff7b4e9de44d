import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyPolicy, forgetGroupJson } from '../../src/engine/repository/forget-policy.ts'
import { openRepository } from '../../src/engine/repository/repository.ts'
import { decodeSnapshot, encodeSnapshot, type StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { groupSnapshots } from '../../src/engine/repository/snapshot-group.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { goJson } from '../../src/lib/go-json.ts'
import { askRestic, forgetPolicies, generateHistories, storeSnapshots } from '../support/forget-histories.ts'
import { lacks } from '../support/requirements.ts'
import { resticPrograms, resticVersion, runRestic } from '../support/restic-trees.ts'

const scratch = mkdtempSync(join(tmpdir(), 'compat-forget-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

// Before 0.16 restic did not keep the oldest snapshot while a count lasted; what it does since is in test/golden/forget too.
const recent = lacks('restic') ? [] : resticPrograms.filter((program) => !/^0\.1[0-6]\./.test(resticVersion(program)))

describe.each(recent)('%s and we', (program) => {
  const folder = join(scratch, `histories-${resticPrograms.indexOf(program)}`)
  let snapshots: StoredSnapshot[]

  beforeAll(async () => {
    snapshots = await storeSnapshots(folder, generateHistories(40))
  })

  test.each([...forgetPolicies])('agree on what forget %s keeps, and why', (options, policy) => {
    const theirs = new Map(askRestic(program, folder, options).map((group) => [group.host, goJson(group)]))
    const groups = groupSnapshots(snapshots, { host: true, paths: true, tags: false })
    expect(groups.length).toBe(40)
    for (const group of groups) {
      const ours = forgetGroupJson(group, applyPolicy(group.snapshots, policy, systemClock.now()))
      expect(goJson(ours)).toBe(theirs.get(group.key.hostname))
    }
  })
})

describe.skipIf(lacks('restic')).each(resticPrograms)('%s and we', (program) => {
  test('write a snapshot with the same bytes', async () => {
    const folder = join(scratch, `snapshot-${resticPrograms.indexOf(program)}`)
    const source = join(scratch, `source-${resticPrograms.indexOf(program)}`)
    mkdirSync(source)
    writeFileSync(join(source, 'file'), 'x')
    await storeSnapshots(folder, [])
    const options = ['--host', 'h<1>', '--tag', 'a,b', '--exclude', '*.tmp', '--time', '2024-05-06 07:08:09']
    runRestic(program, folder, ['backup', ...options, source])
    const repository = await openRepository(openLocalStorage(folder), { password: 'golden' })
    const [id] = await repository.list('snapshot')
    const stored = await repository.loadUnpacked('snapshot', id!)
    const snapshot = decodeSnapshot(stored, id!)
    expect(snapshot).toMatchObject({ hostname: 'h<1>', tags: ['a', 'b'], excludes: ['*.tmp'], paths: [source] })
    // Old versions ended the file with a line feed.
    expect(Buffer.from(encodeSnapshot(snapshot)).toString()).toBe(Buffer.from(stored).toString().trimEnd())
  })
})
