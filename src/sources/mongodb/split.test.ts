import { MongoClient, ObjectId } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { mongoServers } from '../../../test/support/servers/mongo/mongo-servers.ts'
import {
  changedSnapshot,
  idsOf,
  mongoSource,
  notPassed,
  startMongoStage,
  type TakenBackup,
  takeBackup,
} from '../../../test/support/servers/mongo-source.ts'
import { nodesOf } from '../../../test/support/stored-nodes.ts'
import { systemClock } from '../../lib/clock.ts'
import type { ProofCheck } from '../proof.ts'
import { SandboxFolder } from '../sandbox/sandbox-folder.ts'
import type { BackupJob, Source } from '../source.ts'
import { backupServer } from './backup.ts'
import { mongoSettings } from './settings.ts'

/**
 * A source that takes collections of a few kilobytes for large ones: so small parts that the sample is all documents, since some servers take
 * samples page by page, and may miss most of a small collection.
 */
function dividingSource(settings: object, partBytes = 3000): Source {
  const backup = { source: 'catalog', settings: mongoSettings.parse(settings), password: undefined, clock: systemClock }
  return Object.assign(mongoSource(settings), {
    backup: async (job: BackupJob) => await backupServer({ ...backup, partBytes }, job),
  })
}

const blobsOf = async ({ repository, backup }: TakenBackup, path: string): Promise<readonly string[]> =>
  (await nodesOf(repository, backup.result.tree)).get(`/catalog/data/${path}`)!.content!

const partsOf = ({ manifest }: TakenBackup, name: string) =>
  manifest.collections.find(({ collection }) => collection === name)?.data?.parts

/** Ids of a large collection, and some that come before and behind them. */
const ids = [
  Number.NaN,
  -3.5,
  ...Array.from({ length: 400 }, (_, n) => 7 * n),
  'text',
  new ObjectId('6929b8000000000000000001'),
  true,
  new Date(0),
]

describe.each(mongoServers())('a large collection of $name', ({ isHere, start }) => {
  test.skipIf(!isHere)(
    'is read in parts that are the whole, and in the same ones again',
    async () => {
      await using server = await start()
      await using client = await new MongoClient(server.url).connect()
      const odd = client.db('shop').collection<{ _id: unknown }>('odd')
      await odd.insertMany(ids.map((_id, n) => ({ _id, text: `document ${n}`.repeat(8) })))
      const settings = { url: server.url, databases: ['shop'] }
      const whole = await takeBackup(mongoSource(settings))
      const first = await takeBackup(dividingSource(settings))
      const parts = partsOf(first, 'odd')!
      expect(parts.length).toBeGreaterThan(4)
      expect(parts.every(({ bytes }) => bytes > 0)).toBe(true)
      expect(partsOf(whole, 'odd')).toBeUndefined()
      const file = await first.read('shop/odd.bson')
      expect(file.equals(await whole.read('shop/odd.bson'))).toBe(true)
      expect(idsOf(file)).toEqual(ids)

      const { repository: into, snapshot: parent } = first
      const again = await takeBackup(dividingSource(settings), { into, parent })
      expect(await blobsOf(again, 'shop/odd.bson')).toEqual(await blobsOf(first, 'shop/odd.bson'))
      expect(partsOf(again, 'odd')).toEqual(parts)

      await odd.insertMany(Array.from({ length: 200 }, (_, n) => ({ _id: 10_000 + n, text: `more ${n}`.repeat(8) })))
      const grown = await takeBackup(dividingSource(settings), { into, parent: again.snapshot })
      const ends = partsOf(grown, 'odd')!.map(({ upTo }) => upTo)
      expect(ends.slice(0, parts.length - 1)).toEqual(parts.slice(0, -1).map(({ upTo }) => upTo))
      expect(ends.length).toBeGreaterThan(parts.length)
      expect(idsOf(await grown.read('shop/odd.bson')).length).toBe(ids.length + 200)

      const checks: ProofCheck[] = []
      const source = mongoSource({ ...settings, proof: { url: server.url } })
      const job = { ...grown, report: (check: ProofCheck) => void checks.push(check) }
      await source.proof!.checkStructure(job)
      await using folder = SandboxFolder.create()
      {
        await using sandbox = (await source.proof!.openSandbox(job, folder))!
        await sandbox.compare()
      }
      expect(notPassed(checks)).toEqual([])
      const other = (bytes: Buffer): Buffer => Buffer.concat([bytes.subarray(0, -1), Buffer.from([1])])
      const damaged = await changedSnapshot(grown, { 'data/shop/odd.bson': other })
      await source.proof!.checkStructure({ ...job, snapshot: damaged })
      expect(notPassed(checks).join()).toContain('shop.odd')
    },
    120_000,
  )
})

test('a part that cannot be read ends the others, and the backup', async () => {
  await using stage = await startMongoStage()
  const { server, client } = stage
  await client
    .db('shop')
    .collection('a')
    .insertMany(Array.from({ length: 400 }, (_, n) => ({ n, text: 'x'.repeat(100) })))
  server.faults.add({ command: 'find', collection: 'a', after: 3, code: 96, message: 'planted' })
  await expect(takeBackup(dividingSource({ url: server.url, databases: ['shop'] }))).rejects.toThrow('planted')
})
