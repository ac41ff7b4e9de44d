import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startPostgres } from '../../../../test/support/servers/postgres.ts'
import { directoryToc, readToc } from './toc.ts'

describe('a table of contents', () => {
  test.skipIf(lacks('postgres15'))(
    'is written byte for byte as pg_dump writes it, and known to be whole or not',
    async () => {
      await using server = await startPostgres({ version: 15 })
      await server.sql('CREATE TABLE a (n int PRIMARY KEY); INSERT INTO a VALUES (1); SELECT lo_from_bytea(5, $$x$$)')
      const folder = mkdtempSync(join(tmpdir(), 'holdfast-toc-'))
      try {
        const dump = (format: string, file: string): void =>
          void execFileSync('/usr/lib/postgresql/15/bin/pg_dump', [
            '-Z0',
            `-F${format}`,
            '-f',
            join(folder, file),
            server.url,
          ])
        dump('d', 'directory')
        dump('c', 'custom')
        const bytes = readFileSync(join(folder, 'directory/toc.dat'))
        const toc = readToc(bytes)!
        expect(directoryToc(toc).equals(bytes)).toBe(true)
        expect(toc.entries.find(({ kind }) => kind === 'TABLE DATA')).toMatchObject({
          schema: 'public',
          tag: 'a',
          copyStatement: 'COPY public.a (n) FROM stdin;\n',
          fileName: expect.stringMatching(/^[0-9]+\.dat$/),
        })
        for (let length = 0; length < bytes.length; length += 97)
          expect(readToc(bytes.subarray(0, length))).toBeUndefined()
        const custom = readToc(readFileSync(join(folder, 'custom')))!
        expect(custom.entries.map(({ kind, tag }) => [kind, tag])).toEqual(
          toc.entries.map(({ kind, tag }) => [kind, tag]),
        )
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )

  test.each([
    [Buffer.from('PGDMX\u0001\u000e\u0000'), 'HF_SOURCE_DAMAGED'],
    [Buffer.from('PGDMP\u0001\u0011\u0000\u0004\u0008\u0001'), 'HF_SOURCE_UNSUPPORTED'],
    [Buffer.from('PGDMP\u0001\u000e\u0000\u0004\u0008\u0002'), 'HF_SOURCE_DAMAGED'],
    [Buffer.from('PGDMP\u0001\u000e\u0000\u0008\u0008\u0001'), 'HF_SOURCE_DAMAGED'],
  ])('of another program or version is refused: %j', (bytes, code) => {
    expect(() => readToc(bytes)).toThrow(expect.objectContaining({ code }))
  })
})
