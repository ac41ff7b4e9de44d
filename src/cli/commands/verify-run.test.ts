import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configure as configureStage, folder } from '../../../test/support/configured-stage.ts'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'

const configure = (stage: OurStage, sources: object): string =>
  configureStage(stage, sources, { defaults: { verify: 'none' } })

/** Changes a byte in the middle of every data pack. */
function damage(stage: OurStage): void {
  for (const entry of readdirSync(stage.path('repository', 'data'), { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const path = `${entry.parentPath}/${entry.name}`
    const bytes = readFileSync(path)
    bytes[bytes.length >> 1]! ^= 1
    rmSync(path)
    writeFileSync(path, bytes)
  }
}

describe('verify:run', () => {
  test('proves, keeps a record, and snapshots say how far', async () => {
    using stage = await ourStage()
    const config = configure(stage, {
      uploads: { type: 'files', paths: [folder(stage, 'uploads')] },
      etc: { type: 'files', paths: [folder(stage, 'etc')] },
    })
    await stage.must(['backup:run', '--all', '--config', config])
    expect(await stage.must(['snapshots'])).not.toContain('Proved')
    const text = await stage.must(['verify:run', 'uploads', '--level', 'checksum', '--config', config])
    expect(text).toMatch(/passed +checksum +checksums: \d+ packs, .*every byte read/)
    expect(text).toMatch(/^uploads: proved: checksum, /m)

    const table = await stage.must(['snapshots'])
    expect(table).toMatch(/source=uploads.* checksum$/m)
    expect(table).toMatch(/source=etc.* not verified$/m)
    expect(table).toContain('2 snapshots')
    expect(await stage.must(['snapshots', '--all'])).toContain('3 snapshots')
    const listed = (await stage.json<object[]>(['snapshots', '--tag', 'source=uploads']))[0]!
    expect(listed).toEqual([expect.objectContaining({ proof: expect.objectContaining({ level: 'checksum' }) })])
  })

  test('names what is damaged, ends with 4, and takes back what was proved', async () => {
    using stage = await ourStage()
    const config = configure(stage, { uploads: { type: 'files', paths: [folder(stage, 'uploads')] } })
    await stage.must(['backup:run', '--all', '--config', config])
    const checksum = ['verify:run', '--all', '--level', 'checksum', '--config', config]
    await stage.must(checksum)
    damage(stage)
    const { exitCode, stderr } = await stage.run([...checksum, '--no-cache'])
    expect(exitCode).toBe(4)
    expect(stderr).toMatch(/FAILED +checksum/)
    expect(stderr).toContain('1 of 1 snapshots are not as they should be: uploads')
    expect(await stage.must(['snapshots', '--no-cache'])).toMatch(/FAILED: checksum$/m)
  })

  test('its records go with the snapshots they are about, and are none to any policy', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const config = configure(stage, { uploads: { type: 'files', paths: [uploads] } })
    const kinds = async (): Promise<readonly string[]> =>
      (await stage.json<{ tags: string[] }[]>(['snapshots', '--all']))[0]!.map(
        ({ tags }) => tags.find((tag) => tag.startsWith('kind='))!,
      )
    for (const name of ['a', 'b']) {
      mkdirSync(`${uploads}/${name}`)
      await stage.must(['backup:run', '--all', '--config', config])
      await stage.must(['verify:run', '--all', '--level', 'checksum', '--config', config])
    }
    expect((await kinds()).toSorted()).toEqual(['kind=backup', 'kind=backup', 'kind=verification', 'kind=verification'])
    await stage.must(['forget', '--keep-last', '1', '--prune'])
    expect((await kinds()).toSorted()).toEqual(['kind=backup', 'kind=verification'])
    await stage.must(['check', '--read-data'])
    await stage.must(['forget', 'latest'])
    expect(await kinds()).toEqual([])
  })

  test('goes as far as the data, with what the owner asserts', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const sources = { uploads: { type: 'files', paths: [uploads] } }
    const asserting = (expectation: string): string =>
      configureStage(stage, sources, {
        defaults: { verify: 'none' },
        assertions: { uploads: [{ name: 'it is there', file: `${uploads}/file`, expect: expectation }] },
      })
    await stage.must(['backup:run', '--all', '--config', asserting('value != null')])
    const text = await stage.must(['verify:run', '--all', '--config', asserting('value.contains("uploads")')])
    expect(text).toMatch(/passed +data +assertion "it is there"$/m)
    expect(text).toMatch(/^uploads: proved: data, /m)
    const { exitCode, stderr } = await stage.run(['verify:run', '--all', '--config', asserting('size(rows) > 1')])
    expect(exitCode).toBe(4)
    expect(stderr).toMatch(
      /FAILED +data +assertion "it is there": size\(rows\) > 1 does not hold: value is .*, of 1 rows/,
    )
    expect(await stage.must(['snapshots'])).toMatch(/FAILED: data$/m)
  })

  test('compares with the source as it is now, and lists what differs (S4-47)', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const config = configure(stage, { uploads: { type: 'files', paths: [uploads] } })
    writeFileSync(`${uploads}/same`, 'same')
    await stage.must(['backup:run', '--all', '--config', config])
    const compare = ['verify:run', 'uploads', '--against-source', '--config', config]
    expect(await stage.must(compare)).toMatch(/^uploads: equals snapshot /m)
    writeFileSync(`${uploads}/file`, 'Content of uploads')
    const { exitCode, stdout } = await stage.run(compare)
    expect(exitCode).toBe(4)
    expect(stdout.split('\n').filter((line) => line.startsWith('  '))).toEqual([
      expect.stringMatching(new RegExp(`^  changed +${uploads}/file$`)),
    ])
  })

  test('holds for a snapshot that is tagged, and proves nothing of a copy in another repository', async () => {
    using stage = await ourStage()
    const config = configure(stage, { uploads: { type: 'files', paths: [folder(stage, 'uploads')] } })
    await stage.must(['backup:run', '--all', '--config', config])
    await stage.must(['verify:run', '--all', '--level', 'checksum', '--config', config])
    expect(await stage.must(['snapshots'])).toMatch(/ checksum$/m)
    await stage.must(['tag', '--add', 'kept'])
    expect(await stage.must(['snapshots'])).toMatch(/kept.* checksum$/m)
    const copy = ['-r', stage.path('second')]
    await stage.must([...copy, 'init'])
    await stage.must([
      ...copy,
      'copy',
      '--from-repo',
      stage.path('repository'),
      '--from-password-file',
      stage.path('password'),
    ])
    const shown = await stage.must([...copy, 'snapshots'])
    expect(shown).toContain('source=uploads')
    expect(shown).not.toMatch(/Proved|checksum/)
  })

  test('refuses what it cannot mean', async () => {
    using stage = await ourStage()
    const config = configure(stage, { uploads: { type: 'files', paths: [folder(stage, 'uploads')] } })
    const outcome = (...args: readonly string[]) => stage.run(['verify:run', ...args, '--config', config])
    expect(await outcome()).toMatchObject({ exitCode: 2 })
    expect(await outcome('uplods')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('did you mean uploads?'),
    })
    expect(await outcome('uploads', '--level', 'everything')).toMatchObject({ exitCode: 2 })
    expect(await outcome('uploads', '--repository', 'mian')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('did you mean main?'),
    })
    expect(await outcome('uploads')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('there is no snapshot of uploads'),
    })
    await stage.must(['backup:run', '--all', '--config', config])
    expect(await outcome('0123abcd')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('0123abcd') })
    writeFileSync(stage.path('assertions.yaml'), 'uploads:\n  - { name: a, file: x, expect: vlaue > 0 }\n')
    expect(await outcome('uploads', '--assert', stage.path('assertions.yaml'))).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/assertions\.yaml:2:\d+: uploads\[0\]\.expect is no expression/),
    })
  })
})
