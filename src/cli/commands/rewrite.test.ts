import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { expectResticContent } from '../../../test/support/test-repository.ts'

interface Snapshot {
  readonly id: string
  readonly hostname: string
  readonly time: string
  readonly tags?: readonly string[]
  readonly original?: string
  readonly summary?: { readonly total_files_processed: number }
}

const snapshotsOf = async (stage: OurStage): Promise<readonly Snapshot[]> =>
  (await stage.json<readonly Snapshot[]>(['snapshots']))[0]!

async function oneFolder(): Promise<OurStage & { readonly id: string }> {
  const stage = await ourStage()
  mkdirSync(stage.path('data', 'private'), { recursive: true })
  for (const name of ['a.txt', 'b.iso', 'private/key.txt']) writeFileSync(stage.path('data', name), name)
  const messages = await stage.json(['backup', stage.path('data'), '--host', 'web', '--tag', 'nightly'])
  return Object.assign(stage, { id: messages.at(-1)!.snapshot_id as string })
}

const namesIn = async (stage: OurStage, id: string): Promise<readonly string[]> =>
  (await stage.must(['ls', id])).split('\n').flatMap((line) => /\/data\/(.+)/.exec(line)?.[1] ?? [])

test('files are left out of a copy of the snapshot, which stays', async () => {
  using stage = await oneFolder()
  const plan = await stage.must(['rewrite', '--exclude', '*.iso', '--dry-run', '-v'])
  expect(plan).toMatch(/excluding ".*\/data\/b\.iso"\n\nsnapshot [0-9a-f]{8} of .*\nwould save new snapshot\n/)
  expect(await snapshotsOf(stage)).toHaveLength(1)
  const [changed, summary] = await stage.json(['rewrite', '--exclude', '*.iso', '--iexclude', 'PRIVATE'])
  expect(summary).toEqual({ message_type: 'summary', changed_snapshots: 1 })
  expect(changed).toMatchObject({ message_type: 'changed', old_snapshot_id: stage.id })
  const id = changed!.new_snapshot_id as string
  expect(await namesIn(stage, id)).toEqual(['a.txt'])
  expect(await namesIn(stage, stage.id)).toHaveLength(4)
  expect((await snapshotsOf(stage)).find((snapshot) => snapshot.id === id)).toMatchObject({
    original: stage.id,
    tags: ['nightly', 'rewrite'],
    summary: { total_files_processed: 1 },
  })
  if (!lacks('restic')) expectResticContent(stage.path('repository'))
})

test('with --forget the copy takes the place of the original', async () => {
  using stage = await oneFolder()
  const text = await stage.must(['rewrite', '--include', 'private', '--forget', '--new-host', 'vault'])
  expect(text).toMatch(
    /setting host to vault\nsaved new snapshot .*\nremoved old snapshot .*\n\nmodified 1 snapshots\n$/,
  )
  const [only, ...others] = await snapshotsOf(stage)
  expect(others).toEqual([])
  expect(only).toMatchObject({ hostname: 'vault', original: stage.id, tags: ['nightly'] })
  expect(await namesIn(stage, only!.id)).toEqual(['private', 'private/key.txt'])
})

test('patterns may come from files; what matches nothing changes nothing', async () => {
  using stage = await oneFolder()
  writeFileSync(stage.path('patterns'), '# images\n*.iso\n')
  expect(await stage.must(['rewrite', '--exclude', '*.none'])).toMatch(/\n\nno snapshots were modified\n$/)
  expect(await stage.must(['rewrite', '--exclude-file', stage.path('patterns')])).toMatch(/modified 1 snapshots\n$/)
  expect(await stage.must(['rewrite', '--include', 'nothing', '--tag', 'nightly'])).toMatch(/no snapshots were/)
  expect((await stage.run(['rewrite', '--exclude', '*.iso', '--include', 'a'])).exitCode).toBe(1)
})

test('time can be set', async () => {
  using stage = await oneFolder()
  const text = await stage.must(['rewrite', '--new-time', '2020-02-02 20:20:20', '--forget'])
  expect(text).toContain('setting time to 2020-02-02 20:20:20 +0000 UTC')
  expect((await snapshotsOf(stage))[0]!.time).toBe('2020-02-02T20:20:20Z')
})
