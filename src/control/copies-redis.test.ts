import { expect, test } from 'vitest'
import { lacks } from '../../test/support/requirements.ts'
import { plain, run } from '../../test/support/run-stage.ts'
import { fillWithEveryType, startRedis } from '../../test/support/servers/redis.ts'
import { canMount, smallDisk } from '../../test/support/small-disk.ts'
import { expectResticContent, newRepository, reopen, scratchFolder } from '../../test/support/test-repository.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import { systemClock } from '../lib/clock.ts'
import { redisKind } from '../sources/redis/index.ts'

test.skipIf(lacks('redis-server', 'restic') || !canMount())(
  'a server sends its data once for two repositories, and a full disk costs only the copy on it',
  async () => {
    using scratch = scratchFolder()
    using disk = smallDisk(24 * 1024 * 1024)
    const server = await startRedis()
    try {
      await fillWithEveryType(server)
      const settings = redisKind.settings.parse({ url: server.url })
      const services = { clock: systemClock, secret: () => Promise.reject(new Error('no secrets here')) }
      const source = plain(redisKind.open('session', settings, services))
      const sent = async (): Promise<number> =>
        Number(/sync_full:(\d+)/.exec(String(await server.command('INFO', 'stats')))![1])
      const options = { chunkerPolynomial: 0x25b468838dcb75n }
      const here = await newRepository(scratch.join('here'), options)
      const there = await newRepository(disk.join('there'), options)
      const before = await sent()
      const [first] = await run({ here, there }, [source], { run: 'one' })
      expect(first).toMatchObject({ outcome: 'complete', copies: [{ outcome: 'written' }, { outcome: 'copied' }] })
      expect(await sent()).toBe(before + 1)

      disk.fill()
      await server.command('SET', 'more', 'x'.repeat(100_000))
      const [second] = await run({ here, there }, [source], { run: 'two' })
      expect(second!.copies).toMatchObject([
        { repository: 'here', outcome: 'written' },
        { repository: 'there', outcome: 'failed', error: { code: 'HF_STORAGE_FULL' } },
      ])
      disk.free()
      const again = await reopen(disk.join('there'))
      const [third] = await run({ here, there: again }, [source], { run: 'three' })
      expect(third!.copies[1]).toMatchObject({ outcome: 'copied', caughtUp: 1 })
      expect(await loadSnapshots(again)).toHaveLength(3)
      for (const path of [scratch.join('here'), disk.join('there')]) expectResticContent(path)
    } finally {
      await server.stop()
    }
  },
)
