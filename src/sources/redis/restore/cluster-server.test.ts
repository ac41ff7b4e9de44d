import { existsSync, readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  type RedisServer,
  readRdbFile,
  saved,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import { type RedisCluster, startCluster } from '../../../../test/support/servers/redis-cluster.ts'
import {
  redisServices,
  redisSnapshot,
  redisSource,
  restoreJob,
  restoreNotes,
} from '../../../../test/support/servers/redis-source.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { memoryRepository, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'
import { slotOf } from '../cluster/slots.ts'
import { selectionOf } from '../selection.ts'
import { readFacts } from '../server.ts'
import { openSnapshot } from '../snapshot.ts'
import { survey } from '../survey.ts'
import { writeToCluster } from './cluster-writer.ts'
import { targetServer } from './target.ts'

describe.skipIf(lacks('redis-server'))('a restore into a running cluster', () => {
  const MASTERS = 3
  let server: RedisServer
  let cluster: RedisCluster
  let replica: RedisServer
  let repository: Repository
  let snapshot: StoredSnapshot
  let digest: string
  let scratch: ReturnType<typeof scratchFolder>

  beforeAll(async () => {
    server = await startRedis()
    await fillWithEveryType(server)
    for (let i = 0; i < 400; i++) await server.command('SET', `key:${i}`, `value ${i}`)
    for (let i = 0; i < 6; i++) await server.command('SET', `long:${i}`, noise(i, 1_500_000))
    await server.command('FUNCTION', 'LOAD', "#!lua name=mine\nredis.register_function('one', function() return 1 end)")
    repository = await memoryRepository()
    snapshot = await redisSnapshot(repository, { url: server.url })
    digest = String(await server.command('DEBUG', 'DIGEST'))
    cluster = await startCluster(MASTERS, { replicas: 1 })
    replica = cluster.nodes[MASTERS]!
  })

  afterAll(async () => {
    await server?.stop()
    await cluster?.stop()
  })

  beforeEach(() => {
    scratch = scratchFolder()
    process.env.XDG_STATE_HOME = scratch.path
  })

  afterEach(async () => {
    for (const node of masters()) {
      await node.command('FLUSHALL')
      await node.command('FUNCTION', 'FLUSH')
    }
    delete process.env.XDG_STATE_HOME
    scratch[Symbol.dispose]()
  })

  const masters = (): readonly RedisServer[] => cluster.nodes.slice(0, MASTERS)
  const ownerOf = (key: string): RedisServer =>
    cluster.nodes[Math.floor((slotOf(Buffer.from(key)) * MASTERS) / 16_384)]!
  const plan = (job: Partial<RestoreJob> = {}, url = cluster.nodes[1]!.url): Promise<PlannedRestore> =>
    redisSource({ url: server.url }).planRestore!(
      restoreJob(repository, snapshot, { target: { kind: 'server', url }, ...job }),
    )
  const errorsOf = ({ plan }: PlannedRestore): string[] =>
    plan.problems.filter(({ severity }) => severity === 'error').map(({ what }) => what)

  /** Redis combines the keys of a database with exclusive or, so an odd number of shards come to what one server with all of it has. */
  async function digestOfAll(): Promise<string> {
    const sum = Buffer.alloc(20)
    for (const node of masters()) {
      const bytes = Buffer.from(String(await node.command('DEBUG', 'DIGEST')), 'hex')
      for (const [i, byte] of bytes.entries()) sum[i]! ^= byte
    }
    return sum.toString('hex')
  }

  test('gives each key to the master of its slot, functions to all, and replicas get it from them', async () => {
    // A node that is no master knows the others.
    const planned = await plan({}, replica.url)
    expect(planned.plan).toMatchObject({ overwrites: [], problems: [] })
    expect(planned.plan.steps).toEqual([
      expect.stringMatching(
        /^write 4\d\d keys, .* to 3 masters of the cluster of redis .* key by key, each where its slot is$/,
      ),
      expect.stringContaining('compare'),
    ])
    const notes = restoreNotes()
    const keys = String(await server.command('DBSIZE'))
    expect(await planned.execute(notes)).toMatchObject({ errors: 0, facts: { way: 'key by key', shards: '3', keys } })
    expect(notes).toMatchObject({ steps: planned.plan.steps, warnings: [], errors: [] })
    expect(await digestOfAll()).toBe(digest)
    for (const node of masters()) expect(String(await node.command('FUNCTION', 'LIST'))).toContain('mine')
    const first = await cluster.nodes[0]!.command('DBSIZE')
    for (let copied: unknown; copied !== first; ) copied = await replica.command('DBSIZE')
  })

  test('keeps what each master had, and replaces it only if that may be', async () => {
    await ownerOf('old').command('SET', 'old', 'data')
    expect(errorsOf(await plan())).toEqual([expect.stringMatching(/^the cluster of redis .* has 1 key of redis/)])
    const planned = await plan({ overwrite: true })
    const result = await planned.execute(restoreNotes())
    expect(result.errors).toBe(0)
    expect(await digestOfAll()).toBe(digest)
    const copies = result.facts['safety copies']!.split(', ')
    expect(copies).toHaveLength(MASTERS)
    const kept = copies.flatMap((path) => readRdbFile(readFileSync(path)).entries)
    expect(kept.map(({ key }) => String(key))).toEqual(['old'])
  })

  test('needs the rights that the guide names, on every node', async () => {
    const rights =
      '~* &* +ping +info +psync +sync +replconf +select +exists +restore +flushall +function +pubsub|numsub +config|get +config|set +replicaof +cluster|nodes +cluster|info +asking'
    for (const node of masters()) await node.command('ACL', 'SETUSER', 'restore', 'on', '>right', ...rights.split(' '))
    await ownerOf('old').command('SET', 'old', 'data')
    const planned = await plan({ overwrite: true }, `redis://restore:right@127.0.0.1:${cluster.nodes[0]!.port}`)
    expect(planned.plan.problems).toEqual([])
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0 })
    expect(await digestOfAll()).toBe(digest)
    await masters()[2]!.command('ACL', 'SETUSER', 'restore', '-restore')
    const weak = await plan({ overwrite: true }, `redis://restore:right@127.0.0.1:${cluster.nodes[0]!.port}`)
    expect(errorsOf(weak)).toEqual([expect.stringContaining(`redis 127.0.0.1:${masters()[2]!.port} refuses RESTORE`)])
    for (const node of masters()) await node.command('ACL', 'DELUSER', 'restore')
  })

  test('of some keys leaves others alone', async () => {
    await ownerOf('key:7').command('SET', 'key:7', 'in the way')
    await ownerOf('mine').command('SET', 'mine', 'kept')
    const some = { include: ['key:?'] }
    const refused = await plan(some)
    expect(refused.plan.overwrites).toEqual(['"key:7" of database 0'])
    expect(errorsOf(refused)).toHaveLength(1)
    const planned = await plan({ ...some, overwrite: true })
    expect(await planned.execute(restoreNotes())).toMatchObject({ errors: 0, facts: { keys: '10' } })
    expect(String(await ownerOf('key:7').command('GET', 'key:7'))).toBe('value 7')
    expect(String(await ownerOf('mine').command('GET', 'mine'))).toBe('kept')
    const found = await Promise.all(masters().map(async (node) => Number(await node.command('DBSIZE'))))
    expect(found.reduce((a, b) => a + b)).toBe(11)
  })

  test('notices what is not as it should be afterwards', async () => {
    const planned = await plan({ include: ['hash:*'] })
    await ownerOf('hash:small').command('SET', 'hash:small', 'came later')
    const notes = restoreNotes()
    const result = await planned.execute(notes)
    expect(result.errors).toBeGreaterThan(0)
    expect(notes.errors[0]).toMatch(/^key "hash:small" of database 0: .* it is there already$/)
    expect(notes.errors).toContainEqual(
      expect.stringMatching(/^key "hash:small" of database 0: .*differs in the cluster/),
    )
  })

  test('follows slots that are moved meanwhile, or on their way', async () => {
    const opened = await openSnapshot(repository, snapshot)
    const selection = selectionOf({ include: ['key:*', 'long:*'], exclude: [], rename: [] })
    const found = await survey(opened, selection)
    const target = await targetServer(
      cluster.nodes[0]!.url,
      { target: { kind: 'socket', path: '/nowhere' }, user: undefined, password: undefined, tls: undefined },
      redisServices,
    )
    const nodes = await Promise.all(
      masters().map(async ({ port }, i) => {
        const address = { host: '127.0.0.1', port }
        using client = await target.openAt(address)()
        const slots = [[Math.floor((i * 16_384) / MASTERS), Math.floor(((i + 1) * 16_384) / MASTERS) - 1]] as const
        return { ...address, facts: await readFacts(client), slots }
      }),
    )
    const ids = await Promise.all(masters().map(async (node) => String(await node.command('CLUSTER', 'MYID'))))
    const [moved, moving] = [slotOf(Buffer.from('long:1')), slotOf(Buffer.from('key:3'))]
    const from = (slot: number): number => Math.floor((slot * MASTERS) / 16_384)
    const to = (slot: number): number => (from(slot) + 1) % MASTERS
    for (const node of masters()) await node.command('CLUSTER', 'SETSLOT', moved, 'NODE', ids[to(moved)]!)
    await masters()[to(moving)]!.command('CLUSTER', 'SETSLOT', moving, 'IMPORTING', ids[from(moving)]!)
    await masters()[from(moving)]!.command('CLUSTER', 'SETSLOT', moving, 'MIGRATING', ids[to(moving)]!)
    try {
      const errors: string[] = []
      const written = await writeToCluster({
        nodes,
        openAt: target.openAt,
        rdb: () => opened.rdb(),
        selection,
        survey: found,
        replace: false,
        now: 0n,
        observer: { onProgress: () => undefined, onError: (item, error) => errors.push(`${item}: ${error.message}`) },
      })
      expect(errors).toEqual([])
      expect(written).toMatchObject({ keys: found.keys, errors: 0 })
      expect(Number(await masters()[to(moved)]!.command('STRLEN', 'long:1'))).toBe(1_500_000)
      await expect(masters()[from(moved)]!.command('STRLEN', 'long:1')).rejects.toThrow(/MOVED/)
      for (const node of masters()) await node.command('CLUSTER', 'SETSLOT', moving, 'NODE', ids[to(moving)]!)
      expect(String(await masters()[to(moving)]!.command('GET', 'key:3'))).toBe('value 3')
      const entries = (await Promise.all(masters().map(saved))).flatMap((file) => readRdbFile(file).entries)
      expect(databasesOf(entries)).toEqual(found.fingerprint)
    } finally {
      for (const slot of [moved, moving])
        for (const node of masters()) {
          await node.command('FLUSHALL')
          await node.command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[from(slot)]!)
        }
    }
  })

  test('is refused where it could not be whole', async () => {
    const [first, second] = masters()
    await server.command('SELECT', 3)
    await server.command('SET', 'elsewhere', '1')
    const two = await redisSnapshot(repository, { url: server.url })
    await server.command('FLUSHDB')
    await server.command('SELECT', 0)
    const refused = await plan({ snapshot: two })
    expect(new Set(refused.plan.problems.map(({ remedy }) => remedy))).toEqual(
      new Set(['a cluster has database 0 only: restore the others elsewhere, or rename: --rename 3=0']),
    )
    await second!.command('CONFIG', 'SET', 'maxmemory', '1mb')
    expect(errorsOf(await plan())).toEqual([
      expect.stringMatching(new RegExp(`^redis 127.0.0.1:${second!.port} may take 1`)),
    ])
    await second!.command('CONFIG', 'SET', 'maxmemory', '0')
    const id = String(await second!.command('CLUSTER', 'MYID'))
    await first!.command('CLUSTER', 'SETSLOT', 0, 'MIGRATING', id)
    await expect(plan({}, first!.url)).rejects.toMatchObject({ code: 'HF_SOURCE_CHANGED' })
    await first!.command('CLUSTER', 'SETSLOT', 0, 'STABLE')
    await first!.command('CLUSTER', 'DELSLOTS', 0)
    expect(errorsOf(await plan({}, first!.url))).toContainEqual(
      expect.stringContaining('1 slots of the cluster of redis'),
    )
    await first!.command('CLUSTER', 'ADDSLOTS', 0)
    const planned = await plan({}, first!.url)
    await ownerOf('x').command('SET', 'x', 'came later')
    await expect(planned.execute(restoreNotes())).rejects.toMatchObject({
      code: 'HF_TARGET_INVALID',
      message: expect.stringContaining('is no longer empty'),
    })
    expect(existsSync(scratch.join('holdfast'))).toBe(false)
  })
})
