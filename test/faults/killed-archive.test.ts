import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { backupKey } from '../../src/control/missed-snapshots.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { proofsOf } from '../../src/recovery/verification.ts'
import { countFiles, runProgram } from '../support/killed-program.ts'
import { lacks } from '../support/requirements.ts'
import { filesSource, plain, run } from '../support/run-stage.ts'
import { noise } from '../support/storage-victims.ts'
import {
  CHEAP_KDF,
  expectResticContent,
  newRepository,
  PASSWORD,
  reopen,
  scratchFolder,
} from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

const DAY_NS = 86_400_000_000_000n

const daysAgo = (days: number): Clock => ({
  now: () => systemClock.now() - BigInt(days) * DAY_NS,
  sleep: systemClock.sleep,
})

const isBackup = ({ tags }: StoredSnapshot): boolean => tags.includes('kind=backup')

test('moves to an archive that are killed remove nothing that is not proved there, and the next run completes', async () => {
  using scratch = scratchFolder()
  const [main, cold, data] = [scratch.join('main'), scratch.join('cold'), scratch.join('data')]
  const options = { chunkerPolynomial: 0x25b468838dcb75n, key: { kdf: CHEAP_KDF } }
  for (const path of [main, cold]) await (await newRepository(path, options)).close()
  mkdirSync(data)
  for (const [i, days] of [300, 250, 200, 150, 1].entries()) {
    for (let file = 0; file < 4; file++) writeFileSync(join(data, `${file}`), noise(i * 10 + file, 1_500_000))
    const repository = await reopen(main, { packBytes: 4 * 1024 * 1024 })
    await run({ main: repository }, [plain(filesSource('uploads', [data]))], { clock: daysAgo(days), run: `run-${i}` })
  }
  writeFileSync(scratch.join('password'), PASSWORD, { mode: 0o600 })
  const at = (url: string) => ({ url, password: `file:${scratch.join('password')}` })
  const config = {
    version: 1,
    repositories: { main: at(main), cold: at(cold) },
    sources: { uploads: { type: 'files', paths: [data], repositories: ['main'], verify: 'none' } },
  }
  writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify(config))
  // Locks that a killed run leaves are noted in the cache: the next one takes them away.
  const configured = { HOLDFAST_CONFIG: scratch.join('holdfast.yaml'), XDG_CACHE_HOME: scratch.join('cache') }
  const archive = async (when?: () => boolean) => {
    const args = ['--pack-size', '4', 'backup:archive', '--older-than', '90d', '--to', 'cold']
    return await runProgram(args, { environment: configured, when })
  }
  const inRepository = async (path: string): Promise<StoredSnapshot[]> => loadSnapshots(await reopen(path))
  const before = (await inRepository(main)).filter(isBackup)
  expect(before).toHaveLength(5)

  /** What `main` has lost is whole in the archive, and a record there says that it was read. */
  async function expectNothingLost(): Promise<number> {
    const left = new Set((await loadEverything(openLocalStorage(main))).map(({ id }) => id))
    const there = await loadEverything(openLocalStorage(cold))
    const proofs = proofsOf(there)
    const gone = before.filter(({ id }) => !left.has(id))
    for (const snapshot of gone) {
      const copy = there.find((one) => isBackup(one) && backupKey(one) === backupKey(snapshot))
      expect(copy?.tree, `of ${snapshot.id}`).toBe(snapshot.tree)
      expect(proofs.get(copy!.tree!)?.level, `proof of ${copy!.id}`).toBe('checksum')
    }
    return gone.length
  }

  const snapshotsBefore = countFiles(main, 'snapshots')
  const moments: Readonly<Record<string, () => boolean>> = {
    'with the first packs there': () => countFiles(cold, 'data') > 0,
    'with snapshots there': () => countFiles(cold, 'snapshots') > 0,
    'with all snapshots and a record there': () => countFiles(cold, 'snapshots') > 4,
    'with the first one removed': () => countFiles(main, 'snapshots') < snapshotsBefore,
  }
  let cut = 0
  for (const [moment, when] of Object.entries(moments)) {
    const { status, output } = await archive(when)
    if (status === null) cut++
    else expect(status, `${moment}: ${output}`).toBe(0)
    await expectNothingLost()
  }
  expect(cut).toBeGreaterThan(2)
  const last = await archive()
  expect(last.status, last.output).toBe(0)
  expect(await expectNothingLost()).toBe(4)
  expect((await inRepository(main)).filter(isBackup)).toHaveLength(1)
  expect((await inRepository(cold)).filter(isBackup)).toHaveLength(4)
  if (lacks('restic')) return
  for (const path of [main, cold]) expectResticContent(path)
})
