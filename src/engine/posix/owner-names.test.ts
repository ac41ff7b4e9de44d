import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { libc } from './libc.ts'
import {
  groupId,
  groupName,
  nativeOwnerDatabase,
  type OwnerDatabase,
  portableOwnerDatabase,
  userId,
  userName,
} from './owner-names.ts'

const library = libc()
const root = mkdtempSync(join(tmpdir(), 'posix-owners-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const databases: [string, OwnerDatabase][] = [
  ['portable', portableOwnerDatabase()],
  ...(library ? [['native', nativeOwnerDatabase(library)] satisfies [string, OwnerDatabase]] : []),
]

describe.each(databases)('%s owners', (_, owners) => {
  test('of this machine, both ways', () => {
    const { username, uid } = userInfo()
    expect(owners.userName(uid)).toBe(username)
    expect(owners.userId(username)).toBe(uid)
    expect(owners.userName(0)).toBe('root')
    expect(owners.groupName(0)).toBe('root')
    expect(owners.groupId('root')).toBe(0)
  })

  test('all users and groups the system lists', () => {
    const list = (database: string): [string, number][] =>
      execFileSync('getent', [database], { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((line) => [line.split(':')[0]!, Number(line.split(':')[2])])
    for (const [name, id] of list('passwd')) expect([owners.userId(name), owners.userName(id)]).toEqual([id, name])
    for (const [name, id] of list('group')) expect([owners.groupId(name), owners.groupName(id)]).toEqual([id, name])
  })

  test('nobody has these', () => {
    expect(owners.userName(3_999_999_999)).toBeUndefined()
    expect(owners.groupName(3_999_999_999)).toBeUndefined()
    for (const name of ['no such name', '', 'ro\0ot', 'x'.repeat(100_000)]) {
      expect(owners.userId(name)).toBeUndefined()
      expect(owners.groupId(name)).toBeUndefined()
    }
  })
})

test('the files are read as the C library does: first lines win, nonsense is passed over', () => {
  const users = join(root, 'passwd')
  writeFileSync(
    users,
    'root:x:0:0::/root:/bin/sh\n\n# comment\ntoor:x:0:0::/:/bin/sh\nbroken:x\nodd:x:-1:0::/:\nann:x:4294967294:7::/:\nann:x:12:1::/:\n',
  )
  const owners = portableOwnerDatabase({ users, groups: join(root, 'missing') })
  expect(owners.userName(0)).toBe('root')
  expect(owners.userId('toor')).toBe(0)
  expect(owners.userName(4_294_967_294)).toBe('ann')
  expect(owners.userId('ann')).toBe(4_294_967_294)
  expect([owners.userId('broken'), owners.userId('odd'), owners.groupName(0)]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

test('names are empty where there are none', () => {
  expect([userName(0), userName(3_999_999_998)]).toEqual(['root', ''])
  expect([groupName(0), groupName(3_999_999_998)]).toEqual(['root', ''])
  expect([userId('root'), groupId('root'), userId('no such name')]).toEqual([0, 0, undefined])
})
