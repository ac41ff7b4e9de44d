import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type RestServer, startRcloneRest, startRestServer } from '../../../../test/support/servers/rclone-rest.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { newFile } from '../contract-support.ts'
import { listFiles } from '../list-files.ts'
import type { Storage } from '../storage.ts'
import { openRest } from './testing.ts'

const few: CheckSizes = { listedFiles: 150, largeFileBytes: 4 << 20 }

/**
 * rclone, 1.60 and 1.75 alike, writes into a folder under the final name, several writers of one name into one another, and removes an upload that was cut off some
 * time later; nothing a client does could hide that.
 */
const notKept: Readonly<Record<string, readonly string[]>> = {
  rclone: [
    'a reader sees all of a file or none of it',
    'a put cancelled on its way has happened whole or not at all',
    'a name whose put was cancelled can be written',
    'of writers of one name at the same time one wins, whole',
    'writers of one large file at the same time leave it whole',
  ],
  'rest-server': [],
}

describe.each([
  { kind: 'rclone', start: startRcloneRest },
  { kind: 'rest-server', start: startRestServer },
] as const)('the REST server of $kind', ({ kind, start }) => {
  const isMissing = lacks(kind)
  let server: RestServer
  let storage: Storage
  beforeAll(async () => {
    if (isMissing) return
    server = await start()
    storage = openRest(`${server.url}repository`)
    await storage.create()
  })
  afterAll(async () => {
    await storage?.close()
    await server?.stop()
  })

  const checks = storageChecks.filter(({ name }) => !notKept[kind]!.includes(name))
  test.skipIf(isMissing).for(checks)('keeps the contract: $name', async (check) => {
    await check.run(storage, few)
    for (const each of ['data', 'index', 'key', 'lock', 'snapshot'] as const)
      expect(await listFiles(storage, each)).toEqual([])
  })

  test.skipIf(isMissing)('lays files out as restic does', async () => {
    const { file, content } = newFile('data', 100)
    await storage.put(file, content)
    expect(readdirSync(join(server.data, 'repository', 'data', file.name.slice(0, 2)))).toEqual([file.name])
    await storage.delete(file)
  })
})
