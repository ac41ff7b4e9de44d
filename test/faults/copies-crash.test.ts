import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { ChangeCounter } from '../support/change-counter.ts'
import { type ProgramEnd, runProgram } from '../support/killed-program.ts'
import { lacks } from '../support/requirements.ts'
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

/** `HOLDFAST_KILLS=100` for the long run. */
const KILLS = Math.ceil(Number(process.env.HOLDFAST_KILLS ?? 100) / 20)

const program = join(import.meta.dirname, '../../bin/holdfast')

test(
  'runs into two repositories that are killed leave both whole, and the next run brings both everything',
  async () => {
    using scratch = scratchFolder()
    const data = scratch.join('data')
    mkdirSync(data)
    writeFileSync(scratch.join('password'), PASSWORD, { mode: 0o600 })
    const names = ['one', 'two']
    for (const name of names)
      await newRepository(scratch.join(name), { chunkerPolynomial: 0x25b468838dcb75n, key: { kdf: CHEAP_KDF } })
    const at = (name: string) => ({ url: scratch.join(name), password: `file:${scratch.join('password')}` })
    const config = {
      version: 1,
      repositories: { one: at('one'), two: at('two') },
      sources: { data: { type: 'files', paths: [data], repositories: names, verify: 'none' } },
    }
    writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify(config))
    const args = [
      '--pack-size',
      '4',
      '--retry-lock',
      '1m',
      'backup:run',
      '--all',
      '--config',
      scratch.join('holdfast.yaml'),
    ]
    /** Runs it, and kills it when so much has changed in the repositories. */
    const run = async (changes = Number.POSITIVE_INFINITY): Promise<ProgramEnd & { readonly changed: number }> => {
      using one = new ChangeCounter(scratch.join('one'))
      using two = new ChangeCounter(scratch.join('two'))
      const changed = (): number => one.count + two.count
      const environment = { XDG_CACHE_HOME: scratch.join('cache') }
      const end = await runProgram(args, { environment, when: () => changed() >= changes })
      return { ...end, changed: changed() }
    }
    for (let i = 0; i < 20; i++) writeFileSync(`${data}/${i}`, noise(i, 900_000))
    const whole = await run()
    expect(whole.status, whole.output).toBe(0)
    let killed = 0
    for (let kill = 1; kill <= KILLS; kill++) {
      for (let i = 0; i < 20; i++) writeFileSync(`${data}/${i}`, noise(kill * 100 + i, 900_000))
      const { status } = await run(Math.ceil((whole.changed * kill) / (KILLS + 1)))
      if (status === null) killed++
      for (const name of names) await loadEverything((await reopen(scratch.join(name))).storage)
    }
    // A run may end while this process waits for a processor.
    expect(killed).toBeGreaterThanOrEqual(KILLS / 2)
    const last = await run()
    expect(last.status, last.output).toBe(0)
    const [one, two] = await Promise.all(names.map(async (name) => loadSnapshots(await reopen(scratch.join(name)))))
    // Whatever one of them got before a kill, the other has as well.
    const runs = (snapshots: typeof one): readonly string[] =>
      snapshots!.map(({ tags }) => tags.find((tag) => tag.startsWith('run='))!).sort()
    expect(runs(one)).toEqual(runs(two))
    expect(readdirSync(scratch.join('one', 'snapshots')).length).toBeGreaterThanOrEqual(2)
    if (lacks('restic')) return
    for (const name of names) {
      // What was killed has left its locks, which keep out who wants to be alone.
      const unlock = ['-r', scratch.join(name), '--password-file', scratch.join('password'), 'unlock', '--remove-all']
      expect(spawnSync(program, unlock).status).toBe(0)
      expectResticContent(scratch.join(name))
    }
  },
  15 * 60_000,
)
