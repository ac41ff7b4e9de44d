import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { databasesOf, once, readRdbFile, saved, startRedis } from '../../../../test/support/servers/redis.ts'
import { type RedisCluster, startCluster, startNodes } from '../../../../test/support/servers/redis-cluster.ts'
import {
  redisSnapshot,
  redisSource,
  restoreJob,
  restoreNotes,
  snapshotFile,
} from '../../../../test/support/servers/redis-source.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { ProofCheck } from '../../proof.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { redisManifest } from '../manifest.ts'
import { encodeLength, RdbWriter } from '../rdb/writer.ts'
import { mergeRdb } from './merge.ts'
import { parseRange, slotOf } from './slots.ts'

test('a key is in the slot that the specification says', () => {
  expect(slotOf(Buffer.from('123456789'))).toBe(0x31c3)
  expect(slotOf(Buffer.from('{user1000}.following'))).toBe(slotOf(Buffer.from('user1000')))
  expect([
    parseRange('0-5460'),
    parseRange('7'),
    parseRange('9-3'),
    parseRange('1-16384'),
    parseRange('[7->-a]'),
  ]).toEqual([[0, 5460], [7, 7], undefined, undefined, undefined])
})

describe.skipIf(lacks('redis-server'))('a cluster of Redis', () => {
  const KEYS = 600
  let cluster: RedisCluster
  let repository: Repository
  let snapshot: StoredSnapshot

  beforeAll(async () => {
    cluster = await startCluster(3)
    for (const node of cluster.nodes)
      await node.command('FUNCTION', 'LOAD', "#!lua name=mine\nredis.register_function('one', function() return 1 end)")
    for (let i = 0; i < KEYS; i++) {
      const slot = slotOf(Buffer.from(`key:${i}`))
      const node = cluster.nodes[Math.floor((slot * 3) / 16_384)]!
      // A long value in each shard, so that they come at the same time.
      await node.command('SET', `key:${i}`, i < 6 ? noise(i, 3_000_000) : `value ${i}`)
      expect(Number(await node.command('CLUSTER', 'KEYSLOT', `key:${i}`))).toBe(slot)
    }
    repository = await memoryRepository()
    snapshot = await redisSnapshot(repository, { url: cluster.nodes[1]!.url })
  })

  afterAll(() => cluster?.stop())

  test('is backed up as one file, with what is known of each shard', async () => {
    const manifest = redisManifest.parse(
      JSON.parse(String(await snapshotFile(repository, snapshot, '.holdfast/manifest.json'))),
    )
    expect(manifest.shards?.map(({ slots, address, point }) => [slots, address, point?.replicationId.length])).toEqual(
      ['0-5460', '5461-10921', '10922-16383'].map((slots, i) => [[slots], `127.0.0.1:${cluster.nodes[i]!.port}`, 40]),
    )
    expect(manifest).toMatchObject({ functions: { libraries: 1 }, databases: [{ db: 0, all: { keys: KEYS } }] })
    const files = await Promise.all(cluster.nodes.map(saved))
    const entries = files.flatMap((file) => readRdbFile(file).entries)
    expect(databasesOf(entries)).toEqual(manifest.databases)
    const used = files.map((file) => Number(readRdbFile(file).summary.aux.get('used-mem')))
    expect(Number(manifest.rdb.aux['used-mem'])).toBeGreaterThan(Math.max(...used))
  })

  test('comes up again from a folder for each shard', async () => {
    using scratch = scratchFolder()
    const planned = await redisSource({ url: cluster.nodes[0]!.url }).planRestore!(
      restoreJob(repository, snapshot, { target: { kind: 'directory', path: scratch.join('cluster') } }),
    )
    expect(planned.plan.problems).toEqual([])
    expect(planned.plan.steps).toHaveLength(9)
    expect(await planned.execute(restoreNotes())).toMatchObject({
      errors: 0,
      facts: { shards: '3', keys: String(KEYS) },
    })
    const folders = [1, 2, 3].map((i) => scratch.join(`cluster/shard-${i}`))
    const nodes = await startNodes(folders.map((dir) => ({ args: ['--dir', dir, '--appendonly', 'yes'] })))
    try {
      let keys = 0
      for (const [i, node] of nodes.nodes.entries()) {
        const count = Number(await node.command('DBSIZE'))
        keys += count
        expect(count).toBe(Number(await cluster.nodes[i]!.command('DBSIZE')))
        // It has taken the slots of its keys.
        const slots = new Set<number>()
        for (let n = 0; n < KEYS; n++)
          if (Math.floor((slotOf(Buffer.from(`key:${n}`)) * 3) / 16_384) === i)
            slots.add(slotOf(Buffer.from(`key:${n}`)))
        expect(String(await node.command('CLUSTER', 'INFO'))).toContain(`cluster_slots_assigned:${slots.size}\r`)
        expect(String(await node.command('FUNCTION', 'LIST'))).toContain('mine')
      }
      expect(keys).toBe(KEYS)
    } finally {
      await nodes.stop()
    }
    const again = await redisSource({ url: cluster.nodes[0]!.url }).planRestore!(
      restoreJob(repository, snapshot, { target: { kind: 'directory', path: scratch.join('cluster') } }),
    )
    expect(again.plan.problems[0]).toMatchObject({ severity: 'error', what: expect.stringContaining('not empty') })
  })

  test('goes into one server, too, and is proved in one', async () => {
    const target = await startRedis()
    try {
      const planned = await redisSource({ url: cluster.nodes[0]!.url }).planRestore!(
        restoreJob(repository, snapshot, { target: { kind: 'server', url: target.url } }),
      )
      expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { way: 'as from a master' } })
      expect(Number(await target.command('DBSIZE'))).toBe(KEYS)
    } finally {
      await target.stop()
    }
    const checks: ProofCheck[] = []
    const { proof } = redisSource({ url: cluster.nodes[0]!.url })
    const job = { repository, snapshot, report: (check: ProofCheck): number => checks.push(check) }
    await proof!.checkStructure(job)
    await using folder = SandboxFolder.create()
    await using sandbox = (await proof!.openSandbox(job, folder))!
    await sandbox.compare()
    const asked = { kind: 'command', name: 'keys', expect: 'true', command: ['DBSIZE'] } as const
    expect((await sandbox.answer(asked)).value).toBe(KEYS)
    expect(checks.map(({ level }) => level)).toContain('data')
    expect(checks.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
  })

  test('is not backed up while slots are being moved, or without one of its masters', async () => {
    const [first, second] = cluster.nodes
    const id = String(await second!.command('CLUSTER', 'MYID'))
    await first!.command('CLUSTER', 'SETSLOT', 0, 'MIGRATING', id)
    const other = await memoryRepository()
    await expect(redisSnapshot(other, { url: first!.url })).rejects.toMatchObject({ code: 'HF_SOURCE_CHANGED' })
    await first!.command('CLUSTER', 'SETSLOT', 0, 'STABLE')
    expect(await other.list('snapshot')).toEqual([])
    const third = cluster.nodes[2]!
    await third.stop()
    await expect(redisSnapshot(other, { url: first!.url })).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
    expect(await other.list('snapshot')).toEqual([])
  })
})

describe.skipIf(lacks('redis-server'))('files of several servers', () => {
  test('become one, in whatever pieces they come', async () => {
    const files: Buffer[] = []
    const server = await startRedis()
    try {
      for (let n = 0; n < 3; n++) {
        await server.command('FLUSHALL')
        for (let i = 0; i < 40; i++) await server.command('SET', `${n}:${i}`, noise(n, i % 10 === 0 ? 1_500_000 : 1000))
        files.push(await saved(server))
      }
    } finally {
      await server.stop()
    }
    const pieces = async function* (bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) {
        if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        yield bytes.subarray(at, at + size)
      }
    }
    const expected = databasesOf(files.flatMap((file) => readRdbFile(file).entries))
    const { version, dialect } = readRdbFile(files[0]!).summary
    for (const sizes of [
      [100_000, 100_000, 100_000],
      [65_536, 1_000_003, 10_000_000],
    ]) {
      const merged: Uint8Array[] = []
      const parts = files.map((file, i) => ({
        name: `server ${i}`,
        format: { dialect, version },
        bytes: pieces(file, sizes[i]!),
      }))
      for await (const piece of mergeRdb(parts)) merged.push(piece)
      const { entries, summary } = readRdbFile(Buffer.concat(merged))
      expect(summary.checksum).toBe('matches')
      expect(databasesOf(entries)).toEqual(expected)
    }
    // Valkey writes some of what it says of the file between keys.
    const writer = new RdbWriter(dialect, version)
    const none = { db: 0, expiresAt: undefined, frequency: undefined, idleSeconds: undefined, code: 0, start: 0 }
    for (const key of ['a', 'b', 'c']) {
      writer.key(0, { ...none, key: Buffer.from(key) })
      writer.value(Buffer.concat([encodeLength(1_500_000), noise(9, 1_500_000)]))
      writer.aux(Buffer.from('between'), Buffer.from('keys'))
    }
    writer.end()
    const odd = writer.take()
    for (const size of [65_536, 100_000, 2_000_000]) {
      const merged: Uint8Array[] = []
      const parts = [odd, files[1]!].map((file, i) => ({
        name: `server ${i}`,
        format: { dialect, version },
        bytes: pieces(file, size),
      }))
      for await (const piece of mergeRdb(parts)) merged.push(piece)
      const { entries, summary } = readRdbFile(Buffer.concat(merged))
      expect(entries).toHaveLength(43)
      expect(summary.aux.get('between')).toBe('keys')
    }
    const cut = [files[0]!, files[1]!.subarray(0, 2_000_000)].map((file, i) => ({
      name: `server ${i}`,
      format: { dialect, version },
      bytes: once(file),
    }))
    await expect(Array.fromAsync(mergeRdb(cut))).rejects.toMatchObject({ code: 'HF_SOURCE_DAMAGED' })
  })
})
