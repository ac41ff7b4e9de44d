import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acquireLock } from '../../src/engine/repository/lock.ts'
import { decodeLock, encodeLock } from '../../src/engine/repository/lock-file.ts'
import { type LockFiles, repositoryLockFiles } from '../../src/engine/repository/lock-files.ts'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { removeStaleLocks } from '../../src/engine/repository/unlock.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { lacks } from '../support/requirements.ts'
import { resticPrograms, runRestic } from '../support/restic-trees.ts'

const scratch = mkdtempSync(join(tmpdir(), 'compat-locks-'))

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe.skipIf(lacks('restic')).each(resticPrograms)('%s and we', (program) => {
  const folder = join(scratch, `repository-${resticPrograms.indexOf(program)}`)
  let files: LockFiles
  const run = (...args: string[]): { status: number | null; stderr: string } =>
    spawnSync(program, ['--repo', folder, '--no-cache', ...args], {
      env: { ...process.env, RESTIC_PASSWORD: 'golden' },
      encoding: 'utf8',
    })

  beforeAll(async () => {
    const kdf = { N: 1024, r: 8, p: 1 }
    files = repositoryLockFiles(
      await initRepository(openLocalStorage(folder), { password: 'golden' }, { key: { kdf } }),
    )
  })

  test('it is kept out by our exclusive lock, and named', async () => {
    const lock = await acquireLock(files, { exclusive: true })
    const { status, stderr } = run('snapshots')
    await lock.release()
    expect(status).not.toBe(0)
    expect(stderr).toMatch(new RegExp(`locked exclusively by PID ${process.pid}`))
    expect(run('snapshots').status).toBe(0)
  })

  test('it works beside our shared lock, but takes no exclusive one', async () => {
    await using _ = await acquireLock(files, { exclusive: false })
    expect(run('snapshots').status).toBe(0)
    expect(run('prune').stderr).toMatch(/already locked/)
  })

  test('its unlock leaves our lock alone, and us alive', async () => {
    const lock = await acquireLock(files, { exclusive: true })
    expect(run('unlock').status).toBe(0)
    expect((await files.list()).map(({ name }) => name)).toEqual([lock.id])
    await lock.release()
  })

  test('we work beside its backup, take no exclusive lock, and remove its lock only when it is gone', async () => {
    const { child, id } = await startBackup(program, folder)
    const stored = await files.load(id)
    expect(Buffer.from(encodeLock(decodeLock(stored, id))).toString()).toBe(Buffer.from(stored).toString().trimEnd())
    await expect(acquireLock(files, { exclusive: true })).rejects.toMatchObject({
      code: 'HF_REPO_LOCKED',
      context: { lock: id, exclusive: false },
    })
    await (await acquireLock(files, { exclusive: false })).release()
    expect(await removeStaleLocks(files)).toEqual([])

    const { pid } = decodeLock(stored, id)
    expect(pid).toBeGreaterThan(1)
    process.kill(pid, 'SIGKILL')
    await once(child, 'close')
    await expect(acquireLock(files, { exclusive: true })).rejects.toMatchObject({
      hint: expect.stringContaining('left behind'),
    })
    expect(await removeStaleLocks(files)).toEqual([id])
    await (await acquireLock(files, { exclusive: true })).release()
    expect(runRestic(program, folder, ['list', 'locks']).toString()).not.toContain(id)
  })
})

/** A backup that waits for its input, and its lock. */
async function startBackup(program: string, folder: string): Promise<{ child: ChildProcess; id: string }> {
  const child = spawn(program, ['--repo', folder, '--no-cache', 'backup', '--stdin'], {
    env: { ...process.env, RESTIC_PASSWORD: 'golden' },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  for (let tries = 0; tries < 200; tries++) {
    const [id] = readdirSync(join(folder, 'locks')).filter((name) => name.length === 64)
    if (id !== undefined) {
      // It looks a second time after 200 ms.
      await systemClock.sleep(400)
      return { child, id }
    }
    await systemClock.sleep(50)
  }
  throw new Error('restic made no lock')
}
