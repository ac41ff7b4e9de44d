import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { TypedInput } from '../../../test/support/stage.ts'

/** Two days of two hosts. */
async function someSnapshots(): Promise<OurStage> {
  const stage = await ourStage()
  for (const [host, day, ...tags] of [
    ['web', '01', 'nightly'],
    ['db', '01'],
    ['web', '02', 'nightly', 'kept'],
    ['db', '02'],
  ]) {
    const stdin = new TypedInput()
    stdin.end(`${host} ${day}`)
    const labels = [
      '--host',
      host!,
      '--time',
      `2024-05-${day} ${host === 'db' ? 11 : 12}:00:00`,
      ...tags.flatMap((tag) => ['--tag', tag]),
    ]
    await stage.must(['backup', '--stdin', '--stdin-filename', `${host}.txt`, ...labels], { stdin })
  }
  return stage
}

const table = async (stage: OurStage, ...args: readonly string[]): Promise<readonly string[]> =>
  (await stage.must(['snapshots', ...args]))
    .replace(/^[0-9a-f]{8} /gm, 'ID       ')
    .trimEnd()
    .split('\n')

test('the table is that of restic, the newest last', async () => {
  using stage = await someSnapshots()
  expect(await table(stage)).toEqual(
    [
      'ID        Time                 Host        Tags          Paths     Size',
      '-----------------------------------------------------------------------',
      'ID        2024-05-01 11:00:00  db                        /db.txt   5 B',
      'ID        2024-05-01 12:00:00  web         nightly       /web.txt  6 B',
      'ID        2024-05-02 11:00:00  db                        /db.txt   5 B',
      'ID        2024-05-02 12:00:00  web         nightly,kept  /web.txt  6 B',
      '-----------------------------------------------------------------------',
      'Timestamps shown in UTC',
      '4 snapshots',
    ].map((line) => line),
  )
  expect((await table(stage, '--compact', '--host', 'web')).slice(2, -3)).toEqual([
    'ID        2024-05-01 12:00:00  web   nightly  6 B',
    'ID        2024-05-02 12:00:00  web   nightly  6 B',
    '                                     kept',
  ])
})

test('filters and --latest choose', async () => {
  using stage = await someSnapshots()
  const chosen = async (...args: readonly string[]): Promise<readonly string[]> => {
    const [list] = await stage.json<readonly { hostname: string; time: string }[]>(['snapshots', ...args])
    return list!.map(({ hostname, time }) => `${hostname} ${time.slice(8, 10)}`)
  }
  expect(await chosen('--latest', '1')).toEqual(['db 02', 'web 02'])
  expect(await chosen('--tag', 'kept')).toEqual(['web 02'])
  expect(await chosen('--tag', 'nightly,kept', '--tag', 'none')).toEqual(['web 02'])
  expect(await chosen('--tag', '')).toEqual(['db 01', 'db 02'])
  expect(await chosen('--path', '/web.txt', '--latest', '1')).toEqual(['web 02'])
  expect(await chosen('latest', '--host', 'db')).toEqual(['db 02'])
  expect(await chosen('--host', 'nobody')).toEqual([])
})

test('groups have a table or an object each', async () => {
  using stage = await someSnapshots()
  const lines = await table(stage, '--group-by', 'host', '--latest', '1')
  expect(lines.filter((line) => /^(snapshots|\d)/.test(line))).toEqual([
    'snapshots for (host [db]):',
    '1 snapshots',
    'snapshots for (host [web]):',
    '1 snapshots',
  ])
  const [groups] = await stage.json<readonly { group_key: object; snapshots: readonly unknown[] }[]>([
    ...['snapshots', '--group-by', 'tags,paths'],
  ])
  expect(groups!.map(({ group_key, snapshots }) => ({ group_key, count: snapshots.length }))).toEqual([
    { group_key: { hostname: '', paths: ['/db.txt'], tags: null }, count: 2 },
    { group_key: { hostname: '', paths: ['/web.txt'], tags: ['kept', 'nightly'] }, count: 1 },
    { group_key: { hostname: '', paths: ['/web.txt'], tags: ['nightly'] }, count: 1 },
  ])
})

test('ids that lead nowhere are warned about; so are damaged snapshots, which are not listed', async () => {
  using stage = await someSnapshots()
  const unknown = await stage.run(['snapshots', 'ffffffff'])
  expect(unknown).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/^Ignoring "ffffffff": /) })
  const [victim] = readdirSync(stage.path('repository', 'snapshots'))
  rmSync(stage.path('repository', 'snapshots', victim!))
  writeFileSync(stage.path('repository', 'snapshots', victim!), 'rubbish')
  const { exitCode, stdout, stderr } = await stage.run(['snapshots'])
  expect(exitCode).toBe(1)
  expect(stdout).toContain('\n3 snapshots\n')
  expect(stderr).toContain(`snapshot ${victim!.slice(0, 8)} cannot be read`)
  const latest = await stage.run(['ls', 'latest'])
  expect(latest).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('nobody can tell which snapshot') })
  const others = readdirSync(stage.path('repository', 'snapshots')).filter((name) => name !== victim)
  await stage.must(['ls', others[0]!])
  await stage.must(['diff', others[0]!, others[1]!])
  const found = await stage.run(['find', '*.txt', '--json'])
  expect(found.exitCode).toBe(1)
  expect(JSON.parse(found.stdout)).toHaveLength(3)
})
