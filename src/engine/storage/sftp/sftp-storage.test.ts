import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type SshServer, startSshd } from '../../../../test/support/servers/sshd.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import { openLocalStorage } from '../local/local-storage.ts'
import type { Storage } from '../storage.ts'
import { openSftp } from './testing.ts'

const few: CheckSizes = { listedFiles: 150, largeFileBytes: 4 << 20 }

describe.skipIf(lacks('sshd')).each(['by ourselves', 'by the command ssh'])('SFTP %s', (way) => {
  let server: SshServer
  let storage: Storage
  beforeAll(async () => {
    server = await startSshd()
    const command = `${server.sshCommand} -s sftp`
    storage = openSftp(server.url('repository'), server, way === 'by ourselves' ? {} : { options: { command } })
    await storage.create()
  })
  afterAll(async () => {
    await storage?.close()
    await server?.stop()
  })

  test.for(storageChecks)('keeps the contract: $name', async (check) => {
    await check.run(storage, few)
    for (const kind of ['data', 'index', 'key', 'lock', 'snapshot'] as const)
      expect(await listFiles(storage, kind)).toEqual([])
  })

  test('files lie as in a local repository, finished ones read-only', async () => {
    const { file, content } = newFile('data', 100)
    await storage.put(file, content)
    const root = join(server.data, 'repository')
    const path = join(root, 'data', file.name.slice(0, 2), file.name)
    expect(statSync(path).mode & 0o777).toBe(0o400)
    expect(statSync(join(root, 'data')).mode & 0o777).toBe(0o700)
    expect(readdirSync(join(root, 'data')).length).toBe(256)
    expect(await openLocalStorage(root).get(file)).toEqual(content)
    await storage.delete(file)
    expect(existsSync(path)).toBe(false)
  })

  test('the folders of a repository are removed when they are empty, and only then', async () => {
    const short = openSftp(server.url('short'), server)
    await short.create()
    const { file, content } = newFile('data', 10)
    await short.put(file, content)
    await expect(short.features.removeLayout!()).rejects.toMatchObject({ code: 'HF_STORAGE_IO' })
    expect(await short.get(file)).toEqual(content)
    await short.delete(file)
    await short.features.removeLayout!()
    expect(existsSync(join(server.data, 'short'))).toBe(false)
    await short.close()
  })

  test('free space is known', async () => {
    expect(await storage.features.freeBytes!()).toBeGreaterThan(1 << 20)
  })

  test('a missing folder is made within a repository, and nowhere else', async () => {
    const { file, content } = newFile('index', 10)
    const elsewhere = openSftp(server.url('nowhere'), server)
    await expect(elsewhere.put(file, content)).rejects.toMatchObject({ code: 'HF_REPO_NOT_FOUND' })
    expect(existsSync(join(server.data, 'nowhere'))).toBe(false)
    await elsewhere.close()
  })
})
