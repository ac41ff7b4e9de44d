import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RACE_WAIT_MS } from '../../src/engine/repository/held-lock.ts'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { saveSnapshot } from '../../src/engine/repository/snapshots.ts'
import { withCache } from '../../src/engine/storage/layers/with-cache.ts'
import { folders } from '../../src/engine/storage/local/layout.ts'
import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import { forEachParallel } from '../../src/lib/parallel.ts'
import { makeSnapshot } from '../support/make-snapshot.ts'
import { lacks } from '../support/requirements.ts'
import { type FaultProxy, startFaultProxy } from '../support/servers/fault-proxy.ts'
import { type LatencyProxy, startLatencyProxy } from '../support/servers/latency-proxy.ts'
import { type RestServer, startRcloneRest } from '../support/servers/rclone-rest.ts'
import { play } from '../support/stage.ts'
import { CHEAP_KDF, overStorage, PASSWORD, scratchFolder } from '../support/test-repository.ts'

const SNAPSHOTS = 10_000
const ROUND_TRIP_MS = 50

/** So many requests may cost what needs no data of the repository. */
const allowed = 12 + SNAPSHOTS / 1000

describe.skipIf(lacks('rclone'))('a repository with ten thousand snapshots, 50 ms away', () => {
  const scratch = scratchFolder()
  let server: RestServer
  let counter: FaultProxy
  let link: LatencyProxy

  beforeAll(async () => {
    server = await startRcloneRest()
    // Everything at once: in the folder of the server, and in the cache as if it had been read before.
    const memory = openMemoryStorage()
    const made = await initRepository(memory, { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
    const cacheDirectory = scratch.join('cache', 'holdfast')
    const cached = withCache(memory, { cacheDirectory, repositoryId: made.config.id })
    const repository = overStorage(made, cached)
    await forEachParallel(Array(SNAPSHOTS).keys(), 8, async (number) => {
      await saveSnapshot(repository, makeSnapshot('2026-01-02T03:04:05Z', { hostname: `host ${number}` }))
    })
    const root = join(server.data, 'many')
    for (const folder of Object.values(folders)) mkdirSync(join(root, folder), { recursive: true })
    writeFileSync(join(root, 'config'), await memory.get({ kind: 'config' }))
    for (const kind of ['key', 'snapshot'] as const)
      for await (const { name } of memory.list(kind))
        writeFileSync(join(root, folders[kind], name), await memory.get({ kind, name }))
    counter = await startFaultProxy(server)
    link = await startLatencyProxy(counter.port, ROUND_TRIP_MS)
  })

  afterAll(async () => {
    await link?.stop()
    await counter?.stop()
    await server?.stop()
    scratch[Symbol.dispose]()
  })

  async function snapshots(
    port: number,
    ...options: readonly string[]
  ): Promise<{ readonly found: number; readonly cpuMs: number }> {
    const environment = {
      HOLDFAST_REPOSITORY: `rest:http://127.0.0.1:${port}/many/`,
      HOLDFAST_PASSWORD: PASSWORD,
      XDG_CACHE_HOME: scratch.join('cache'),
      TZ: 'UTC',
    }
    const before = process.cpuUsage()
    const { exitCode, stdout, stderr } = await play(['snapshots', '--json', ...options], { environment })
    const { user, system } = process.cpuUsage(before)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    return { found: (JSON.parse(stdout) as unknown[]).length, cpuMs: (user + system) / 1000 }
  }

  test('is listed from the cache with few requests, and little waiting', async () => {
    const before = counter.requests.length
    const far = await snapshots(link.port)
    expect(far.found).toBe(SNAPSHOTS)
    const requests = counter.requests
      .slice(before)
      .map(({ method, path }) => `${method} ${path.replace(/[0-9a-f]{64}/, 'ID')}`)
    expect(requests.length, requests.join('\n')).toBeLessThanOrEqual(allowed)
    // A request takes a round trip, the first another one for the connection, and a lock waits to see whether there is a second one. What this
    // process computes is counted as such, since the machine may be busy with other things.
    const waitingMs = (requests.length + 1) * ROUND_TRIP_MS + RACE_WAIT_MS
    expect(waitingMs + far.cpuMs).toBeLessThan(2500)
  })
})
