import { readdirSync, readFileSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configure } from '../../../test/support/configured-stage.ts'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { startAzurite } from '../../../test/support/servers/azurite.ts'
import { type FakeGcs, startFakeGcs } from '../../../test/support/servers/gcs.ts'

let stage: OurStage
beforeAll(async () => {
  stage = await ourStage()
})
afterAll(() => stage[Symbol.dispose]())

const few = ['--objects', '30', '--large-file', '1M']

describe('storage:verify', () => {
  test('tries a folder and leaves nothing in it', async () => {
    const before = readdirSync(stage.path('repository'))
    const text = await stage.must(['storage:verify', stage.path('repository'), ...few])
    expect(text).toMatch(/passed +a name that exists is refused and its file stays/)
    expect(readdirSync(stage.path('repository'))).toEqual(before)
    const messages = await stage.json(['storage:verify', ...few])
    expect(messages.length).toBeGreaterThan(20)
    for (const message of messages) expect(message).toMatchObject({ message_type: 'check', outcome: 'passed' })
  })

  test.skipIf(lacks('azurite'))('ends with 4 for a container that everybody may read', async () => {
    await using server = await startAzurite()
    const credential = new StorageSharedKeyCredential(server.account, server.key)
    await new ContainerClient(`${server.endpoint}/open`, credential).create({ access: 'container' })
    const { exitCode, stdout, stderr } = await stage.run(['storage:verify', 'azure:open:/', ...few], {
      environment: server.environment,
    })
    expect(stderr).toMatch(/BAD +access: everybody may read the container/)
    expect(stderr).toContain('0 promises are broken, 1 things are set up badly')
    expect(stdout).toMatch(/note +transport: .*stays on this machine/)
    expect(exitCode).toBe(4)
    expect(stdout + stderr).not.toContain(server.key)
  })

  test('is refused without a place', async () => {
    const { exitCode } = await stage.run(['storage:verify', 'a', 'b'])
    expect(exitCode).toBe(2)
  })
})

describe('storage:usage', () => {
  const sizes = (folder: string): number =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => statSync(join(folder, name)))
      .reduce((sum, status) => sum + (status.isFile() ? status.size : 0), 0)

  test('adds up to what lies there, and shows growth, free space and cost', async () => {
    await stage.backUp('noise', Buffer.alloc(300_000, 'abcdefg'))
    const file = configure(stage, {})
    const configured = JSON.parse(readFileSync(file, 'utf8'))
    configured.repositories.main.prices = { currency: 'EUR', perGiBMonth: { default: 1024 } }
    writeFileSync(file, JSON.stringify(configured))
    const environment = { HOLDFAST_CONFIG: file }
    const [usage] = await stage.json<{ bytes: number; free_bytes: number; cost: { month: number }; growth: object[] }>(
      ['storage:usage', 'main'],
      { environment },
    )
    const total = sizes(stage.path('repository'))
    expect(usage).toMatchObject({ bytes: total, hidden_bytes: 0 })
    const { bavail, bsize } = statfsSync(stage.path('repository'))
    expect(Math.abs(usage!.free_bytes - bavail * bsize)).toBeLessThan(1 << 30)
    expect(usage!.cost.month).toBeCloseTo(total / 2 ** 20, 6)
    expect(usage!.growth).toEqual([expect.objectContaining({ snapshots: 1, added_bytes: expect.any(Number) })])
    const text = await stage.must(['storage:usage', 'main'], { environment })
    expect(text).toMatch(/EUR a month/)
    expect(text).toMatch(/\d{4}-\d\d +1 /)
  })

  test('needs no password when snapshots are left out', async () => {
    const environment = { HOLDFAST_PASSWORD: 'wrong' }
    expect((await stage.run(['storage:usage'], { environment })).exitCode).toBe(12)
    expect(await stage.must(['storage:usage', '--without-snapshots'], { environment })).toContain('free: ')
  })
})

describe('storage:speed', () => {
  test('measures and leaves nothing', async () => {
    const before = readdirSync(stage.path('repository'))
    const [speed] = await stage.json(['storage:speed', '--bytes', '4M', '--file-size', '1M'])
    expect(speed).toMatchObject({ message_type: 'speed', files: 4, bytes: 4 << 20 })
    expect(speed!.upload_bytes_per_second).toBeGreaterThan(0)
    expect(speed!.download_bytes_per_second).toBeGreaterThan(0)
    expect(readdirSync(stage.path('repository'))).toEqual(before)
  })
})

describe.skipIf(lacks('fake-gcs-server'))('storage:undelete', () => {
  let server: FakeGcs
  beforeAll(async () => {
    server = await startFakeGcs()
    await server.makeBucket({ name: 'versions', versioning: { enabled: true } })
  })
  afterAll(() => server?.stop())

  test('takes back what a plain delete hid, and usage shows it meanwhile', async () => {
    const environment = { ...server.environment, HOLDFAST_REPOSITORY: 'gs:versions:/shop' }
    await stage.must(['init'], { environment })
    writeFileSync(stage.path('file'), 'content that must not be lost')
    await stage.must(['backup', stage.path('file')], { environment })
    const objects = `${server.endpoint}/storage/v1/b/versions/o`
    const { items } = (await (await fetch(`${objects}?prefix=shop/`)).json()) as { items: { name: string }[] }
    const names = items.map(({ name }) => name).filter((name) => !name.includes('/locks/'))
    expect(names.length).toBeGreaterThanOrEqual(6)
    for (const name of names) await fetch(`${objects}/${encodeURIComponent(name)}`, { method: 'DELETE' })
    expect((await stage.run(['snapshots'], { environment })).exitCode).toBe(10)
    const [usage] = await stage.json(['storage:usage', '--without-snapshots'], { environment })
    expect(usage).toMatchObject({ bytes: 0, kinds: {} })
    expect(usage!.hidden_bytes).toBeGreaterThan(0)

    const shown = await stage.json(['storage:undelete', '--dry-run'], { environment })
    expect(shown.at(-1)).toMatchObject({ message_type: 'summary', files: names.length, dry_run: true })
    expect((await stage.run(['snapshots'], { environment })).exitCode).toBe(10)

    expect(await stage.must(['storage:undelete'], { environment })).toContain(`brought back ${names.length} files`)
    await stage.must(['check', '--read-data'], { environment })
    expect(await stage.must(['dump', 'latest', stage.path('file')], { environment })).toBe(
      'content that must not be lost',
    )
    expect(await stage.must(['storage:undelete'], { environment })).toContain('brought back 0 files')
  })

  test('is refused where nothing deleted is kept', async () => {
    const { exitCode, stderr } = await stage.run(['storage:undelete'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('keeps nothing that was deleted')
  })
})
