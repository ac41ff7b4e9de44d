import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { noise } from '../../../test/support/storage-victims.ts'

/** Files of the repository below a folder, the largest first. */
function filesOf(stage: OurStage, folder: string): readonly string[] {
  const path = stage.path('repository', folder)
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted((a, b) => statSync(b).size - statSync(a).size)
}

function change(path: string, position: number): void {
  const bytes = readFileSync(path)
  bytes[position]! ^= 1
  rmSync(path)
  writeFileSync(path, bytes)
}

const SUMMARY = {
  message_type: 'summary',
  num_errors: 0,
  broken_packs: null,
  suggest_repair_index: false,
  suggest_prune: false,
}

async function twoHosts(): Promise<OurStage> {
  const stage = await ourStage()
  await stage.backUp('web.img', noise(1, 60_000), '--host', 'web')
  await stage.backUp('db.img', noise(2, 50_000), '--host', 'db')
  return stage
}

describe('a whole repository', () => {
  test('passes, and a program is told nothing but that', async () => {
    using stage = await twoHosts()
    expect(await stage.json(['check'])).toEqual([SUMMARY])
    expect(await stage.json(['check', '--read-data'])).toEqual([SUMMARY])
    expect(await stage.must(['check'])).toMatch(/\nno errors were found\n$/)
  })

  test('parts of the data are read as asked', async () => {
    using stage = await twoHosts()
    const read = async (subset: string): Promise<readonly string[]> =>
      (await stage.must(['check', '--read-data-subset', subset])).match(/\d+ \/ \d+ packs/g) ?? []
    expect(await read('1/1')).toEqual(['4 / 4 packs'])
    expect(await read('50%')).toEqual(['2 / 2 packs'])
    expect(await read('1')).toEqual(['1 / 1 packs'])
    const parts = [...(await read('1/3')), ...(await read('2/3')), ...(await read('3/3'))]
    expect(parts.reduce((sum, text) => sum + Number.parseInt(text, 10), 0)).toBe(4)
  })

  test('what nothing refers to is told of without being an error', async () => {
    using stage = await twoHosts()
    for (const index of filesOf(stage, 'index').slice(1)) rmSync(index)
    for (const snapshot of filesOf(stage, 'snapshots')) rmSync(snapshot)
    const { exitCode, stdout, stderr } = await stage.run(['check'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toMatch(/^2 packs: .*"holdfast prune" removes it/m)
    expect(await stage.json(['check'])).toEqual([{ ...SUMMARY, suggest_prune: true }])
  })
})

describe('damage', () => {
  test('is named with what to do about it, and is exit code 1', async () => {
    using stage = await twoHosts()
    const [pack] = filesOf(stage, 'data')
    const id = pack!.slice(-64)
    change(pack!, 100)
    expect((await stage.run(['check'])).exitCode).toBe(0)
    const { exitCode, stdout, stderr } = await stage.run(['check', '--read-data'])
    expect(exitCode).toBe(1)
    expect(stdout).not.toContain('no errors')
    expect(stderr).toMatch(new RegExp(`^pack ${id} contains 2 errors\\n {2}blob [0-9a-f]{64}: `))
    expect(stderr).toContain(`\nholdfast repair packs ${id}\nholdfast repair snapshots --forget\n`)
    expect(stderr).toMatch(/\nFatal: repository contains errors\n$/)
  })

  test('is told to programs finding by finding', async () => {
    using stage = await twoHosts()
    const [pack] = filesOf(stage, 'data')
    const [snapshot] = filesOf(stage, 'snapshots')
    rmSync(pack!)
    change(snapshot!, 20)
    const { exitCode, stdout, stderr } = await stage.run(['check', '--json'])
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      message_type: 'summary',
      num_errors: 2,
      broken_packs: [pack!.slice(-64)],
      broken_snapshots: [snapshot!.slice(-64)],
    })
    const messages = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(messages).toEqual([
      expect.objectContaining({
        message_type: 'error',
        kind: 'snapshot-damaged',
        object: { type: 'snapshot', id: snapshot!.slice(-64) },
      }),
      expect.objectContaining({ message_type: 'error', kind: 'pack-missing' }),
      expect.objectContaining({ message_type: 'exit_error', code: 1, error_code: 'HF_DATA_DAMAGED' }),
    ])
  })

  test('elsewhere does not concern a check of some snapshots', async () => {
    using stage = await twoHosts()
    // The larger file is that of host web.
    change(filesOf(stage, 'data')[0]!, 100)
    expect((await stage.run(['check', '--host', 'db', '--read-data'])).exitCode).toBe(0)
    expect((await stage.run(['check', '--host', 'web', '--read-data'])).exitCode).toBe(1)
    expect((await stage.run(['check', 'latest', '--host', 'db', '--read-data'])).exitCode).toBe(0)
  })
})

test('a check that looks at nothing that was meant does not pass unnoticed', async () => {
  using stage = await twoHosts()
  expect(await stage.run(['check', 'ffffffff'])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('no snapshot has the id "ffffffff"'),
  })
  expect(await stage.run(['check', '--host', 'nobody'])).toMatchObject({
    exitCode: 0,
    stderr: 'Warning: no snapshot matches, so none is checked\n',
  })
})

test('what cannot be checked at all is an error in the summary too', async () => {
  using stage = await ourStage()
  rmSync(stage.path('repository', 'config'))
  const { exitCode, stdout, stderr } = await stage.run(['check', '--json'])
  expect(exitCode).toBe(10)
  expect(JSON.parse(stdout)).toEqual({ ...SUMMARY, num_errors: 1 })
  expect(JSON.parse(stderr)).toMatchObject({ message_type: 'exit_error', code: 10 })
})
