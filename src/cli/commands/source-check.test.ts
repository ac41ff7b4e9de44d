import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configure } from '../../../test/support/configured-stage.ts'
import { ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { startPostgres } from '../../../test/support/servers/postgres.ts'

const PAGE_BYTES = 8192

describe('source:check', () => {
  test.skipIf(lacks('postgres15'))('ends with 0 for a sound database, with 4 for a damaged one', async () => {
    using stage = await ourStage()
    const source = (url: string): object => ({ shop: { type: 'postgres', mode: 'logical', url } })
    await using before = await startPostgres({ version: 15, initdb: ['--data-checksums'] })
    await before.sql('CREATE TABLE orders AS SELECT g FROM generate_series(1, 10000) g; CREATE EXTENSION amcheck')
    await before.sql('VACUUM FREEZE orders')
    const command = ['source:check', 'shop', '--config', configure(stage, source(before.url))]
    const text = await stage.must(command)
    expect(text).toMatch(/^ {2}passed {3}every row of every table in postgres: (\d+) of \1$/m)
    expect(await stage.json(command)).toContainEqual(
      expect.objectContaining({ message_type: 'check', source: 'shop', name: 'structure of tables in postgres' }),
    )

    const [row] = await before.sql("CHECKPOINT; SELECT pg_relation_filepath('orders') AS path")
    await before.kill()
    const file = `${before.dataDirectory}/${row!.path}`
    const bytes = readFileSync(file)
    bytes[2 * PAGE_BYTES + 5000]! ^= 0x40
    writeFileSync(file, bytes)
    await using damaged = await startPostgres({ version: 15, dataDirectory: before.dataDirectory })
    configure(stage, source(damaged.url))
    const { exitCode, stdout, stderr } = await stage.run(command)
    expect(exitCode).toBe(4)
    expect(stderr).toMatch(
      /FAILED +every row of every table in postgres: postgres\.public\.orders: invalid page in block 2/,
    )
    expect(stderr).toContain('damaged, or not looked at whole: shop')
    expect(stdout).toMatch(/passed +B-tree indexes in postgres/)
  })

  test.skipIf(lacks('postgres15'))(
    'ends with 4 when something could not be looked at, and says what is needed',
    async () => {
      using stage = await ourStage()
      await using server = await startPostgres({ version: 15 })
      const config = configure(stage, { shop: { type: 'postgres', url: server.url } })
      const { exitCode, stdout } = await stage.run(['source:check', 'shop', '--config', config])
      expect(exitCode).toBe(4)
      expect(stdout).toMatch(/skipped +structure of tables in template1: .*in template1: CREATE EXTENSION amcheck;/)
    },
  )
})
