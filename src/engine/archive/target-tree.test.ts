import { describe, expect, test } from 'vitest'
import { arrangeTargets, type TargetNode } from './target-tree.ts'

const directories: Record<string, string[]> = {
  '/': ['etc', 'srv'],
  '.': ['b', 'a'],
  '/srv': ['data', 'www'],
  '/srv/www': ['index.html', 'img'],
}
const readNames = (path: string): string[] => directories[path] ?? []

/** `name` for leaves (`=path`, `!` when explicit), `name(attributes path)[children]` for the others. */
function show(node: TargetNode): string {
  return [...node.children]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, child]) =>
      child.path !== undefined
        ? `${name}=${child.path}${child.explicit ? '!' : ''}`
        : `${name}(${child.attributesPath})[${show(child)}]`,
    )
    .join(' ')
}

const arrange = (...targets: string[]): string => show(arrangeTargets(targets, readNames))

describe('targets in the snapshot', () => {
  test.each([
    [['/srv/www'], 'srv(/srv)[www=/srv/www!]'],
    [['/srv/www', '/etc'], 'etc=/etc! srv(/srv)[www=/srv/www!]'],
    [['a/b'], 'a(a)[b=a/b!]'],
    [['../x/y'], 'x(../x)[y=../x/y!]'],
    [['.'], 'a=a b=b'],
    [['/'], 'etc=/etc srv=/srv'],
    [['/srv', '/srv/www'], 'srv(/srv)[data=/srv/data www=/srv/www!]'],
    [['/srv/www', '/srv'], 'srv(/srv)[data=/srv/data www=/srv/www!]'],
    [
      ['/srv/www/img', '/srv'],
      'srv(/srv)[data=/srv/data www(/srv/www)[img=/srv/www/img! index.html=/srv/www/index.html]]',
    ],
    [['/srv/www', 'srv/x'], 'srv(/srv)[www=/srv/www!] srv-1(srv)[x=srv/x!]'],
    [['/etc', '/etc', '/etc/'], 'etc=/etc!'],
  ])('%j', (targets, expected) => {
    expect(arrange(...targets)).toBe(expected)
  })

  test('an empty path is refused', () => {
    expect(() => arrange('')).toThrow('empty path')
  })
})
