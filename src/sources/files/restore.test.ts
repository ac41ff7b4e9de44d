import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, test } from 'vitest'
import { overwrite } from '../../../test/support/damaged-storage.ts'
import {
  type FilesStage,
  filesStage,
  openSource,
  restoreJob,
  restoreObserver,
  snapshotOf,
} from '../../../test/support/files-stage.ts'
import { nodesOf } from '../../../test/support/stored-nodes.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { configKind } from '../config-files/index.ts'
import { logsKind } from '../logs/index.ts'
import { filesKind } from './index.ts'

const SECRET = /\.env|site\.key|hunter/

function fill({ file }: FilesStage): void {
  mkdirSync(file('nginx'))
  writeFileSync(file('shop.conf'), 'port = 8080\n')
  writeFileSync(file('.hidden'), 'dot files too\n')
  writeFileSync(file('.env'), 'PASSWORD=hunter2\n', { mode: 0o600 })
  writeFileSync(file('nginx', 'site.key'), 'hunter3\n', { mode: 0o600 })
  writeFileSync(file('nginx', 'nginx.conf'), 'http {}\n')
  linkSync(file('shop.conf'), file('second-name.conf'))
  symlinkSync('nginx/nginx.conf', file('current'))
}

/** Fails when two folders differ in content, or in what lstat tells (S0-15). */
function expectEqual(one: string, other: string): void {
  const { status, stdout, stderr } = spawnSync('diff', ['-r', '--no-dereference', one, other], { encoding: 'utf8' })
  expect(status, stdout + stderr).toBe(0)
  const facts = (folder: string): unknown[] =>
    (readdirSync(folder, { recursive: true }) as string[]).sort().map((name) => {
      const { mode, uid, gid, mtimeMs, nlink } = lstatSync(`${folder}/${name}`)
      return { name, mode, uid, gid, mtimeMs, nlink }
    })
  expect(facts(other)).toEqual(facts(one))
}

describe('a restore of files', () => {
  test('brings everything to its real path below a new folder, reads it back, and leaves the manifest out', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(configKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    const target = stage.beside('new')
    const planned = await source.planRestore!(restoreJob(stage.repository, snapshot, target))
    expect(existsSync(target)).toBe(false)
    expect(planned.plan).toMatchObject({ overwrites: [], files: expect.any(Number) })
    expect(planned.plan.problems.filter(({ severity }) => severity === 'error')).toEqual([])
    const observer = restoreObserver()
    const result = await planned.execute(observer)
    expect(result).toMatchObject({
      errors: 0,
      facts: { target, 'read back and equal': expect.stringMatching(/^[56] /) },
    })
    expect(observer.told.at(-1)).toContain('read what was written again')
    expectEqual(stage.folder, target + stage.folder)
    expect(readdirSync(target)).not.toContain('.holdfast')
  })

  test('takes paths and patterns', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(filesKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    const restored = async (include: string[], exclude: string[]): Promise<string[]> => {
      const target = stage.beside(`target ${include}-${exclude}`.replaceAll('/', '_'))
      await (await source.planRestore!(restoreJob(stage.repository, snapshot, target, { include, exclude }))).execute(
        restoreObserver(),
      )
      return (readdirSync(target + stage.folder, { recursive: true }) as string[]).sort()
    }
    expect(await restored([stage.file('nginx')], [])).toEqual(['nginx', 'nginx/nginx.conf', 'nginx/site.key'])
    expect(await restored(['*.conf'], ['/**/nginx/*'])).toEqual(['second-name.conf', 'shop.conf'])
    expect(await restored([], ['nginx', '.*', 'current'])).toEqual(['second-name.conf', 'shop.conf'])
    const nothing = await source.planRestore!(
      restoreJob(stage.repository, snapshot, stage.beside('none'), { include: ['/etc/passwd'] }),
    )
    expect(nothing.plan.problems).toContainEqual(
      expect.objectContaining({ severity: 'error', what: 'nothing in the snapshot is selected' }),
    )
    await expect(nothing.execute(restoreObserver())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    expect(existsSync(stage.beside('none'))).toBe(false)
  })

  test('does not touch what is there unless it may', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(filesKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    writeFileSync(stage.file('shop.conf'), 'changed')
    for (const target of ['/', stage.folder]) {
      const planned = await source.planRestore!(restoreJob(stage.repository, snapshot, target))
      expect(planned.plan.problems.some(({ severity }) => severity === 'error')).toBe(true)
      await expect(planned.execute(restoreObserver())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    }
    expect(readFileSync(stage.file('shop.conf'), 'utf8')).toBe('changed')
    const file = await source.planRestore!(restoreJob(stage.repository, snapshot, stage.file('.env'))).catch((e) => e)
    expect(file).toMatchObject({ code: 'HF_TARGET_INVALID' })
    const server = restoreJob(stage.repository, snapshot, '/', { target: { kind: 'server', url: 'redis://x' } })
    await expect(source.planRestore!(server)).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    const renamed = restoreJob(stage.repository, snapshot, '/x', { rename: [{ from: '/a', to: '/b' }] })
    await expect(source.planRestore!(renamed)).rejects.toMatchObject({ code: 'HF_UNSUPPORTED' })
  })

  test('puts configuration back where it was, lists what was added since, and names no secret (S0-40, S4-27)', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(configKind, { paths: [stage.folder], secrets: ['.env', '*.key'] })
    const snapshot = await snapshotOf(stage.repository, source)
    const before = readFileSync(stage.file('nginx', 'nginx.conf'), 'utf8')
    writeFileSync(stage.file('nginx', 'nginx.conf'), 'http { evil; }')
    writeFileSync(stage.file('.env'), 'PASSWORD=hunter4')
    writeFileSync(stage.file('nginx', 'intruder.conf'), 'x')
    writeFileSync(stage.file('intruder.key'), 'x')
    const planned = await source.planRestore!(restoreJob(stage.repository, snapshot, '/', { overwrite: true }))
    expect(planned.plan.overwrites).toEqual([stage.file('nginx', 'nginx.conf'), '1 secret file'])
    expect(planned.plan.problems).toContainEqual(
      expect.objectContaining({
        severity: 'note',
        what: expect.stringMatching(/2 items are there.*nginx\/intruder\.conf, 1 secret file$/),
      }),
    )
    const observer = restoreObserver()
    const { errors } = await planned.execute(observer)
    expect(errors).toBe(0)
    expect(JSON.stringify([planned.plan, observer.told])).not.toMatch(SECRET)
    expect(readFileSync(stage.file('nginx', 'nginx.conf'), 'utf8')).toBe(before)
    expect(readFileSync(stage.file('.env'), 'utf8')).toBe('PASSWORD=hunter2\n')
    expect(lstatSync(stage.file('.env')).mode & 0o777).toBe(0o600)
    expect(existsSync(stage.file('nginx', 'intruder.conf'))).toBe(true)
    expect(existsSync('/.holdfast')).toBe(false)
  })

  test('leaves the folders above the paths as they are, and does not put one in the place of a link', async () => {
    using stage = await filesStage()
    mkdirSync(stage.file('etc', 'shop'), { recursive: true })
    writeFileSync(stage.file('etc', 'shop', 'conf'), 'x')
    const source = openSource(configKind, { paths: [stage.file('etc', 'shop')] })
    const snapshot = await snapshotOf(stage.repository, source)
    chmodSync(stage.file('etc'), 0o711)
    chmodSync(stage.file('etc', 'shop'), 0o711)
    rmSync(stage.file('etc', 'shop', 'conf'))
    utimesSync(stage.file('etc'), 1000, 1000)
    const job = restoreJob(stage.repository, snapshot, '/', { overwrite: true })
    const planned = await source.planRestore!(job)
    const result = await planned.execute(restoreObserver())
    expect(result).toMatchObject({ files: 2, errors: 0 })
    expect(planned.plan.files).toBe(2)
    expect(lstatSync(stage.file('etc'))).toMatchObject({ mtimeMs: 1_000_000 })
    expect(lstatSync(stage.file('etc')).mode & 0o777).toBe(0o711)
    expect(lstatSync(stage.file('etc', 'shop')).mode & 0o777).toBe(0o755)

    renameSync(stage.file('etc'), stage.file('elsewhere'))
    symlinkSync('elsewhere', stage.file('etc'))
    const obstructed = await source.planRestore!(job)
    expect(obstructed.plan.problems).toContainEqual(
      expect.objectContaining({
        severity: 'error',
        what: expect.stringContaining(`${stage.file('etc')} is no folder`),
      }),
    )
    await expect(obstructed.execute(restoreObserver())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    expect(lstatSync(stage.file('etc')).isSymbolicLink()).toBe(true)
  })

  test('leaves logs that are newer than the snapshot (S0-B18)', async () => {
    using stage = await filesStage()
    writeFileSync(stage.file('app.log'), 'old')
    writeFileSync(stage.file('gone.log'), 'gone')
    const past = Date.now() / 1000 - 1000
    utimesSync(stage.file('app.log'), past, past)
    const source = openSource(logsKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    writeFileSync(stage.file('app.log'), 'written since')
    spawnSync('rm', [stage.file('gone.log')])
    const planned = await source.planRestore!(restoreJob(stage.repository, snapshot, '/', { overwrite: true }))
    expect(planned.plan.overwrites).toEqual([])
    await planned.execute(restoreObserver())
    expect(readFileSync(stage.file('app.log'), 'utf8')).toBe('written since')
    expect(readFileSync(stage.file('gone.log'), 'utf8')).toBe('gone')
  })

  test('is not carried out when the target has changed since it was planned', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(filesKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    const fresh = await source.planRestore!(restoreJob(stage.repository, snapshot, stage.beside('new')))
    mkdirSync(stage.beside('new'))
    writeFileSync(stage.beside('new', 'somebody'), 'was here')
    await expect(fresh.execute(restoreObserver())).rejects.toMatchObject({
      code: 'HF_TARGET_INVALID',
      message: expect.stringContaining('has changed'),
    })
    const over = await source.planRestore!(restoreJob(stage.repository, snapshot, '/', { overwrite: true }))
    writeFileSync(stage.file('.hidden'), 'changed after the plan')
    await expect(over.execute(restoreObserver())).rejects.toMatchObject({
      message: expect.stringContaining('has changed'),
    })
    expect(readFileSync(stage.file('.hidden'), 'utf8')).toBe('changed after the plan')
  })

  test('leaves a file as it is when the repository has lost its content (S4-B07)', async () => {
    using stage = await filesStage()
    writeFileSync(stage.file('.env'), 'PASSWORD=hunter2')
    const source = openSource(configKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    writeFileSync(stage.file('.env'), 'PASSWORD=hunter5')
    const planned = await source.planRestore!(restoreJob(stage.repository, snapshot, '/', { overwrite: true }))
    const node = (await nodesOf(stage.repository, rootOf(snapshot))).get(stage.file('.env'))!
    const pack = stage.repository.index.find('data', node.content![0]!)!.pack
    const { sizeBytes } = await stage.repository.storage.stat({ kind: 'data', name: pack })
    await overwrite(stage.repository.storage, { kind: 'data', name: pack }, Buffer.alloc(sizeBytes))
    const observer = restoreObserver()
    expect(await planned.execute(observer)).toMatchObject({ errors: 1 })
    expect(observer.errors.join()).toContain('(secret)')
    expect(observer.errors.join()).not.toMatch(SECRET)
    expect(readFileSync(stage.file('.env'), 'utf8')).toBe('PASSWORD=hunter5')
  })
})
