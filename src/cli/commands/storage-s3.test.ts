import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { type MinioServer, startMinio } from '../../../test/support/servers/minio.ts'
import { sessionFor } from '../../../test/support/servers/minio-session.ts'
import { PASSWORD } from '../../../test/support/test-repository.ts'

const few = ['--objects', '20', '--large-file', '1M']

interface Message {
  readonly message_type: string
  readonly what: string
  readonly state: string
}

describe.skipIf(lacks('minio'))('with a bucket of MinIO', () => {
  let stage: OurStage
  let server: MinioServer
  let environment: Record<string, string>
  beforeAll(async () => {
    stage = await ourStage()
    server = await startMinio()
    writeFileSync(stage.path('password'), `${PASSWORD}\n`, { mode: 0o600 })
    writeFileSync(stage.path('file'), 'content that must not be lost')
    const at = (bucket: string, more: object = {}): object => ({
      url: `s3:${server.url}/${bucket}/shop`,
      password: `file:${stage.path('password')}`,
      ...more,
    })
    const lock = { mode: 'governance', for: '2d' }
    const prices = { currency: 'EUR', perGiBMonth: { STANDARD: 1024 } }
    const plain = { ...at('plain'), url: `s3:http://0.0.0.0:${server.port}/plain/shop` }
    const repositories = {
      ...{ versions: at('versions', { prices }), plain, off: at('plain', { lock }), locked: at('locked', { lock }) },
    }
    writeFileSync(stage.path('holdfast.yaml'), JSON.stringify({ version: 1, repositories }))
    environment = {
      ...server.environment,
      HOLDFAST_CONFIG: stage.path('holdfast.yaml'),
      HOLDFAST_REPOSITORY: '',
      HOLDFAST_PASSWORD: '',
    }
    await server.s3.createBucket({ Bucket: 'versions' })
    await server.s3.putBucketVersioning({ Bucket: 'versions', VersioningConfiguration: { Status: 'Enabled' } })
    await server.s3.createBucket({ Bucket: 'plain' })
  })
  afterAll(async () => {
    await server?.stop()
    stage?.[Symbol.dispose]()
  })

  /** What is bad at a place, after every promise was kept; the exit code goes with it. */
  async function badAt(place: string): Promise<string[]> {
    const { exitCode, stdout } = await stage.run(['storage:verify', place, '--json', ...few], { environment })
    const messages = stdout
      .trim()
      .split('\n')
      .map((line): Message => JSON.parse(line))
    const checks = messages.filter(({ message_type }) => message_type === 'check')
    expect(checks.length).toBeGreaterThan(20)
    for (const check of checks) expect(check).toMatchObject({ outcome: 'passed' })
    const bad = messages.filter(({ state }) => state === 'bad').map(({ what }) => what)
    expect(exitCode).toBe(bad.length === 0 ? 0 : 4)
    return bad
  }

  test('storage:verify passes it, and leaves nothing, hidden or not', async () => {
    expect(await badAt('versions')).toEqual([])
    const { Versions = [], DeleteMarkers = [] } = await server.s3.listObjectVersions({ Bucket: 'versions' })
    expect([...Versions, ...DeleteMarkers]).toEqual([])
  })

  test('storage:verify finds versions off where a lock needs them', async () => {
    expect(await badAt('off')).toEqual(['versions', 'retention'])
  })

  test('storage:verify finds plain HTTP, and a bucket that everybody may look into', async () => {
    const Statement = { Effect: 'Allow', Principal: '*', Action: 's3:ListBucket', Resource: 'arn:aws:s3:::plain' }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [Statement] })
    await server.s3.putBucketPolicy({ Bucket: 'plain', Policy })
    expect(await badAt('plain')).toEqual(['transport', 'access'])
    await server.s3.deleteBucketPolicy({ Bucket: 'plain' })
  })

  test('storage:verify finds that everybody may read files before there are any, also where the policy may not be looked at', async () => {
    const Statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::versions/shop/*',
    }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [Statement] })
    await server.s3.putBucketPolicy({ Bucket: 'versions', Policy })
    const Action = ['s3:*Object', 's3:*ObjectVersion', 's3:List*', 's3:CreateBucket', 's3:AbortMultipartUpload']
    const limited = await sessionFor(server, {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action, Resource: ['arn:aws:s3:::*'] }],
    })
    const args = ['storage:verify', 'versions', ...few]
    const { exitCode, stderr, stdout } = await stage.run(args, { environment: { ...environment, ...limited } })
    expect(exitCode, stdout).toBe(4)
    expect(stderr).toContain('BAD      access: anybody can read a file written here')
    expect(stderr).not.toContain('the policy of the bucket is public')
    await server.s3.deleteBucketPolicy({ Bucket: 'versions' })
    expect((await server.s3.listObjectVersions({ Bucket: 'versions' })).Versions ?? []).toEqual([])
  })

  test('storage:speed measures it and leaves nothing', async () => {
    const [speed] = await stage.json(['storage:speed', 'versions', '--bytes', '4M', '--file-size', '1M'], {
      environment,
    })
    expect(speed).toMatchObject({ message_type: 'speed', files: 4, bytes: 4 << 20 })
    expect((await server.s3.listObjectVersions({ Bucket: 'versions' })).Versions ?? []).toEqual([])
  })

  test('storage:undelete takes back what a plain delete hid, and storage:usage counts it meanwhile', async () => {
    await stage.must(['init', '-r', 'versions'], { environment })
    await stage.must(['backup', '-r', 'versions', stage.path('file')], { environment })
    const { Contents = [] } = await server.s3.listObjectsV2({ Bucket: 'versions' })
    const total = Contents.reduce((sum, { Size = 0 }) => sum + Size, 0)
    const [seen] = await stage.json(['storage:usage', 'versions'], { environment })
    expect(seen).toMatchObject({ bytes: total, hidden_bytes: 0, growth: [expect.objectContaining({ snapshots: 1 })] })
    for (const { Key } of Contents) await server.s3.deleteObject({ Bucket: 'versions', Key: Key! })
    expect((await stage.run(['snapshots', '-r', 'versions'], { environment })).exitCode).toBe(10)
    const [hidden] = await stage.json<{ cost: { month: number } }>(
      ['storage:usage', 'versions', '--without-snapshots'],
      { environment },
    )
    expect(hidden).toMatchObject({ bytes: 0, hidden_bytes: total })
    expect(hidden!.cost.month).toBeCloseTo(total / 2 ** 20, 6)

    const shown = await stage.json(['storage:undelete', 'versions', '--dry-run'], { environment })
    expect(shown.at(-1)).toMatchObject({ message_type: 'summary', files: Contents.length, dry_run: true })
    const text = await stage.must(['storage:undelete', 'versions', '--within', '1h'], { environment })
    expect(text).toContain(`brought back ${Contents.length} files`)
    await stage.must(['check', '-r', 'versions', '--read-data'], { environment })
    expect(await stage.must(['dump', '-r', 'versions', 'latest', stage.path('file')], { environment })).toBe(
      readFileSync(stage.path('file'), 'utf8'),
    )
  })

  test('storage:undelete is refused no version of a bucket without them, and finds nothing', async () => {
    expect(await stage.must(['storage:undelete', 'plain'], { environment })).toContain('brought back 0 files')
  })

  test('tag, rewrite and forget leave snapshots that are retained as they are, and say until when', async () => {
    const at = ['-r', 'locked']
    await stage.must(['init', ...at], { environment })
    await stage.must(['backup', ...at, stage.path('file')], { environment })
    const list = (): Promise<readonly (readonly { id: string }[])[]> =>
      stage.json(['snapshots', ...at], { environment })
    const before = await list()
    const id = before[0]![0]!.id
    const until = /as the storage retains them until 20\d\d-\d\d-\d\d \d\d:\d\d UTC/
    for (const [args, stays] of [
      [['tag', '--add', 'x', id], 'keep their tags'],
      [['rewrite', '--forget', '--new-host', 'other', id], 'stay as they are'],
      [['rewrite', '--forget', '--exclude', 'file', id], 'stay as they are'],
      [['forget', id], 'stay'],
    ] as const) {
      const { exitCode, stdout, stderr } = await stage.run([...args, ...at], { environment })
      expect(stdout).toContain(`1 snapshots ${stays}, `)
      expect(stdout).toMatch(until)
      expect(stderr).toContain('the storage retains them until')
      expect(exitCode).toBe(3)
    }
    // What would change nothing is nothing to complain of, and a policy comes round again.
    await stage.must(['tag', ...at, '--remove', 'no-such-tag', id], { environment })
    await stage.must(['rewrite', ...at, '--forget', '--exclude', 'no-such-file', id], { environment })
    await stage.must(['forget', ...at, '--keep-tag', 'none', '--keep-last', '1'], { environment })
    await stage.must(['rewrite', ...at, '--new-host', 'other', id], { environment })
    expect((await list())[0]!.length).toBe(2)
    expect(before[0]).toHaveLength(1)
  })
})
