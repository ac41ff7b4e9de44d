import { spawnSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { nodesOf } from '../../../test/support/stored-nodes.ts'
import { newRepository, PASSWORD, plainOptions, restic, scratchFolder } from '../../../test/support/test-repository.ts'
import type { BackupObserver } from '../../engine/archive/backup-observer.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Source } from '../source.ts'
import { configKind } from './index.ts'

const sourceOf = (settings: object): Source =>
  configKind.open('config', configKind.settings.parse(settings), { clock: systemClock, secret: async () => '' })

/** Configuration as S3-04 and S4-17 have it: environment files, compose files, nginx with its keys. */
function shop(folder: string): void {
  mkdirSync(`${folder}/nginx/private`, { recursive: true })
  writeFileSync(`${folder}/docker-compose.yml`, 'services: {}\n')
  writeFileSync(`${folder}/.env`, 'DB_PASSWORD=hunter2\n', { mode: 0o600 })
  writeFileSync(`${folder}/.env.production`, 'DB_PASSWORD=hunter3\n', { mode: 0o600 })
  writeFileSync(`${folder}/nginx/nginx.conf`, 'http {}\n')
  writeFileSync(`${folder}/nginx/site.key`, 'PRIVATE KEY\n', { mode: 0o640 })
  writeFileSync(`${folder}/nginx/private/account`, 'token\n', { mode: 0o600 })
}

/** Everything an observer is told, as one text. */
function eavesdrop(): { readonly heard: string[]; readonly observer: BackupObserver } {
  const heard: string[] = []
  const note = (...told: readonly unknown[]): void => {
    const plain = told.map((one) => (one instanceof Error ? `${one.message} ${String(one.stack)} ${one.cause}` : one))
    heard.push(JSON.stringify(plain, (_, value) => (typeof value === 'bigint' ? String(value) : value)))
  }
  return {
    heard,
    observer: {
      onError: note,
      onUnstable: note,
      onCounted: note,
      onItem: note,
      onExcluded: note,
      onFileStarted: note,
      onFileFinished: note,
      onDirectoryStarted: note,
      onBytes: note,
    },
  }
}

const backUp = (repository: Repository, source: Source, observer?: Partial<BackupObserver>, require: string[] = []) => {
  const options = plainOptions(repository, ['source=config'])
  return source.backup({
    repository,
    type: 'incremental',
    require,
    options: { ...options, observer: { ...options.observer, ...observer } },
  })
}

const SECRET = /\.env|site\.key|account|hunter|PRIVATE KEY|token/

describe('a backup of configuration', () => {
  test('has the secret files, and tells nobody what they are called or hold (S3-04, S4-18)', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    shop(scratch.join('etc'))
    const { heard, observer } = eavesdrop()
    let isGone = false
    const source = sourceOf({
      paths: [scratch.join('etc')],
      secrets: ['.env', '.env.*', '*.key', 'private'],
      exclude: ['.env.old'],
    })
    writeFileSync(scratch.join('etc', '.env.old'), 'DB_PASSWORD=hunter1')
    const backup = await backUp(repository, source, {
      ...observer,
      onFileStarted: (path) => {
        observer.onFileStarted!(path)
        if (!isGone) rmSync(scratch.join('etc', '.env.production'))
        isGone = true
      },
    })
    expect(backup.result.errors).toBe(1)
    const told = heard.join('\n')
    expect(told).not.toMatch(SECRET)
    expect(told).toContain(scratch.join('etc', '(secret)'))
    expect(told).toContain(scratch.join('etc', 'nginx', 'nginx.conf'))
    expect(told).toContain('ENOENT')
    const nodes = await nodesOf(repository, backup.result.tree)
    expect([...nodes.keys()].filter((path) => nodes.get(path)!.type === 'file').sort()).toEqual([
      '/.holdfast/config/manifest.json',
      ...['.env', 'docker-compose.yml', 'nginx/nginx.conf', 'nginx/private/account', 'nginx/site.key'].map((name) =>
        scratch.join('etc', name),
      ),
    ])
  })

  test.skipIf(lacks('restic'))('comes back by restic alone with contents, modes and owners (S0-15)', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    const folder = scratch.join('etc')
    shop(folder)
    await backUp(repository, sourceOf({ paths: [folder] }))
    const target = scratch.join('target')
    const { status, stderr } = restic(scratch.join('repository'), 'restore', 'latest', '--target', target)
    expect(status, stderr).toBe(0)
    const difference = spawnSync('diff', ['-r', folder, target + folder], { encoding: 'utf8' })
    expect(difference.stdout + difference.stderr).toBe('')
    for (const name of ['.env', 'nginx/site.key', 'nginx', 'docker-compose.yml']) {
      const { mode, uid, gid, mtimeMs } = lstatSync(`${folder}/${name}`)
      expect(lstatSync(`${target}${folder}/${name}`), name).toMatchObject({ mode, uid, gid, mtimeMs })
    }
  })

  test('fails without naming a required secret file', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    shop(scratch.join('etc'))
    const source = sourceOf({ paths: [scratch.join('etc')] })
    const failure = await backUp(repository, source, {}, [scratch.join('etc', '.env.staging')]).catch((error) => error)
    expect(failure).toMatchObject({ code: 'HF_REQUIRED_MISSING', message: expect.stringContaining('etc/(secret)') })
    expect(`${failure.message} ${failure.hint}`).not.toMatch(SECRET)
  })

  test('is silent about secret files on the command line, in text, JSON and hooks', async () => {
    using stage = await ourStage()
    shop(stage.path('etc'))
    writeFileSync(stage.path('password'), `${PASSWORD}\n`, { mode: 0o600 })
    const main = { url: stage.path('repository'), password: `file:${stage.path('password')}` }
    const hooks = { post: [['env']] }
    const config = {
      type: 'config',
      paths: [stage.path('etc')],
      secrets: ['.env', '.env.*', '*.key', 'private'],
      hooks,
    }
    const file = stage.path('holdfast.yaml')
    writeFileSync(file, JSON.stringify({ version: 1, repositories: { main }, sources: { config } }))
    for (const format of [['-vv'], ['--json', '-vv']]) {
      const { exitCode, stdout, stderr } = await stage.run(['backup:run', 'config', '--config', file, ...format])
      expect(exitCode, stderr).toBe(0)
      expect(stdout + stderr).toContain('config')
      expect(stdout + stderr).not.toMatch(SECRET)
    }
    const listed = await stage.must(['ls', 'latest'])
    expect(listed).toContain('.env')
  })
})

describe('the doctor of configuration', () => {
  test('finds secret files that others can read, and its remedy mends it without naming them', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('etc of shop')
    shop(folder)
    const source = sourceOf({ paths: [folder], secrets: ['.env', '*.key', 'private', 'nginx/*.pem'] })
    expect(await source.examine()).toEqual([])
    chmodSync(`${folder}/.env`, 0o644)
    chmodSync(`${folder}/nginx/private/account`, 0o606)
    const [problem, ...others] = await source.examine()
    expect(others).toEqual([])
    expect(problem).toMatchObject({ severity: 'warning', what: expect.stringContaining('2 secret files below') })
    expect(problem!.what).not.toMatch(SECRET)
    const { status, stderr } = spawnSync('sh', ['-c', problem!.remedy!], { encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    expect(lstatSync(`${folder}/.env`).mode & 0o777).toBe(0o640)
    expect(await source.examine()).toEqual([])
    expect(readFileSync(`${folder}/.env`, 'utf8')).toContain('hunter2')
  })

  test('warns of a secret file that "paths" names, since snapshots show these', async () => {
    using scratch = scratchFolder()
    shop(scratch.join('etc'))
    const problems = await sourceOf({ paths: [scratch.join('etc'), scratch.join('etc', '.env')] }).examine()
    expect(problems).toEqual([
      { severity: 'warning', what: expect.stringContaining('paths[1]'), remedy: expect.any(String) },
    ])
  })

  test('names what is missing, with the command that makes it', async () => {
    expect(await sourceOf({ paths: ['/no/such folder'] }).examine()).toEqual([
      { severity: 'error', what: '/no/such folder does not exist', remedy: "mkdir -p '/no/such folder'" },
    ])
  })
})

test('a pattern that cannot be understood is a mistake of the configuration', () => {
  for (const keys of [{ secrets: ['[a'] }, { exclude: ['[a'] }])
    expect(configKind.settings.safeParse({ paths: ['/etc'], ...keys })).toMatchObject({ success: false })
})
