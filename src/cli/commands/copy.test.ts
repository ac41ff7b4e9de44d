import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { TypedInput } from '../../../test/support/stage.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import { expectResticContent } from '../../../test/support/test-repository.ts'

test('snapshots go to a repository with another password, each once', async () => {
  using source = await ourStage()
  using destination = await ourStage()
  const web = await source.backUp('web', noise(1, 300_000), '--host', 'web')
  const db = await source.backUp('db', noise(2, 200_000), '--host', 'db')
  const from = ['--from-repo', source.path('repository'), '--from-password-file', source.path('password')]
  writeFileSync(source.path('password'), 'correct horse', { mode: 0o600 })

  const one = await destination.json(['copy', ...from, '--host', 'web'])
  expect(one).toEqual([
    { message_type: 'copied', source_snapshot_id: web, snapshot_id: expect.any(String) },
    { message_type: 'summary', copied_snapshots: 1, skipped_snapshots: 0 },
  ])
  const text = await destination.must(['copy', ...from, '-v'])
  expect(text).toContain(`skipping source snapshot ${web.slice(0, 8)}, was already copied to snapshot `)
  expect(text).toMatch(new RegExp(`snapshot [0-9a-f]{8} saved, copied from source snapshot ${db.slice(0, 8)}`))
  expect((await destination.json(['copy', ...from])).at(-1)).toMatchObject({
    copied_snapshots: 0,
    skipped_snapshots: 2,
  })
  expect((await destination.run(['check', '--read-data'])).exitCode).toBe(0)
  const copied = await destination.json<readonly { original: string }[]>(['snapshots'])
  expect(copied[0]!.map(({ original }) => original).toSorted()).toEqual([web, db].toSorted())
  if (!lacks('restic')) expectResticContent(destination.path('repository'))
})

test('both passwords can be typed, that of the source first', async () => {
  using source = await ourStage()
  using destination = await ourStage()
  await source.backUp('web', 'x')
  const typing = (text: string): { readonly stdin: TypedInput } => {
    const stdin = new TypedInput()
    stdin.end(text)
    return { stdin }
  }
  await source.must(['key', 'passwd'], typing('battery staple\n'))
  const copied = await destination.json(['copy', '--from-repo', source.path('repository')], {
    ...typing('battery staple\ncorrect horse\n'),
    environment: { HOLDFAST_PASSWORD: '' },
  })
  expect(copied.at(-1)).toMatchObject({ copied_snapshots: 1 })
})

test('refuses to work without a source', async () => {
  using stage = await ourStage()
  expect(await stage.run(['copy'])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('no source repository was given'),
  })
})
